"""Ctrl-C: the first stops cleanly and stays resumable, the second leaves now.

Owns the signal handlers and which signal ended the command.
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

TERMINATED_EXIT = 143  # 128 + SIGTERM, as a shell says it
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

_last: int | None = None


def stop_on_signals() -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: cleanly, resumable."""
    for number in _heeded():
        signal.signal(number, _raise)


def _heeded() -> list[int]:
    """SIGNALS, without SIGHUP where it is ignored: `nohup` asks that the command outlives its terminal."""
    return [
        number
        for number in SIGNALS
        if number != getattr(signal, "SIGHUP", None) or signal.getsignal(number) is not signal.SIG_IGN
    ]


def _raise(number: int, _frame: FrameType | None) -> None:
    global _last
    _last = number
    raise KeyboardInterrupt


def exit_code() -> int:
    """Of a command that was stopped: 143 by SIGTERM, else 130."""
    return TERMINATED_EXIT if _last == signal.SIGTERM else Interrupted.exit_code


@contextlib.contextmanager
def cancelling() -> Iterator[threading.Event]:
    """An event that is set by the first SIGINT, SIGTERM or SIGHUP; the second one ends the process at once."""
    cancel = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        global _last
        _last = number
        if cancel.is_set():
            os._exit(exit_code())
        cancel.set()
        with contextlib.suppress(OSError):  # the terminal may be what went
            print("stopping; the same command resumes (again to leave at once)", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, on_signal) for number in _heeded()}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
