"""Ways into a pod: straight to its address, by the pod proxy, a port-forward, or exec; the first that works.

Owns opening, naming and closing the streams of one session. Must not know what goes over them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable

from pvserve.errors import PvserveError, Refused, Temporary
from pvserve.model import shown
from pvserve.transfer.agent.frames import HELLO, VERSION, Broken, Buffer, Wire
from pvserve.transfer.answers import understood
from pvserve.transfer.bundle import agent_command, agent_input
from pvserve.transfer.channel import Channel
from pvserve.transfer.tls import Secret, new_secret, secure, secure_within
from pvserve.transfer.values import STDERR, STDOUT, ExecStream, Reach, Stream, Via

HEARD = "/tmp/pvserve-heard"  # noqa: S108 - in the pod: plan.loader waits for it
CONNECT_SECONDS = 2.0  # a NetworkPolicy that drops costs this much, once
FIXED_SECONDS, FIXED_TRIES = 10.0, 3  # where there is no second choice
START_SECONDS = 30.0
NOISE = 2000  # bytes of stderr kept for an error
LAST_WORDS_SECONDS = 3.0
KILLED = (137, 143)  # by the kernel for memory, or with its pod: no sign of what the pod lacks


SILENT_SECONDS = 60.0  # the agent says something every 5 s


class NoAgent(Exception):
    """The pod cannot run the agent; `why` in its own words."""


def load_channels() -> None:
    """Import and compile what the first channel would else wait for."""
    new_secret()
    agent_input()


def open_channel(reach: Reach, via: Via, place: str) -> Channel:
    """Start the agent for `place` and connect to it.

    Raises:
        Temporary: nothing works now. Refused: `via` names a way that this pod or network does not have.
        NoAgent: the pod has no Python 3.8 or newer.
    """
    if via == "exec":
        return exec_channel(reach, place)
    tried: list[str] = []
    try:
        secret = new_secret()
        for name in _ways(via):
            if name == "pod" and not reach.address:
                tried.append("pod: it has no address")
                continue
            port = _start_listener(reach, secret, place)  # for each try: it serves one client and ends with it
            try:
                found = _direct(name, reach, secret, port, CONNECT_SECONDS if via == "auto" else FIXED_SECONDS)
                found.passed_over = "; ".join(tried)
                return found
            except (
                Broken,
                ConnectionResetError,
                ssl.SSLEOFError,
            ) as error:  # it answered, and went away: the next try meets another
                tried.append(f"{name}: {error}")
            except (OSError, PvserveError) as error:
                tried.append(f"{name}: {_why(error)}")
                if via != "auto":
                    break
    except NoAgent as error:
        tried.append(str(error))
    if via == "auto":
        found = exec_channel(reach, place)
        found.passed_over = "; ".join(tried)
        return found
    raise Refused(
        "ChannelUnavailable",
        f"the channel {via} does not work here: {'; '.join(dict.fromkeys(tried))}",
        remedy=("leave out --via: pvserve then takes the next best channel",),
    )


def _ways(via: Via) -> tuple[str, ...]:
    """In the order of trying; a fixed one several times, as a client that slept finds its first listener gone."""
    return ("pod", "proxy", "port-forward") if via == "auto" else (via,) * FIXED_TRIES


def _why(error: Exception) -> str:
    detail = error.detail if isinstance(error, Temporary) else ""  # "does not answer" alone does not say who
    return f"{error} ({detail})" if detail else str(error)


def streams_for(name: str) -> int:
    """How many data streams: one keeps two processors busy (1040 MB/s against 730 with two, benchmarks/README.md).

    Through the API server one or more cost the same CPU seconds per GB; a second one hides the pauses of those between
    (by the proxy 96, 112, 117 MB/s for 1, 2, 4 at a load of 20; by port-forward 126, 145, 120 for 1, 2, 3 at 6 to 10).
    """
    processors = os.cpu_count() or 1
    return min(4, max(1, processors // 2)) if name == "pod" else min(4, max(2, processors))


def exec_channel(reach: Reach, place: str) -> Channel:
    """The agent on the stdin and stdout of one exec."""
    stream = reach.stream(agent_command(place))
    talk = _ExecTalk(stream)
    wire = Wire(talk.read_into, talk.write, guard=True)
    channel = Channel("exec", wire, [wire], closing=[talk.close])
    try:
        talk.write(agent_input())
        wire.send_json(HELLO, {"version": VERSION, "heard": HEARD})
        with understood():
            if wire.expect(HELLO).json()["version"] != VERSION:
                raise NoAgent("the agent speaks another version")
    except (Broken, OSError, Temporary) as error:
        talk.listen_out()
        channel.close()
        if _was_killed(stream.returncode):
            raise Broken(f"the agent was killed while it started (exit code {stream.returncode})") from error
        if talk.said or stream.returncode:
            raise NoAgent(f"the agent did not start: {shown(talk.said) or f'exit code {stream.returncode}'}") from error
        raise
    except BaseException:
        channel.close()
        raise
    return channel


def _start_listener(reach: Reach, secret: Secret, place: str) -> int:
    """Run the agent, which stays behind as a listener; its port."""
    out = bytearray()
    hello = Wire(_nothing, out.extend, guard=True)
    hello.send_json(
        HELLO,
        {
            "version": VERSION,
            "heard": HEARD,
            "certificate": secret.certificate,
            "key": secret.key,
            "token": secret.token,
        },
    )
    result = reach.run(agent_command(place), stdin=agent_input() + bytes(out), timeout=START_SECONDS)
    answer = memoryview(result.out)
    position = 0

    def read_into(view: memoryview) -> int:
        nonlocal position
        piece = answer[position : position + len(view)]
        view[: len(piece)] = piece
        position += len(piece)
        return len(piece)

    try:
        return int(Wire(read_into, _silent, guard=True).expect(HELLO).json()["port"])
    except (Broken, KeyError, TypeError, ValueError) as error:
        if result.returncode is None or _was_killed(result.returncode):
            raise Broken(f"the agent was stopped while it started (exit code {result.returncode})") from error
        said = result.err[-NOISE:].decode("utf-8", "replace").strip() or f"exit code {result.returncode}"
        raise NoAgent(f"the agent did not start: {shown(said)}") from error


def _was_killed(code: int | None) -> bool:
    return code is not None and (code in KILLED or code < 0)


def _nothing(_data: Buffer) -> int:
    return 0


def _silent(_data: Buffer) -> None:
    return None


def _direct(name: str, reach: Reach, secret: Secret, port: int, patience: float) -> Channel:
    """A control stream and data streams over TLS; `patience` in seconds for each to open."""

    def connect(role: str) -> Wire:
        stream: Stream
        if name == "pod":
            wire, stream = secure(_dialed(reach, port, patience), secret, role)
        else:
            below = reach.proxied(port, patience) if name == "proxy" else reach.forward(port)
            wire, stream = secure_within(below, secret, role)
        stream.settimeout(SILENT_SECONDS if role == "control" else None)
        closing.append(stream.close)
        return wire

    closing: list[Callable[[], None]] = []
    try:
        control = connect("control")
        return Channel(name, control, [connect("data") for _ in range(streams_for(name))], closing=closing)
    except BaseException:
        for close in closing:
            close()
        raise


def _dialed(reach: Reach, port: int, patience: float) -> socket.socket:
    if not reach.address:
        raise OSError("the pod has no address")
    plain = socket.create_connection((reach.address, port), timeout=patience)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


class _ExecTalk:
    """An exec stream as bytes; what the program says on stderr is kept, bounded, for an error."""

    def __init__(self, stream: ExecStream) -> None:
        self._stream = stream
        self._left = memoryview(b"")
        self._closed = threading.Event()
        self.said = ""

    def read_into(self, view: memoryview) -> int:
        deadline = time.monotonic() + SILENT_SECONDS
        while not self._left:
            if self._closed.is_set() or time.monotonic() > deadline:
                return 0
            got = self._stream.read(timeout=1.0)
            if got is None:
                if self._stream.returncode is not None:
                    return 0
                continue
            channel, data = got
            if channel == STDERR:
                self.said = (self.said + data.decode("utf-8", "replace"))[-NOISE:]
            elif channel == STDOUT:
                if not data:
                    return 0
                self._left = memoryview(data)
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def write(self, data: Buffer) -> None:
        self._stream.write(bytes(data))

    def listen_out(self) -> None:
        """Hear what a program that ended still has to say."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        with contextlib.suppress(OSError, PvserveError):
            while time.monotonic() < deadline:
                got = self._stream.read(timeout=0.2)
                if got and got[0] == STDERR:
                    self.said = (self.said + got[1].decode("utf-8", "replace"))[-NOISE:]
                elif (got or (0, b"")) == (STDOUT, b"") or self._stream.returncode is not None:
                    return

    def close(self) -> None:
        self._closed.set()
        self._stream.close()
