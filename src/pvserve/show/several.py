"""Several models at once: progress that says whose it is, and one line per model at the end.

Owns the writers and the layout. None of them decides anything, and none fails the work it watches.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from pvserve.events import Event, Listener, Transfer
from pvserve.show.progress import BAR_SECONDS, LINE_SECONDS, event_of, event_words, share_of, transfer_words
from pvserve.show.words import clean, redraws, styled

SHORT_BAR = 12
STYLE = {"ok": "green", "same": "green", "pending": "yellow", "differs": "yellow", "unknown": "yellow"}


class Several(Protocol):
    """Where the events of several models go; safe to use from several threads."""

    def listener(self, model: str) -> Listener:
        """Hears the events of one model."""
        ...

    def printing(self) -> contextlib.AbstractContextManager[None]:
        """Nothing is drawn while the body prints."""
        ...


def several(stream: IO[str], *, as_json: bool) -> Several:
    """The right writer: JSON lines, a block that is redrawn where `stream` is a terminal, lines otherwise."""
    if as_json:
        return JsonBoard(stream)
    return Board(stream) if redraws(stream) else LineBoard(stream)


class JsonBoard:
    """Every event as one JSON object per line, with its type and its model."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def listener(self, model: str) -> Listener:
        """Hears the events of one model."""

        def hear(event: Event) -> None:
            with self._lock:
                _write(self._stream, json.dumps({**event_of(event), "model": model}) + "\n")

        return hear

    @contextlib.contextmanager
    def printing(self) -> Iterator[None]:
        """No line comes between those of the body."""
        with self._lock:
            yield


class LineBoard:
    """One line per change, the model's name first; of a running transfer one every LINE_SECONDS."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}
        self._told: dict[str, float] = {}

    def listener(self, model: str) -> Listener:
        """Hears the events of one model."""

        def hear(event: Event) -> None:
            with self._lock:
                self._hear(model, event)

        return hear

    def _hear(self, model: str, event: Event) -> None:
        if isinstance(event, Transfer):
            now = self._clock()
            if event.phase != "done" and now - self._told.setdefault(model, now) < LINE_SECONDS:
                return
            self._told[model] = now
        text = event_words(event)
        if text != self._last.get(model):
            self._last[model] = text
            self._line(f"{clean(model)}: {text}")

    def _line(self, text: str) -> None:
        _write(self._stream, text + "\n")

    @contextlib.contextmanager
    def printing(self) -> Iterator[None]:
        """No line comes between those of the body."""
        with self._lock:
            yield


class Board(LineBoard):
    """The same lines, and below them one line per running transfer, redrawn in place."""

    def __init__(
        self,
        stream: IO[str],
        clock: Callable[[], float] = time.monotonic,
        screen: Callable[[], tuple[int, int]] = shutil.get_terminal_size,
    ) -> None:
        super().__init__(stream, clock)
        self._screen = screen
        self._running: dict[str, Transfer] = {}
        self._drawn = 0
        self._at = 0.0

    def _hear(self, model: str, event: Event) -> None:
        if isinstance(event, Transfer) and event.phase != "done":
            self._running[model] = event
            if self._clock() - self._at >= BAR_SECONDS:
                self._erase()
                self._draw()
            return
        if isinstance(event, Transfer):
            self._running.pop(model, None)
        super()._hear(model, event)

    def _line(self, text: str) -> None:
        self._erase()
        super()._line(text)
        self._draw()

    def _erase(self) -> None:
        if self._drawn:
            _write(self._stream, f"\x1b[{self._drawn}A\r\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        """A line that is wider than the terminal would wrap, and one more than it has rows could not be erased."""
        columns, rows = self._screen()
        shown = list(self._running.items())[: max(1, rows - 1)]
        lines = [f"{clean(model)}: {_bar(event)} {transfer_words(event)}"[: columns - 1] for model, event in shown]
        _write(self._stream, "".join(line + "\n" for line in lines))
        self._drawn = len(lines)
        self._at = self._clock()

    @contextlib.contextmanager
    def printing(self) -> Iterator[None]:
        """The block gives way to what the body prints."""
        with self._lock:
            self._erase()
            try:
                yield
            finally:
                self._draw()


@dataclass(frozen=True)
class Row:
    """How one model ended; `state` in one word, `exit_code` of this model alone."""

    model: str
    namespace: str
    state: str
    detail: str
    exit_code: int
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "model": self.model,
            "namespace": self.namespace,
            "state": self.state,
            "detail": self.detail,
            "reason": self.reason,
            "exitCode": self.exit_code,
        }


def summary_text(rows: Sequence[Row], *, colour: bool = False) -> str:
    """How many ended how, then one line per model in the order of the files."""
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    names = max((len(row.model) for row in rows), default=0)
    width = max((len(state) for state in states), default=0)
    lines = [f"{len(rows)} models: {counts}"]
    for row in rows:
        state = styled(row.state, STYLE.get(row.state, "red"), colour) + " " * (width - len(row.state))
        reason = f"({clean(row.reason)}) " if row.reason else ""
        lines.append(f"  {clean(row.model):<{names}}  {state}  {reason}{clean(row.detail)}".rstrip())
    return "\n".join(lines) + "\n"


def head_text(model: str, namespace: str, *, colour: bool = False) -> str:
    """The line above what is said of one model."""
    return styled(f"== {clean(model)} (namespace {clean(namespace)})", "bold", colour) + "\n"


def _bar(event: Transfer) -> str:
    full = int(SHORT_BAR * share_of(event))
    return f"[{'#' * full}{'-' * (SHORT_BAR - full)}] {share_of(event):4.0%}"


def _write(stream: IO[str], text: str) -> None:
    """Nobody may be reading any more: that must not fail the work that is told of."""
    with contextlib.suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()
