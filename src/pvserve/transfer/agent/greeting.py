"""What a connection to the agent's port begins with: TLS, or an HTTP request to go on with TLS.

Owns the few lines of HTTP that the API server's pod proxy needs (pvserve.cluster.pod_proxy says which and why). Nobody
is trusted here yet: what is read is bounded in size, and in time by the caller. Must not know TLS or frames.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import socket
import time

CLIENT_HELLO = b"\x16"  # the first byte of TLS: a record of type handshake (RFC 8446, 5.1)
HEAD = 16 << 10  # bytes of a request; an API server adds a few headers to our few
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
TLS = "tls.pvserve.io"
_LINE = re.compile(rb"GET /[!-~]* HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")


class NoUpgrade(Exception):
    """What came is no request to go on with TLS."""


def left(deadline: float) -> float:
    """Seconds until then. Raises socket.timeout."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout("too late")
    return seconds


def greet(plain: socket.socket, deadline: float) -> None:
    """Return when TLS is what comes next, with a timeout that is left for it.

    Raises NoUpgrade, OSError; an HTTP client has had its answer then.
    """
    plain.settimeout(left(deadline))
    first = plain.recv(1, socket.MSG_PEEK)
    if first == CLIENT_HELLO:
        return
    if first != b"G":  # of GET
        raise NoUpgrade("neither TLS nor a request")
    try:
        answer = accepted(_head(plain, deadline))
    except NoUpgrade:
        plain.sendall(
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade, close\r\nContent-Length: 0\r\n\r\n"
        )
        raise
    plain.sendall(answer)
    plain.settimeout(left(deadline))


def _head(plain: socket.socket, deadline: float) -> bytes:
    """The request up to its empty line, which must be the last that was sent."""
    head = bytearray()
    while len(head) < HEAD:
        plain.settimeout(left(deadline))
        piece = plain.recv(HEAD - len(head))
        if not piece:
            raise NoUpgrade("the request ended early")
        head += piece
        end = head.find(b"\r\n\r\n", max(0, len(head) - len(piece) - 3))
        if 0 <= end < len(head) - 4:
            raise NoUpgrade("more came than the request")
        if end >= 0:
            return bytes(head[:end])
    raise NoUpgrade("the request is too long")


def accepted(head: bytes) -> bytes:
    """The answer that agrees to the request `head`. Raises NoUpgrade where it asks for anything else."""
    line, *lines = head.split(b"\r\n")
    if not _LINE.fullmatch(line):
        raise NoUpgrade("no GET")
    fields: dict[str, str] = {}
    for text in lines:
        found = _FIELD.fullmatch(text)
        if not found:
            raise NoUpgrade("a header that is none")
        name = found.group(1).decode("ascii").lower()
        value = found.group(2).decode("latin-1").strip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    key = _key(fields.get("sec-websocket-key"))
    if (
        key is None
        or "upgrade" not in _words(fields.get("connection", ""))
        or _words(fields.get("upgrade", "")) != ["websocket"]
        or TLS not in _words(fields.get("sec-websocket-protocol", ""))
        or fields.get("content-length", "0") != "0"
        or "transfer-encoding" in fields
    ):
        raise NoUpgrade("another upgrade than ours")
    agreed = base64.b64encode(hashlib.sha1(key + MAGIC).digest())  # noqa: S324 - RFC 6455 wants it, secures nothing
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + agreed + b"\r\nSec-WebSocket-Protocol: " + TLS.encode("ascii") + b"\r\n\r\n"
    )


def _words(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(",")]


def _key(value: str | None) -> bytes | None:
    """Sixteen bytes in base64."""
    try:
        text = (value or "").encode("ascii")
        return text if len(base64.b64decode(text, validate=True)) == 16 else None
    except (UnicodeEncodeError, binascii.Error):
        return None
