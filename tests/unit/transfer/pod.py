"""A pod's stand-in: local processes, with a directory of this machine in the place of the claim."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from pvserve.errors import TimedOut

# What kube-apiserver 1.34 hands on of our request.
UPGRADE = b"\r\n".join(
    (
        b"GET /pvserve HTTP/1.1",
        b"Host: 127.0.0.1:6443",
        b"User-Agent: pvserve/1",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Protocol: tls.pvserve.io",
        b"Sec-WebSocket-Version: 13",
        b"Upgrade: websocket",
        b"X-Forwarded-For: 127.0.0.1",
        b"",
        b"",
    )
)


@dataclass(frozen=True)
class Ran:
    out: bytes
    err: bytes
    returncode: int | None


class LocalStream:
    """A process's pipes as an exec stream."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0
        )
        self._out: queue.Queue[tuple[int, bytes]] = queue.Queue(maxsize=64)
        self.written = 0
        self.cut_at: int | None = None
        self.bytes_read = 0
        self._pumps = [
            threading.Thread(target=self._pump, args=pair, daemon=True)
            for pair in ((1, self.process.stdout), (2, self.process.stderr))
        ]
        for pump in self._pumps:
            pump.start()

    def _pump(self, channel, pipe) -> None:
        with pipe:
            while data := pipe.read(1 << 16):
                self._out.put((channel, data))
        if channel == 1:
            self._out.put((1, b""))

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    def write(self, data: bytes) -> None:
        if self.cut_at is not None and self.written + len(data) > self.cut_at:
            self.close()
            raise BrokenPipeError("cut by the test")
        self.written += len(data)
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def close_stdin(self) -> None:
        self.process.stdin.close()

    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        try:
            return self._out.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        while any(pump.is_alive() for pump in self._pumps):
            self.read(timeout=0.01)


@dataclass
class LocalPod:
    """Runs what it is told on this machine; `lacks` are programs that it does not have."""

    lacks: tuple[str, ...] = ()
    python: str = "python3"
    shell: tuple[str, ...] = ()
    address: str | None = None
    can_forward: bool = False
    can_proxy: bool = False
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    streams: list[LocalStream] = field(default_factory=list)
    cut_at: int | None = None
    runs: list[list[str]] = field(default_factory=list)

    def _argv(self, argv: list[str]) -> list[str]:
        argv = list(argv)
        if "pvserve-agent" in argv and argv[-1]:
            argv[-1] += f".{os.getpid()}"  # an agent ends others of its place, which the tests beside these use too
        if argv[0] in self.lacks:
            return ["sh", "-c", f"echo 'exec: \"{argv[0]}\": executable file not found in $PATH' >&2; exit 127"]
        if argv[0] == "python3":
            argv[0] = self.python
        if argv[0] == "sh" and self.shell:
            argv = [*self.shell, *argv[1:]]
        return argv

    def run(self, argv, stdin: bytes = b"", timeout: float = 30) -> Ran:
        self.runs.append(list(argv))
        try:
            done = subprocess.run(self._argv(argv), input=stdin, capture_output=True, timeout=timeout, env=self.env)
        except subprocess.TimeoutExpired as error:  # as pvserve.cluster does
            raise TimedOut("CommandTimedOut", str(error)) from error
        return Ran(done.stdout, done.stderr, done.returncode)

    def stream(self, argv) -> LocalStream:
        stream = LocalStream(self._argv(argv), self.env)
        stream.cut_at, self.cut_at = self.cut_at, None
        self.streams.append(stream)
        return stream

    def forward(self, port: int) -> socket.socket:
        if not self.can_forward:
            raise OSError("no port-forward in this pod")
        return socket.create_connection(("127.0.0.1", port))

    def proxied(self, port: int, timeout: float) -> socket.socket:
        """As the API server does it: the request is handed on, then bytes as they are."""
        if not self.can_proxy:
            raise OSError("no proxy to this pod")
        plain = socket.create_connection(("127.0.0.1", port), timeout)
        plain.sendall(UPGRADE)
        assert b" 101 " in plain.recv(4096)
        return plain


def tree(root: Path, files: dict[str, bytes]) -> Path:
    """A model directory."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def contents(root: Path) -> dict[str, bytes]:
    """What lies below, by path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
