"""Ctrl-C: the first stops cleanly and stays resumable, the second leaves now.

Owns the signal handler while work runs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from pvserve.errors import Interrupted


@contextlib.contextmanager
def cancelling() -> Iterator[threading.Event]:
    """An event that is set by the first SIGINT, SIGTERM or SIGHUP; the second one exits with 130 at once."""
    cancel = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if cancel.is_set():
            os._exit(Interrupted.exit_code)
        cancel.set()
        print("stopping; the same command resumes (again to leave at once)", file=sys.stderr, flush=True)

    numbers = [signal.SIGINT, signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
