"""exec and port-forward over one WebSocket: framing, both directions at once, and how they end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.frames import Opcode

from pvserve.cluster import Cluster, ExecStream, duplex, line
from pvserve.cluster.exec import CLOSE, FRAME, NOT_STARTED, STATUS, STDERR, STDIN, STDOUT, V4, V5, ending
from pvserve.errors import NotAllowed, Refused, Temporary, TimedOut

from .authority import Authority
from .conftest import connected_to
from .sockets import Behaviour, Peer, SocketServer

OUT, ERR = bytes((STDOUT,)), bytes((STDERR,))
SUCCESS = bytes((STATUS,)) + json.dumps({"status": "Success"}).encode()
EXITED = (
    bytes((STATUS,))
    + json.dumps({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}}).encode()
)
BULK = 16 << 20

Start = Callable[..., tuple[Cluster, SocketServer]]
Command = Callable[[Cluster], ExecStream]


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(authority: Authority, tmp_path: Path) -> Iterator[Start]:
    """A cluster whose streams are served by `behaviour`."""
    running: list[SocketServer] = []

    def started(
        behaviour: Behaviour, subprotocols: tuple[str, ...] = (V5, V4), *, tls: bool = False, refuse: bool = False
    ) -> Any:
        context = authority.server_context("127.0.0.1") if tls else None
        server = SocketServer(behaviour, list(subprotocols), context, refuse=refuse)
        running.append(server)
        return connected_to(tmp_path, server.url, authority), server

    yield started
    for server in running:
        server.close()


@pytest.fixture
def command() -> Iterator[Command]:
    """Starts a command on a cluster; its stream is closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda cluster: stack.enter_context(cluster.exec("loader", "llm", "main", ["sh", "-c", "echo a b"]))


def collect(stream: ExecStream) -> bytes:
    """All standard output until the end."""
    out = bytearray()
    while True:
        got = stream.read(10)
        assert got is not None, "nothing came for 10 s"
        if not got[1]:
            return bytes(out)
        out += got[1]


def test_a_command_is_asked_for_word_by_word_with_its_input_open(start: Start, command: Command) -> None:
    cluster, server = start(lambda peer: peer.send(SUCCESS))
    assert collect(command(cluster)) == b""
    asked = urlsplit(server.requests[0].path)
    assert asked.path == "/api/v1/namespaces/llm/pods/loader/exec"
    assert parse_qs(asked.query) == {
        "container": ["main"],
        "stdin": ["true"],
        "stdout": ["true"],
        "stderr": ["true"],
        "tty": ["false"],
        "command": ["sh", "-c", "echo a b"],
    }
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


def test_output_arrives_by_channel_and_message_whatever_the_frames(start: Start, command: Command) -> None:
    def behaviour(peer: Peer) -> None:
        peer.send(OUT)  # the API server begins each channel with an empty message
        peer.send(ERR)
        peer.send(OUT + b"one ", b"two ", b"three")
        peer.ping()
        peer.send(ERR + b"oops")
        peer.send(SUCCESS)

    stream = command(start(behaviour)[0])
    assert [stream.read(5) for _ in range(3)] == [(1, b"one two three"), (2, b"oops"), (1, b"")]
    assert stream.returncode == 0


def test_input_is_cut_into_frames_and_ended(start: Start, command: Command) -> None:
    got: list[bytes] = []

    def behaviour(peer: Peer) -> None:
        while not got or got[-1] != bytes((CLOSE, STDIN)):
            got.append(peer.message())
        peer.send(SUCCESS)

    data = bytes(range(256)) * 1200
    stream = command(start(behaviour)[0])
    stream.write(data)
    stream.close_stdin()
    assert collect(stream) == b""
    assert b"".join(message[1:] for message in got[:-1]) == data
    assert {message[0] for message in got[:-1]} == {STDIN}
    assert max(len(message) for message in got) == 1 + FRAME


def test_the_old_protocol_cannot_end_input_and_says_so(start: Start, command: Command) -> None:
    got: list[bytes] = []

    def behaviour(peer: Peer) -> None:
        got.append(peer.message())
        peer.send(SUCCESS)

    stream = command(start(behaviour, (V4,))[0])
    assert not stream.ends_input
    stream.close_stdin()
    stream.write(b"x")
    collect(stream)
    assert got == [bytes((STDIN,)) + b"x"]


def test_both_directions_full_at_once_do_not_stand_still(start: Start, command: Command, scheme: str) -> None:
    received = []

    def behaviour(peer: Peer) -> None:
        for _ in range(BULK >> 16):
            peer.send(OUT + bytes(1 << 16))  # reads nothing meanwhile
        while sum(received) < BULK:
            received.append(len(peer.message()) - 1)
        peer.send(SUCCESS)

    stream = command(start(behaviour, tls=scheme == "https")[0])
    writer = threading.Thread(target=stream.write, args=(bytes(BULK),), daemon=True)
    writer.start()
    assert len(collect(stream)) == BULK
    writer.join(5)
    assert not writer.is_alive()
    assert stream.returncode == 0
    assert sum(received) == BULK


@pytest.mark.parametrize("how", ["cut", "closed"])
def test_an_end_without_a_status_is_unknown_and_never_success(start: Start, command: Command, how: str) -> None:
    def behaviour(peer: Peer) -> None:
        peer.send(OUT + b"half of it")
        if how == "closed":
            peer.close(1000)

    stream = command(start(behaviour)[0])
    assert collect(stream) == b"half of it"
    assert stream.returncode is None
    result = start(behaviour)[0].run("loader", "llm", "main", ["cat"])
    assert (result.out, result.returncode) == (b"half of it", None)


# Recorded while a kubelet was started again.
UNREACHED = (
    'Internal error occurred: error sending request: Post "https://10.244.0.1:10250/exec/llm/loader/main?command=cat": '
    "dial tcp 10.244.0.1:10250: connect: connection refused"
)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ({"status": "Success"}, 0, ""),
        (
            {
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "message": "command terminated with non-zero exit code",
                "details": {"causes": [{"reason": "ExitCode", "message": "42"}]},
            },
            42,
            "",
        ),
        ({"status": "Failure", "message": 'exec: "vim": not found'}, NOT_STARTED, 'exec: "vim": not found'),
        ({"status": "Failure", "message": UNREACHED}, None, UNREACHED),
    ],
)
def test_how_a_command_ended(status: dict[str, Any], code: int | None, words: str) -> None:
    assert ending(json.dumps(status).encode()) == (code, words)


def test_a_status_that_is_none_is_unknown() -> None:
    assert ending(b"\xff") == (None, "")
    assert ending(b'"Success"') == (None, "")
    assert ending(b"{}") == (None, "")


@pytest.mark.parametrize(("said", "believed"), [(SUCCESS, None), (EXITED, 3)], ids=["success", "failure"])
def test_a_command_that_does_not_take_its_input_is_never_success(
    said: bytes, believed: int | None, start: Start
) -> None:
    def behaviour(peer: Peer) -> None:
        peer.send(OUT + b"enough")
        peer.send(said)

    result = start(behaviour)[0].run("loader", "llm", "main", ["head", "-c1"], stdin=bytes(BULK))
    assert (result.out, result.returncode) == (b"enough", believed)


def test_writing_to_a_command_that_has_ended_is_a_broken_pipe(start: Start, command: Command) -> None:
    stream = command(start(lambda peer: peer.send(SUCCESS))[0])
    collect(stream)
    with pytest.raises(BrokenPipeError):
        stream.write(bytes(BULK))


def test_a_command_that_goes_on_too_long_times_out(start: Start) -> None:
    def behaviour(peer: Peer) -> None:
        while True:
            peer.message()

    with pytest.raises(TimedOut, match="did not end within"):
        start(behaviour)[0].run("loader", "llm", "main", ["sleep", "1d"], timeout=0.2)


def test_closing_wakes_who_waits(start: Start, command: Command) -> None:
    done = threading.Event()
    stream = command(start(lambda _: done.wait() and None)[0])
    threading.Timer(0.2, stream.close).start()
    began = time.monotonic()
    assert stream.read(20) == (1, b"")
    assert time.monotonic() - began < 5
    done.set()


def test_an_idle_connection_is_kept_alive(start: Start, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplex, "PING_SECONDS", 0.1)
    monkeypatch.setattr(line, "LOOK_SECONDS", 0.05)
    kinds: list[Opcode] = []

    def behaviour(peer: Peer) -> None:
        kinds.append(peer.frame().opcode)
        peer.send(SUCCESS)

    assert collect(command(start(behaviour)[0])) == b""
    assert kinds == [Opcode.PING]


FORBIDDEN = {
    "kind": "Status",
    "message": 'pods "loader" is forbidden: User "jane" cannot get resource "pods/exec" in API group "" '
    'in the namespace "llm"',
    "code": 403,
}


def test_a_forbidden_stream_names_verb_and_resource(start: Start, command: Command) -> None:
    cluster, _ = start(lambda peer: peer.refuse(403, FORBIDDEN), refuse=True)
    with pytest.raises(NotAllowed, match="user jane may not get pods/exec in namespace llm") as caught:
        command(cluster)
    assert "kubectl create role" in caught.value.remedy[0]


def test_an_expired_login_is_renewed_once_for_a_stream(start: Start, command: Command) -> None:
    turns = []

    def behaviour(peer: Peer) -> None:
        turns.append(1)
        if len(turns) == 1:
            peer.refuse(401, {"kind": "Status", "message": "Unauthorized"})
        else:
            peer.accept()
            peer.send(SUCCESS)

    stream = command(start(behaviour, refuse=True)[0])
    assert collect(stream) == b""
    assert stream.returncode == 0


def test_a_server_without_our_protocols_is_refused(start: Start, command: Command) -> None:
    with pytest.raises(Refused) as caught:
        command(start(lambda _: None, subprotocols=())[0])
    assert caught.value.reason == "NoWebSocket"


def test_a_connection_that_breaks_before_the_answer_is_temporary(start: Start, command: Command) -> None:
    with pytest.raises(Temporary):
        command(start(lambda _: None, refuse=True)[0])


PORT = (8080).to_bytes(2, "little")


def test_a_port_carries_bytes_both_ways_and_the_close(start: Start) -> None:
    def behaviour(peer: Peer) -> None:
        peer.send(b"\0" + PORT)
        peer.send(b"\1" + PORT)
        asked = peer.message()
        peer.send(b"\0" + asked[1:].upper())
        with pytest.raises(ConnectionError, match="goodbye"):
            peer.message()

    cluster, server = start(behaviour, (V4,))
    with cluster.forward("predictor", "llm", 8080) as tunnel:
        tunnel.sendall(b"hello")
        tunnel.settimeout(5)
        assert tunnel.recv(100) == b"HELLO"
    assert server.ended.wait(5)
    asked = urlsplit(server.requests[0].path)
    assert (asked.path, asked.query) == ("/api/v1/namespaces/llm/pods/predictor/portforward", "ports=8080")


def test_a_port_where_nobody_listens_reads_as_ended_with_the_reason(start: Start) -> None:
    def behaviour(peer: Peer) -> None:
        peer.send(b"\0" + PORT)
        peer.send(b"\1" + PORT)
        peer.send(b"\1connection refused")

    with start(behaviour, (V4,))[0].forward("predictor", "llm", 8080) as tunnel:
        tunnel.settimeout(5)
        assert tunnel.recv(100) == b""
        assert tunnel.failure == "connection refused"


def test_a_port_in_both_directions_at_once(start: Start, scheme: str) -> None:
    def behaviour(peer: Peer) -> None:
        peer.send(b"\0" + PORT)
        for _ in range(BULK >> 16):
            peer.send(b"\0" + bytes(1 << 16))
        left = BULK
        while left:
            left -= len(peer.message()) - 1
        peer.send(b"\0done")

    with start(behaviour, (V4,), tls=scheme == "https")[0].forward("predictor", "llm", 8080) as tunnel:
        writer = threading.Thread(target=tunnel.sendall, args=(bytes(BULK),), daemon=True)
        writer.start()
        tunnel.settimeout(10)
        got = b""
        count = 0
        while not got.endswith(b"done"):
            got = tunnel.recv(1 << 20)
            assert got, "ended too early"
            count += len(got)
        assert count == BULK + 4
