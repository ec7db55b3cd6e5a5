"""A port of a pod over SPDY: how it is asked for, both directions, ends and errors, refusals, and peers that lie."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvserve.cluster import Cluster, NotFound, forward, line, spdy
from pvserve.cluster.line import Closed, Line
from pvserve.cluster.spdy import FRAME, Pair
from pvserve.errors import NotAllowed, PvserveError, Temporary

from .authority import Authority
from .conftest import kubeconfig
from .spdy_server import ACCEPTED, FIN, GOAWAY, PING, RST_STREAM, SYN_REPLY, SpdyPeer, SpdyServer, Spoken

BULK = 16 << 20
MIB = 1 << 20

Start = Callable[..., tuple[Cluster, SpdyServer]]


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(authority: Authority, tmp_path: Path) -> Iterator[Start]:
    """A cluster whose ports are served by `spoken`."""
    running: list[SpdyServer] = []

    def started(spoken: Spoken, *, tls: bool = False) -> Any:
        server = SpdyServer(spoken, authority.server_context("127.0.0.1") if tls else None)
        running.append(server)
        path = kubeconfig(tmp_path, server.url)
        if tls:
            path.write_text(path.read_text().replace('"}}]', f'", certificate-authority: {authority.file}}}}}]'))
        return Cluster.connect(kubeconfig=str(path)), server

    yield started
    for server in running:
        server.close()


def opened(cluster: Cluster) -> Pair:
    found = cluster.forwarded("predictor", "llm", 8080)
    assert isinstance(found, Pair)
    found.settimeout(10)
    return found


def received(port: forward.Forward) -> bytes:
    """All until the end."""
    view = memoryview(bytearray(MIB))
    got = bytearray()
    while count := port.recv_into(view):
        got += view[:count]
    return bytes(got)


def test_a_port_is_asked_for_and_carries_bytes_both_ways_and_the_close(start: Start, scheme: str) -> None:
    asked: list[dict[str, str]] = []
    last = []

    def spoken(peer: SpdyPeer) -> None:
        asked.extend(peer.accept())
        peer.send(peer.bytes(5).upper())
        last.append(peer.frame())
        peer.end()

    cluster, server = start(spoken, tls=scheme == "https")
    with cluster.forward("predictor", "llm", 8080) as tunnel:
        tunnel.settimeout(10)
        tunnel.sendall(b"hello")
        assert tunnel.recv(100) == b"HELLO"
    assert server.ended.wait(10)
    lines = server.heads[0].decode().split("\r\n")
    assert lines[0] == "GET /api/v1/namespaces/llm/pods/predictor/portforward?ports=8080 HTTP/1.1"
    wanted = {"Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: portforward.k8s.io", "Authorization: Bearer secret"}
    assert wanted <= set(lines)
    assert asked == [{"streamtype": kind, "port": "8080", "requestid": "0"} for kind in ("error", "data")]
    assert (last[0].kind, last[0].flags, last[0].body) == (0, FIN, b"")


def test_both_directions_full_at_once_do_not_stand_still(start: Start, scheme: str) -> None:
    digests = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        for _ in range(BULK // MIB):
            peer.send(bytes(MIB))  # reads nothing meanwhile
        digests.append(hashlib.sha256(peer.bytes(BULK)).digest())
        peer.send(b"done")
        peer.end()

    data = bytes(range(256)) * (BULK >> 8)
    port = opened(start(spoken, tls=scheme == "https")[0])
    writer = threading.Thread(target=port.sendall, args=(data,), daemon=True)
    writer.start()
    assert received(port) == bytes(BULK) + b"done"
    writer.join(10)
    assert not writer.is_alive()
    assert digests == [hashlib.sha256(data).digest()]
    port.close()


def test_what_is_sent_comes_in_frames_of_bounded_size(start: Start) -> None:
    sizes: list[int] = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        while sum(sizes) < 3 * FRAME + 1:
            sizes.append(len(peer.frame().body))
        peer.end()

    port = opened(start(spoken)[0])
    port.sendall(bytes(3 * FRAME + 1))
    assert received(port) == b""
    assert sizes == [FRAME, FRAME, FRAME, 1]
    port.close()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (
            b"error forwarding port 8080 to pod p: connection refused",
            "error forwarding port 8080 to pod p: connection refused",
        ),
        (json.dumps({"closeConnection": True, "message": "connection refused"}).encode() + b"\n", "connection refused"),
        (b"[1]", "[1]"),
        (b"", ""),
        (b"x" * MIB, "x" * spdy.WORDS),
    ],
    ids=["text", "json", "other json", "nothing", "endless"],
)
def test_a_port_where_nobody_listens_reads_as_ended_with_the_reason(start: Start, said: bytes, heard: str) -> None:
    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.end(said)

    cluster, _ = start(spoken)
    port = opened(cluster)
    assert received(port) == b""
    assert port.failure == heard
    with pytest.raises(Closed, match=heard[:20] or "has ended"):
        port.sendall(b"anybody?")
    port.close()
    with cluster.forward("predictor", "llm", 8080) as tunnel:
        tunnel.settimeout(10)
        assert tunnel.recv(100) == b""
        assert tunnel.failure == heard


@pytest.mark.parametrize("how", ["cut", "cut in a frame", "reset", "words never end"])
def test_an_end_is_noticed_however_it_comes(start: Start, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spdy, "LAST_WORDS_SECONDS", 0.2)
    over = threading.Event()

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        if how == "cut in a frame":
            peer.sock.sendall(struct.pack("!II", peer.data, 1000) + b"half of it")
            return
        peer.send(b"half of it")
        if how == "reset":
            for number in (peer.data, peer.errors):
                peer.control(RST_STREAM, struct.pack("!II", number, 5))
        elif how == "words never end":
            peer.send(b"", flags=FIN)
        if how != "cut":
            over.wait(10)

    port = opened(start(spoken)[0])
    assert received(port) == b"half of it"
    assert received(port) == b""  # and stays so
    over.set()
    port.close()


def control(kind: int, size: int, body: bytes = b"") -> bytes:
    return struct.pack("!HHI", 0x8003, kind, size) + body


@pytest.mark.parametrize(
    "garbage",
    [
        struct.pack("!HHI", 0x8002, SYN_REPLY, 4) + bytes(4),
        control(SYN_REPLY, spdy.LONGEST_CONTROL + 1),
        control(7, 0xFFFFFF),
        b"\xff" * 64,
        b"\x88\x02\0\0",
    ],
    ids=["version 2", "over-long reply", "over-long goaway", "ones", "half a head"],
)
def test_garbage_ends_the_connection_and_nothing_waits_for_more(start: Start, garbage: bytes) -> None:
    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.send(b"good")
        peer.sock.sendall(garbage)

    cluster, _ = start(spoken)
    port = opened(cluster)
    view = memoryview(bytearray(100))
    assert port.recv_into(view) == 4
    try:
        assert port.recv_into(view) == 0
    except Closed as error:
        assert "does not speak SPDY/3.1" in str(error)  # noqa: PT017 - either end will do
    port.close()
    with cluster.forward("predictor", "llm", 8080) as tunnel:
        tunnel.settimeout(10)
        assert tunnel.recv(100) == b"good"
        assert tunnel.recv(100) == b""


def test_what_says_nothing_about_our_streams_is_passed_over(start: Start) -> None:
    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.send(b"stranger", 99)
        peer.control(4, struct.pack("!III", 1, 4, 100))  # SETTINGS
        peer.control(9, struct.pack("!II", peer.data, 1 << 20))  # WINDOW_UPDATE
        peer.control(8, peer.data.to_bytes(4, "big") + bytes(8))  # HEADERS
        peer.control(77, b"")
        peer.control(RST_STREAM, struct.pack("!II", 99, 1))
        peer.control(GOAWAY, struct.pack("!II", peer.data, 0))
        peer.send(b"")
        peer.send(b"ours")
        peer.end()

    port = opened(start(spoken)[0])
    assert received(port) == b"ours"
    port.close()


def test_pings_are_answered_and_those_to_our_own_are_not(start: Start) -> None:
    got = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.control(PING, (7).to_bytes(4, "big"))
        peer.control(PING, (8).to_bytes(4, "big"))
        got.append(peer.frame())
        peer.end()

    port = opened(start(spoken)[0])
    assert received(port) == b""
    assert [(frame.kind, frame.number) for frame in got] == [(PING, 8)]
    port.close()


def test_pings_without_end_take_no_memory_while_our_side_cannot_send(start: Start) -> None:
    flood = b"".join(control(PING, 4, (2 * number).to_bytes(4, "big")) for number in range(1, 20_000))

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.sock.sendall(flood)  # reads nothing meanwhile
        peer.send(b"after it")
        peer.bytes(MIB)
        while not peer.frame().kind:
            pass
        peer.end()

    port = opened(start(spoken)[0])
    writer = threading.Thread(target=port.sendall, args=(bytes(BULK),), daemon=True)
    writer.start()
    view = memoryview(bytearray(100))
    assert port.recv_into(view) == len(b"after it")
    assert len(port._replies) <= spdy.REPLIES
    assert received(port) == b""
    writer.join(10)
    assert not writer.is_alive()
    port.close()


def test_an_idle_connection_is_kept_alive(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spdy, "PING_SECONDS", 0.1)
    monkeypatch.setattr(line, "LOOK_SECONDS", 0.05)
    got = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        for _ in range(2):
            got.append(peer.frame())
            peer.control(PING, got[-1].body)
        peer.end()

    port = opened(start(spoken)[0])
    assert received(port) == b""
    assert [(frame.kind, frame.number) for frame in got] == [(PING, 1), (PING, 3)]
    port.close()


def test_nothing_comes_in_time(start: Start) -> None:
    over = threading.Event()

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        over.wait(10)

    port = opened(start(spoken)[0])
    port.settimeout(0.1)
    with pytest.raises(TimeoutError, match="nothing came"):
        port.recv_into(memoryview(bytearray(1)))
    over.set()
    port.close()


def test_closing_wakes_who_waits(start: Start) -> None:
    over = threading.Event()

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        over.wait(20)

    port = opened(start(spoken)[0])
    port.settimeout(None)
    threading.Timer(0.2, port.close).start()
    began = time.monotonic()
    with pytest.raises(Closed):
        port.recv_into(memoryview(bytearray(1)))
    assert time.monotonic() - began < 10
    over.set()


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
    start: Start, refusing: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "SPDY_SECONDS", 0.3)

    def spoken(peer: SpdyPeer) -> None:
        (by_websocket if peer.headers["upgrade"] == "websocket" else refusing)(peer)

    port = start(spoken)[0].forwarded("predictor", "llm", 8080)
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
    start: Start, answer: bytes, error: type[PvserveError], words: str
) -> None:
    cluster, server = start(answering(answer))
    with pytest.raises(error, match=words):
        cluster.forwarded("predictor", "llm", 8080)
    assert len(server.heads) == 1


def test_an_expired_login_is_renewed_once(start: Start) -> None:
    def spoken(peer: SpdyPeer) -> None:
        if len(server.heads) == 1:
            peer.sock.sendall(status(401, message="Unauthorized"))
        else:
            peer.accept()
            peer.end()

    cluster, server = start(spoken)
    port = opened(cluster)
    assert received(port) == b""
    assert len(server.heads) == 2
    port.close()


def test_a_server_that_is_not_there_is_temporary(start: Start) -> None:
    cluster, server = start(lambda _: None)
    server.close()
    with pytest.raises(Temporary, match="does not answer"):
        cluster.forwarded("predictor", "llm", 8080)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    parts=st.lists(st.binary(max_size=300), max_size=8),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20),
    view_size=st.integers(1, 400),
)
def test_bytes_arrive_the_same_however_they_are_cut(parts: list[bytes], cuts: list[int], view_size: int) -> None:
    ours, theirs = socket.socketpair()
    frames = b"".join(control(SYN_REPLY, 16, number.to_bytes(4, "big") + bytes(12)) for number in (1, 3))
    frames += b"".join(struct.pack("!II", 3, len(part)) + part for part in parts)
    frames += struct.pack("!II", 1, 5) + b"words" + b"".join(struct.pack("!II", n, FIN << 24) for n in (3, 1))

    def feed() -> None:
        at = turn = 0
        while at < len(frames):
            size = cuts[turn % len(cuts)]
            theirs.sendall(frames[at : at + size])
            at, turn = at + size, turn + 1

    feeder = threading.Thread(target=feed)
    feeder.start()
    pair = Pair(Line(ours), 8080, 10)
    pair.settimeout(10)
    view = memoryview(bytearray(view_size))
    got = b""
    while count := pair.recv_into(view):
        got += view[:count]
    feeder.join()
    assert (got, pair.failure) == (b"".join(parts), "words")
    pair.close()
    theirs.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(garbage=st.binary(max_size=200))
def test_no_bytes_crash_or_hang_it(garbage: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"".join(control(SYN_REPLY, 4, number.to_bytes(4, "big")) for number in (1, 3)) + garbage)
    theirs.shutdown(socket.SHUT_WR)
    pair = Pair(Line(ours), 8080, 10)
    pair.settimeout(10)
    view = memoryview(bytearray(100))
    try:
        while pair.recv_into(view):
            pass
    except Closed:
        pass
    assert isinstance(pair.failure, str)
    pair.close()
    theirs.close()
