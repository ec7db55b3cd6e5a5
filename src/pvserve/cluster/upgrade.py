"""Opens a WebSocket to the API server.

Owns the upgrade request and what a refusal means. Must not know what is said over the connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from pvserve.cluster.dialing import dialed
from pvserve.cluster.duplex import Duplex
from pvserve.cluster.failures import Response, failure
from pvserve.cluster.login import Login
from pvserve.cluster.request import Request
from pvserve.cluster.switch import SWITCHING
from pvserve.cluster.transport import USER_AGENT, Transport, unreachable, url
from pvserve.errors import Refused

T = TypeVar("T")
# The library's own logger writes every header at level DEBUG, and with them the token of whoever is logged in.
SILENT = logging.Logger("pvserve.websocket", logging.CRITICAL + 1)


def upgrade(transport: Transport, request: Request, subprotocols: Sequence[str], timeout: float) -> Duplex:
    """The open connection; `timeout` in seconds until it is open. Logs in again once on a 401.

    Raises what `failure` makes of a refusal, Temporary when the server cannot be reached, Refused("NoWebSocket") when
    it does not speak any of `subprotocols`.
    """
    duplex, answer = renewing(transport, lambda login: _try(login, request, subprotocols, timeout))
    server = transport.login.server
    if answer.status != SWITCHING:
        raise failure(request, answer, server)
    if duplex.subprotocol not in subprotocols:
        duplex.close()
        raise Refused(
            "NoWebSocket",
            f"{server} does not speak {' or '.join(subprotocols)} for {request.subject}",
            remedy=("check that a proxy before the API server lets WebSockets through",),
        )
    return duplex


def renewing(transport: Transport, attempt: Callable[[Login], tuple[T, Response]]) -> tuple[T, Response]:
    """What `attempt` made, and the answer to it; made again with a new login where that was a 401."""
    login = transport.login
    made, answer = attempt(login)
    return attempt(transport.renewed(login)) if answer.status == 401 else (made, answer)


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
    duplex = Duplex(dialed(login, request.subject, timeout), protocol)
    try:
        answer = duplex.handshake(asking, timeout)
    except OSError as error:
        duplex.close()
        raise unreachable(login.server, request.subject, error) from error
    if answer.status_code != SWITCHING:
        duplex.close()
    headers = {key.lower(): value for key, value in answer.headers.raw_items()}
    return duplex, Response(answer.status_code, headers, bytes(answer.body or b""))
