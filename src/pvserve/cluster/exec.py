"""A command in a container: its input and output as they come, and how it ended.

Owns the channels of the exec protocol. Must not know what is run.
Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pvserve.cluster.duplex import Duplex
from pvserve.cluster.kinds import KNOWN
from pvserve.cluster.line import Buffer, Closed
from pvserve.cluster.request import Request, on
from pvserve.cluster.transport import Transport
from pvserve.cluster.upgrade import upgrade
from pvserve.errors import TimedOut

STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
V5, V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"  # v4 (before Kubernetes 1.30) cannot end a command's input
FRAME = 1 << 17
OPEN_SECONDS = 30.0
NOT_STARTED = 127  # what a shell returns for a program that it cannot start
# The API server did not reach the kubelet, which may be starting (client-go transport/spdy/spdy.go Negotiate, and
# apiserver/pkg/util/proxy/dial.go): it says nothing of the command.
_UNREACHED = re.compile(r"(Internal error occurred: )?error (sending request|dialing backend): ")


def exec_request(pod: str, namespace: str, container: str, argv: Sequence[str], *, stdin: bool = True) -> Request:
    """The upgrade request; needs `get` and, from Kubernetes 1.35 on, `create` of pods/exec."""
    request = on(KNOWN["v1", "Pod"], "create", namespace, pod, "exec")
    streams = (("stdin", stdin), ("stdout", True), ("stderr", True), ("tty", False))
    query = [("container", container), *((name, "true" if wanted else "false") for name, wanted in streams)]
    query += [("command", word) for word in argv]
    return Request(
        "GET",
        request.path,
        tuple(query),
        right=request.right,
        subject=f"exec in {request.subject}",
        kind="Pod",
        namespace=namespace,
    )


class ExecStream:
    """A running command. One thread may read while another writes; any may close.

    `returncode` is None until the command has ended, and stays None when the connection ended without saying how the
    command did: that is unknown, never success. `failure` is what the cluster said when the command could not start.
    """

    def __init__(self, duplex: Duplex, subject: str) -> None:
        self._duplex = duplex
        self._subject = subject
        self._ended = False
        self.returncode: int | None = None
        self.failure = ""

    @property
    def ends_input(self) -> bool:
        """Whether `close_stdin` can reach the command."""
        return self._duplex.subprotocol == V5

    def write(self, data: Buffer) -> None:
        """Sends to the command's input; waits while it does not read. Raises BrokenPipeError once it has ended."""
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view), FRAME):
                if self._ended:
                    raise Closed("the command has ended")
                self._duplex.send(b"".join((bytes((STDIN,)), view[start : start + FRAME])))
        except Closed as error:
            raise BrokenPipeError(f"{self._subject}: {error}") from error

    def close_stdin(self) -> None:
        """The command's input ends here; without effect where the API server is older than 1.30."""
        if self.ends_input:
            try:
                self._duplex.send(bytes((CLOSE, STDIN)))
            except Closed as error:
                raise BrokenPipeError(f"{self._subject}: {error}") from error

    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        """The next output as (1 stdout or 2 stderr, bytes); (1, b"") at the end; None when `timeout` seconds passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            try:
                message = self._duplex.receive(None if deadline is None else deadline - time.monotonic())
            except Closed:
                self._ended = True
                break
            if message is None:
                return None
            channel, data = (message[0], message[1:]) if message else (STDOUT, b"")
            if channel == STATUS:
                self.returncode, self.failure = ending(data)
                self._ended = True
            elif data and channel in (STDOUT, STDERR):
                return channel, data
        return STDOUT, b""

    def close(self) -> None:
        """Ends the connection at once; the kubelet then ends the command's streams, not always the command."""
        self._ended = True
        self._duplex.close()

    def __enter__(self) -> ExecStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ending(data: bytes) -> tuple[int | None, str]:
    """Exit code and the cluster's words, from the Status that ends a command."""
    try:
        status: Any = json.loads(data)
    except ValueError:
        return None, ""
    outcome = status.get("status") if isinstance(status, dict) else None
    if outcome == "Success":
        return 0, ""
    if outcome != "Failure":
        return None, ""
    message = str(status.get("message", ""))
    for cause in (status.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"]), ""
    return None if _UNREACHED.match(message) else NOT_STARTED, message


@dataclass(frozen=True)
class Result:
    """How a short command ended; `returncode` None means that nobody said, or nobody who is to be believed."""

    out: bytes
    err: bytes
    returncode: int | None


def open_exec(transport: Transport, pod: str, namespace: str, container: str, argv: Sequence[str]) -> ExecStream:
    """Starts a command with its input open."""
    request = exec_request(pod, namespace, container, argv)
    return ExecStream(upgrade(transport, request, (V5, V4), OPEN_SECONDS), request.subject)


def run(stream: ExecStream, stdin: bytes, timeout: float) -> Result:
    """Feeds `stdin`, collects all output. Raises TimedOut; the command may then still run.

    A command that ends with more than a pipe of `stdin` unread (64 KiB) often times out too: containerd then does not
    say that it ended (seen on 2.x, with kubectl as well), or that all went well (in 1 of 80 runs of `exit 3` under
    4 MiB; in none of 150 under 32 KiB). So it is success only where all input could be sent; of what the buffers on the
    way hold, some MiB, nobody knows whether it was read.
    """
    deadline = time.monotonic() + timeout
    collected = {STDOUT: bytearray(), STDERR: bytearray()}
    fed = threading.Event()
    feeder = threading.Thread(target=_feed, args=(stream, stdin, fed), daemon=True)
    with stream:
        feeder.start()
        while True:
            got = stream.read(deadline - time.monotonic())
            if got is None:
                raise TimedOut("CommandTimedOut", f"a command in a container did not end within {timeout:.0f} s")
            if not got[1]:
                break
            collected[got[0]] += got[1]
    feeder.join(timeout=5)
    err = bytes(collected[STDERR]) + stream.failure.encode()
    code = stream.returncode
    return Result(bytes(collected[STDOUT]), err, code if code or fed.is_set() else None)


def _feed(stream: ExecStream, stdin: bytes, fed: threading.Event) -> None:
    try:
        stream.write(stdin)
        fed.set()
        stream.close_stdin()
    except BrokenPipeError:
        return  # the command ended without reading all of it: its exit code tells
