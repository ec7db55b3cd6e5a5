"""Events as they happen: a bar on a terminal, lines elsewhere, JSON lines for machines.

Owns the writers. None of them decides anything, and none fails the work it watches.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Any

from pvserve.events import Event, Listener, Note, StepState, Transfer
from pvserve.show.words import clean, duration, redraws, size

LINE_SECONDS = 10.0
BAR_SECONDS = 0.1
BAR_WIDTH = 24
RATE_SAMPLES = 3  # no ETA is shown before that many readings
WORDS = {"ongoing": "..", "ok": "ok", "unchanged": "==", "fail": "FAIL", "skipped": "--"}


def progress(stream: IO[str]) -> Listener:
    """The right writer for `stream`: a bar where it is a terminal that can redraw a line, lines otherwise."""
    return Bar(stream) if redraws(stream) else Lines(stream)


class Lines:
    """One line per change of a step, and one for a running transfer every LINE_SECONDS."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._last = ""
        self._told = clock()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Transfer):
            now = self._clock()
            if event.phase != "done" and now - self._told < LINE_SECONDS:
                return
            self._told = now
        text = event_words(event)
        if text != self._last:
            self._last = text
            _write(self._stream, text + "\n")


class Bar:
    """The same lines, with the running transfer as a bar that is redrawn in place."""

    def __init__(
        self,
        stream: IO[str],
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._columns = columns
        self._drawn = False
        self._last = ""
        self._at = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Transfer) and event.phase != "done":
            now = self._clock()
            if now - self._at >= BAR_SECONDS:
                self._at = now
                # A bar that is wider than the terminal wraps, and only its last line would be redrawn.
                shown = f"{_bar(event)} {transfer_words(event)}"[: self._columns() - 1]
                _write(self._stream, f"\r\x1b[K{shown}")
                self._drawn = True
        else:
            self._line(event_words(event))

    def _line(self, text: str) -> None:
        if text == self._last:
            return
        self._last = text
        _write(self._stream, ("\r\x1b[K" if self._drawn else "") + text + "\n")
        self._drawn = False


class JsonLines:
    """Every event as one JSON object per line, with its type."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        _write(self._stream, json.dumps(event_of(event)) + "\n")


def event_of(event: Event) -> dict[str, Any]:
    """The event with its type, for machines."""
    return {"type": {StepState: "step", Transfer: "transfer", Note: "note"}[type(event)], **asdict(event)}


def _write(stream: IO[str], text: str) -> None:
    """Nobody may be reading any more (`| head`, a closed terminal): that must not fail the work that is told of."""
    with contextlib.suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


def event_words(event: Event) -> str:
    """Any event in one line."""
    if isinstance(event, Transfer):
        return transfer_words(event)
    return step_words(event) if isinstance(event, StepState) else note_words(event)


def step_words(event: StepState) -> str:
    """A step's state in one line."""
    detail = f": {event.detail}" if event.detail else ""
    return clean(f"[{WORDS[event.state]:>4}] {event.title}{detail}")


def note_words(event: Note) -> str:
    """A note in one line."""
    return clean(f"{'warning: ' if event.level == 'warning' else ''}{event.text}")


def transfer_words(event: Transfer) -> str:
    """Bytes, files, rate, time left, channel, and what is waited for."""
    parts = [f"{event.phase} {size(event.bytes_done)} of {size(event.bytes_total)}"]
    parts.append(f"{event.files_done}/{event.files_total} files")
    if event.bytes_reused:
        parts.append(f"{size(event.bytes_reused)} were there already")
    moved = event.bytes_done - event.bytes_reused
    if event.seconds > 1 and moved > 0:
        rate = moved / event.seconds
        parts.append(f"{size(int(rate))}/s")
        if event.phase == "send" and event.seconds > RATE_SAMPLES:
            parts.append(f"{duration((event.bytes_total - event.bytes_done) / rate)} left")
    if event.channel:
        parts.append(f"by {event.channel}")
    if event.waiting_for:
        parts.append(f"waiting for {event.waiting_for}")
    return clean(", ".join(parts))


def share_of(event: Transfer) -> float:
    """How much of the bytes is done, from 0 to 1."""
    return min(event.bytes_done / event.bytes_total, 1.0) if event.bytes_total else 0.0


def _bar(event: Transfer) -> str:
    share = share_of(event)
    full = int(BAR_WIDTH * share)
    return f"[{'#' * full}{'-' * (BAR_WIDTH - full)}] {share:4.0%}"
