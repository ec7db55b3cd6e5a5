"""Where SPDY is not let through a WebSocket carries the bytes; what the API server says itself is final."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from pvserve.cluster import NotFound, forward
from pvserve.errors import NotAllowed, PvserveError, Temporary

from .conftest import ServeSpdy
from .spdy_server import ACCEPTED, RST_STREAM, SpdyPeer, Spoken, opened, received


def by_websocket(peer: SpdyPeer) -> None:
    """What is asked for as a WebSocket: agreed to, and one message."""
    magic = peer.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    agreed = base64.b64encode(hashlib.sha1(magic.encode(), usedforsecurity=False).digest()).decode()
    head = f"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {agreed}\r\n"
    peer.sock.sendall(f"{head}Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n".encode())
    for message in (b"\0\x90\x1f", b"\1\x90\x1f", b"\0by WebSocket"):
        peer.sock.sendall(bytes((0x82, len(message))) + message)


def answering(answer: bytes, *more: Callable[[SpdyPeer], None]) -> Spoken:
    def spoken(peer: SpdyPeer) -> None:
        peer.sock.sendall(answer)
        for also in more:
            also(peer)

    return spoken


def status(code: int, **more: Any) -> bytes:
    body = json.dumps({"kind": "Status", "code": code, **more}).encode()
    return b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)


def reset_both(peer: SpdyPeer) -> None:
    for number in (1, 3):
        peer.control(RST_STREAM, struct.pack("!II", number, 1))


@pytest.mark.parametrize(
    "refusing",
    [
        answering(status(400, message="Upgrade request required")),
        answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nno <b"),
        answering(b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n"),
        answering(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nless"),
        answering(b"\x15\x03\x01"),
        answering(b"HTTP/1.1 101 " + b"x" * (1 << 17)),
        answering(b"HTTP/1.1 101 OK\r\n" + b"a: b\r\n" * 1000),
        answering(b""),
        answering(b"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
        answering(ACCEPTED),
        answering(ACCEPTED, reset_both),
        answering(ACCEPTED + b"\x88\x02\xff\xff"),
        answering(ACCEPTED, lambda peer: time.sleep(1)),
        lambda peer: time.sleep(1),
    ],
    ids=[
        *("no upgrade", "403 of a proxy", "502 of a proxy", "426", "less than said", "no HTTP", "long line"),
        *(
            "many headers",
            "cut",
            "something else",
            "101 and cut",
            "101 and resets",
            "101 and garbage",
            "101 and silence",
        ),
        "silence",
    ],
)
def test_where_spdy_is_not_let_through_a_websocket_carries_the_bytes(
    serve_spdy: ServeSpdy, refusing: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "SPDY_SECONDS", 0.3)

    def spoken(peer: SpdyPeer) -> None:
        (by_websocket if peer.headers["upgrade"] == "websocket" else refusing)(peer)

    port = serve_spdy(spoken)[0].forwarded("predictor", "llm", 8080)
    assert isinstance(port, forward.ByMessages)
    port.settimeout(10)
    assert received(port) == b"by WebSocket"
    port.close()


FORBIDDEN = (
    'pods "p" is forbidden: User "jane" cannot get resource "pods/portforward" in API group "" in the namespace "llm"'
)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (status(403, message=FORBIDDEN), NotAllowed, "user jane may not get pods/portforward in namespace llm"),
        (status(404, message="gone", details={"name": "predictor", "kind": "pods"}), NotFound, "predictor"),
        (status(500, message="error dialing backend: connection refused"), Temporary, "error dialing backend"),
    ],
    ids=["403", "404", "500"],
)
def test_what_the_api_server_says_itself_is_final(
    serve_spdy: ServeSpdy, answer: bytes, error: type[PvserveError], words: str
) -> None:
    cluster, server = serve_spdy(answering(answer))
    with pytest.raises(error, match=words):
        cluster.forwarded("predictor", "llm", 8080)
    assert len(server.heads) == 1


def test_an_expired_login_is_renewed_once(serve_spdy: ServeSpdy) -> None:
    def spoken(peer: SpdyPeer) -> None:
        if len(server.heads) == 1:
            peer.sock.sendall(status(401, message="Unauthorized"))
        else:
            peer.accept()
            peer.end()

    cluster, server = serve_spdy(spoken)
    port = opened(cluster)
    assert received(port) == b""
    assert len(server.heads) == 2
    port.close()


def test_a_server_that_is_not_there_is_temporary(serve_spdy: ServeSpdy) -> None:
    cluster, server = serve_spdy(lambda _: None)
    server.close()
    with pytest.raises(Temporary, match="does not answer"):
        cluster.forwarded("predictor", "llm", 8080)
