"""What a transfer takes and gives, as values, and how it touches a pod.

Owns the types of this room's border. Must not know Kubernetes: a `Reach` is one pod, however it is reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pvserve.model.manifest import Manifest
from pvserve.transfer.agent.frames import Buffer

Via = Literal["auto", "pod", "proxy", "port-forward", "exec"]
Level = Literal["full", "quick", "list"]

STDOUT, STDERR = 1, 2


class Result(Protocol):
    """How a short command ended; `returncode` None means that nobody said."""

    @property
    def out(self) -> bytes: ...
    @property
    def err(self) -> bytes: ...
    @property
    def returncode(self) -> int | None: ...


class ExecStream(Protocol):
    """A running command's stdin and output."""

    @property
    def returncode(self) -> int | None: ...
    def write(self, data: bytes) -> None: ...
    def close_stdin(self) -> None: ...
    def read(self, timeout: float | None = None) -> tuple[int, bytes] | None:
        """The next piece as (channel, bytes); channel 1 is stdout, 2 stderr. Empty bytes or None: it ended."""

    def close(self) -> None: ...


class Stream(Protocol):
    """A connection; one thread may receive while others send. A socket is one."""

    def settimeout(self, seconds: float | None, /) -> None: ...
    def recv_into(self, view: memoryview, /) -> int: ...
    def sendall(self, data: Buffer, /) -> None: ...
    def close(self) -> None: ...


class Reach(Protocol):
    """One pod's container: run a command, hold a stream, open a port, straight or by the API server's pod proxy."""

    @property
    def address(self) -> str | None: ...
    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 30) -> Result: ...
    def stream(self, argv: Sequence[str]) -> ExecStream: ...
    def forward(self, port: int) -> Stream: ...
    def proxied(self, port: int, timeout: float) -> Stream: ...


@dataclass(frozen=True)
class Target:
    """A directory on a claim; `mount` is where the claim's root is in the pod."""

    path: str
    claim: str
    mount: str = "/claim"

    def __str__(self) -> str:
        return f"pvc://{self.claim}/{self.path}"


def place_word(target: Target) -> str:
    """The path in a form that may stand in a process's arguments: 16 hex digits."""
    return hashlib.sha256(target.path.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Loaded:
    """A finished load. `sent_bytes` left this machine (resent ones count again), `reused_bytes` did not need to."""

    manifest: Manifest
    manifest_digest: str
    sent_bytes: int
    reused_bytes: int
    channel: str
    seconds: float

    @property
    def bytes(self) -> int:
        """Of the model."""
        return self.manifest.bytes

    @property
    def files(self) -> int:
        """Of the model."""
        return len(self.manifest.entries)


@dataclass(frozen=True)
class VolumeReport:
    """What lies at one path of a claim, as the reading pod sees it; names sorted, odd characters escaped.

    `manifest` is None where pvserve did not load it; then, at level `full`, `found` is one of what lies there now, by
    nobody's word. `matches` counts files that are as the manifest says, judged by
    digest at level `full`, by size and executable bit at `quick`.
    """

    manifest: Manifest | None
    matches: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[str, ...]
    unreadable: tuple[str, ...]
    free_bytes: int
    free_inodes: int
    uid: int
    gids: tuple[int, ...]
    exists: bool = True
    is_directory: bool = True
    level: Level = "full"
    found: Manifest | None = None
