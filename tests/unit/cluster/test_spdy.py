"""A port of a pod over SPDY: how it is asked for, both directions, ends and errors, and peers that lie."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvserve.cluster import line, spdy
from pvserve.cluster.line import Closed, Line
from pvserve.cluster.spdy import FRAME, Pair

from .conftest import ServeSpdy
from .spdy_server import FIN, GOAWAY, MIB, PING, RST_STREAM, SYN_REPLY, SpdyPeer, opened, received

BULK = 16 << 20


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_port_is_asked_for_and_carries_bytes_both_ways_and_the_close(serve_spdy: ServeSpdy, scheme: str) -> None:
    asked: list[dict[str, str]] = []
    last = []

    def spoken(peer: SpdyPeer) -> None:
        asked.extend(peer.accept())
        peer.send(peer.bytes(5).upper())
        last.append(peer.frame())
        peer.end()

    cluster, server = serve_spdy(spoken, tls=scheme == "https")
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


def test_both_directions_full_at_once_do_not_stand_still(serve_spdy: ServeSpdy, scheme: str) -> None:
    digests = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        for _ in range(BULK // MIB):
            peer.send(bytes(MIB))  # reads nothing meanwhile
        digests.append(hashlib.sha256(peer.bytes(BULK)).digest())
        peer.send(b"done")
        peer.end()

    data = bytes(range(256)) * (BULK >> 8)
    port = opened(serve_spdy(spoken, tls=scheme == "https")[0])
    writer = threading.Thread(target=port.sendall, args=(data,), daemon=True)
    writer.start()
    assert received(port) == bytes(BULK) + b"done"
    writer.join(10)
    assert not writer.is_alive()
    assert digests == [hashlib.sha256(data).digest()]
    port.close()


def test_what_is_sent_comes_in_frames_of_bounded_size(serve_spdy: ServeSpdy) -> None:
    sizes: list[int] = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        while sum(sizes) < 3 * FRAME + 1:
            sizes.append(len(peer.frame().body))
        peer.end()

    port = opened(serve_spdy(spoken)[0])
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
def test_a_port_where_nobody_listens_reads_as_ended_with_the_reason(
    serve_spdy: ServeSpdy, said: bytes, heard: str
) -> None:
    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.end(said)

    cluster, _ = serve_spdy(spoken)
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
def test_an_end_is_noticed_however_it_comes(serve_spdy: ServeSpdy, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
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

    port = opened(serve_spdy(spoken)[0])
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
def test_garbage_ends_the_connection_and_nothing_waits_for_more(serve_spdy: ServeSpdy, garbage: bytes) -> None:
    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.send(b"good")
        peer.sock.sendall(garbage)

    cluster, _ = serve_spdy(spoken)
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


def test_what_says_nothing_about_our_streams_is_passed_over(serve_spdy: ServeSpdy) -> None:
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

    port = opened(serve_spdy(spoken)[0])
    assert received(port) == b"ours"
    port.close()


def test_pings_are_answered_and_those_to_our_own_are_not(serve_spdy: ServeSpdy) -> None:
    got = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.control(PING, (7).to_bytes(4, "big"))
        peer.control(PING, (8).to_bytes(4, "big"))
        got.append(peer.frame())
        peer.end()

    port = opened(serve_spdy(spoken)[0])
    assert received(port) == b""
    assert [(frame.kind, frame.number) for frame in got] == [(PING, 8)]
    port.close()


def test_pings_without_end_take_no_memory_while_our_side_cannot_send(serve_spdy: ServeSpdy) -> None:
    flood = b"".join(control(PING, 4, (2 * number).to_bytes(4, "big")) for number in range(1, 20_000))

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        peer.sock.sendall(flood)  # reads nothing meanwhile
        peer.send(b"after it")
        peer.bytes(MIB)
        while not peer.frame().kind:
            pass
        peer.end()

    port = opened(serve_spdy(spoken)[0])
    writer = threading.Thread(target=port.sendall, args=(bytes(BULK),), daemon=True)
    writer.start()
    view = memoryview(bytearray(100))
    assert port.recv_into(view) == len(b"after it")
    assert len(port._replies) <= spdy.REPLIES
    assert received(port) == b""
    writer.join(10)
    assert not writer.is_alive()
    port.close()


def test_an_idle_connection_is_kept_alive(serve_spdy: ServeSpdy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spdy, "PING_SECONDS", 0.1)
    monkeypatch.setattr(line, "LOOK_SECONDS", 0.05)
    got = []

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        for _ in range(2):
            got.append(peer.frame())
            peer.control(PING, got[-1].body)
        peer.end()

    port = opened(serve_spdy(spoken)[0])
    assert received(port) == b""
    assert [(frame.kind, frame.number) for frame in got] == [(PING, 1), (PING, 3)]
    port.close()


def test_nothing_comes_in_time(serve_spdy: ServeSpdy) -> None:
    over = threading.Event()

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        over.wait(10)

    port = opened(serve_spdy(spoken)[0])
    port.settimeout(0.1)
    with pytest.raises(TimeoutError, match="nothing came"):
        port.recv_into(memoryview(bytearray(1)))
    over.set()
    port.close()


def test_closing_wakes_who_waits(serve_spdy: ServeSpdy) -> None:
    over = threading.Event()

    def spoken(peer: SpdyPeer) -> None:
        peer.accept()
        over.wait(20)

    port = opened(serve_spdy(spoken)[0])
    port.settimeout(None)
    threading.Timer(0.2, port.close).start()
    began = time.monotonic()
    with pytest.raises(Closed):
        port.recv_into(memoryview(bytearray(1)))
    assert time.monotonic() - began < 10
    over.set()


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
