"""A new connection to the API server, outside the pool.

Owns how it is reached: proxy, TLS, keep-alive. Must not know what is said over it.
"""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from pvserve.cluster.login import Login
from pvserve.cluster.proxy import DEFAULT_PORTS, dial
from pvserve.cluster.transport import CONNECT_SECONDS, unreachable


def dialed(login: Login, subject: str, timeout: float) -> socket.socket:
    """Connected, in TLS where the server has a certificate. Raises Temporary when it cannot be reached."""
    try:
        return _dialed(login, min(timeout, CONNECT_SECONDS))
    except OSError as error:
        raise unreachable(login.server, subject, error) from error


def _dialed(login: Login, timeout: float) -> socket.socket:
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
