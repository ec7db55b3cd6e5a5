"""Waiting by looking again and again, for objects of which no watch is worth its right.

Owns the loop. Must not know what is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pvserve.errors import Interrupted, TimedOut

POLL_SECONDS = 0.5


def until(done: Callable[[], bool], seconds: int, late: TimedOut, cancel: threading.Event) -> None:
    """Returns when `done` says so. Raises `late` after `seconds`, Interrupted once `cancel` is set."""
    deadline = time.monotonic() + seconds
    while not done():
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped while waiting; the same command goes on")
        if time.monotonic() > deadline:
            raise late
        cancel.wait(POLL_SECONDS)
