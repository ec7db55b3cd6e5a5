"""What happens while a plan runs, as values: rooms that work emit them, `show` prints them.

Owns the event types and the no-op listener; knows nothing of terminals, Kubernetes or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ongoing", "ok", "unchanged", "fail", "skipped"]


@dataclass(frozen=True)
class StepState:
    """One step of the plan, or one object waited for, changed state; `detail` is one line."""

    step: str
    title: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class Transfer:
    """Where a copy stands. Bytes and files count what is durable at the far end; seconds since the start."""

    phase: Literal["scan", "hash", "connect", "send", "verify", "publish", "done"]
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0
    bytes_reused: int = 0
    seconds: float = 0.0
    channel: str = ""
    waiting_for: str = ""


@dataclass(frozen=True)
class Note:
    """Something the user should know, said once."""

    text: str
    level: Literal["info", "warning"] = "info"


Event = StepState | Transfer | Note
Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """The default listener: nobody listens."""
