"""Opens a WebSocket to the API server.

Owns the upgrade request and what a refusal means. Must not know what is said over the connection.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from pvserve.cluster.duplex import Duplex
from pvserve.cluster.failures import Response, failure
from pvserve.cluster.login import Login
from pvserve.cluster.proxy import DEFAULT_PORTS, dial
from pvserve.cluster.request import Request
from pvserve.cluster.transport import CONNECT_SECONDS, USER_AGENT, Transport, unreachable, url
from pvserve.errors import Refused

SWITCHING = 101
# The library's own logger writes every header at level DEBUG, and with them the token of whoever is logged in.
SILENT = logging.Logger("pvserve.websocket", logging.CRITICAL + 1)


def upgrade(transport: Transport, request: Request, subprotocols: Sequence[str], timeout: float) -> Duplex:
    """The open connection; `timeout` in seconds until it is open. Logs in again once on a 401.

    Raises what `failure` makes of a refusal, Temporary when the server cannot be reached, Refused("NoWebSocket") when
    it does not speak any of `subprotocols`.
    """
    login = transport.login
    duplex, answer = _try(login, request, subprotocols, timeout)
    if answer.status == 401:
        login = transport.renewed(login)
        duplex, answer = _try(login, request, subprotocols, timeout)
    if answer.status != SWITCHING:
        duplex.close()
        raise failure(request, answer, login.server)
    if duplex.subprotocol not in subprotocols:
        duplex.close()
        raise Refused(
            "NoWebSocket",
            f"{login.server} does not speak {' or '.join(subprotocols)} for {request.subject}",
            remedy=("check that a proxy before the API server lets WebSockets through",),
        )
    return duplex


def load_websockets() -> None:
    """Import what the first connection would else wait for: other commands never need it."""
    import websockets.client
    import websockets.frames
    import websockets.uri  # noqa: F401


def _try(login: Login, request: Request, subprotocols: Sequence[str], timeout: float) -> tuple[Duplex, Response]:
    """One attempt; closed already where it was refused."""
    from websockets.client import ClientProtocol
    from websockets.typing import Subprotocol
    from websockets.uri import parse_uri

    address = url(login.server, request).replace("http", "ws", 1)
    wanted = [Subprotocol(name) for name in subprotocols]
    protocol = ClientProtocol(parse_uri(address), subprotocols=wanted, max_size=None, logger=SILENT)
    asking = protocol.connect()
    asking.headers.update({"User-Agent": USER_AGENT, **login.headers})
    duplex = None
    try:
        duplex = Duplex(_socket(login, min(timeout, CONNECT_SECONDS)), protocol)
        answer = duplex.handshake(asking, timeout)
    except OSError as error:
        if duplex is not None:
            duplex.close()
        raise unreachable(login.server, request.subject, error) from error
    if answer.status_code != SWITCHING:
        duplex.close()
    headers = {key.lower(): value for key, value in answer.headers.raw_items()}
    return duplex, Response(answer.status_code, headers, bytes(answer.body or b""))


def _socket(login: Login, timeout: float) -> socket.socket:
    """A connection to the API server, in TLS where it has a certificate."""
    parts = urlsplit(login.server)
    host = parts.hostname or ""
    plain = dial(host, parts.port or DEFAULT_PORTS[parts.scheme], login.proxy, timeout)
    _keep_alive(plain)
    if login.tls is None:
        return plain
    try:
        return login.tls.wrap_socket(plain, server_hostname=login.server_name or host)
    except BaseException:
        plain.close()
        raise


def _keep_alive(sock: socket.socket) -> None:
    """A peer that vanished is noticed after about a minute, also by who only reads."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
