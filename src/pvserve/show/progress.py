"""Events as they happen: a bar on a terminal, lines elsewhere, JSON lines for machines.

Owns the writers. None of them decides anything, and none fails the work it watches.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import IO

from pvserve.events import Event, Listener, Note, StepState, Transfer
from pvserve.show.words import clean, duration, size

LINE_SECONDS = 10.0
BAR_SECONDS = 0.1
BAR_WIDTH = 24
RATE_SAMPLES = 3  # no ETA is shown before that many readings
WORDS = {"ongoing": "..", "ok": "ok", "unchanged": "==", "fail": "FAIL", "skipped": "--"}


def progress(stream: IO[str]) -> Listener:
    """The right writer for `stream`: a bar where it is a terminal, lines otherwise."""
    return Bar(stream) if stream.isatty() else Lines(stream)


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
            self._line(transfer_words(event))
        else:
            self._line(step_words(event) if isinstance(event, StepState) else note_words(event))

    def _line(self, text: str) -> None:
        if text != self._last:
            self._last = text
            print(text, file=self._stream, flush=True)


class Bar:
    """The same lines, with the running transfer as a bar that is redrawn in place."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._drawn = False
        self._last = ""
        self._at = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Transfer):
            now = self._clock()
            if event.phase == "done":
                self._line(transfer_words(event))
            elif now - self._at >= BAR_SECONDS:
                self._at = now
                self._stream.write(f"\r\x1b[K{_bar(event)} {transfer_words(event)}")
                self._stream.flush()
                self._drawn = True
        else:
            self._line(step_words(event) if isinstance(event, StepState) else note_words(event))

    def _line(self, text: str) -> None:
        if text == self._last:
            return
        self._last = text
        self._stream.write(("\r\x1b[K" if self._drawn else "") + text + "\n")
        self._stream.flush()
        self._drawn = False


class JsonLines:
    """Every event as one JSON object per line, with its type."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        kind = {StepState: "step", Transfer: "transfer", Note: "note"}[type(event)]
        print(json.dumps({"type": kind, **asdict(event)}), file=self._stream, flush=True)


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


def _bar(event: Transfer) -> str:
    share = event.bytes_done / event.bytes_total if event.bytes_total else 0.0
    full = int(BAR_WIDTH * min(share, 1.0))
    return f"[{'#' * full}{'-' * (BAR_WIDTH - full)}] {share:4.0%}"
