"""Where a transfer stands, told at most ten times a second.

Owns the counts of bytes and files. Many threads count, one tells. Must not print.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Literal

from pvserve.events import Listener, Note, Transfer

Phase = Literal["scan", "hash", "connect", "send", "verify", "publish", "done"]

INTERVAL = 0.1
STALLED_SECONDS = 5.0


class Progress:
    """Counts over all sessions of one load."""

    def __init__(self, files: int, size: int, claim: str, listen: Listener) -> None:
        self._listen = listen
        self._claim = claim
        self._files_total, self._bytes_total = files, size
        self._lock = threading.Lock()
        self._bytes: dict[int, int] = {}
        self._reused: dict[int, int] = {}
        self._resumed = False
        self._complete: set[int] = set()
        self._sum = 0
        self._began = self._moved = time.monotonic()
        self._told = 0.0
        self._last: Transfer | None = None
        self._hashed = (0, 0)
        self.phase: Phase = "scan"
        self.channel = ""
        self.waiting_for = ""

    def expect(self, files: int, size: int) -> None:
        """What is to come, where it was not known from the beginning."""
        self._files_total, self._bytes_total = files, size

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    @property
    def missing(self) -> int:
        """Bytes that are not durable yet."""
        return max(0, self._bytes_total - self._sum)

    def restart(self) -> None:
        """A new session begins: what it has, it will say. Only what the first one had was not sent by this load."""
        with self._lock:
            self._resumed = True
            self._bytes.clear()
            self._complete.clear()
            self._sum = 0

    def hashing(self, event: object) -> None:
        """Files are digested before anything is sent."""
        if isinstance(event, Transfer):
            self.phase = "hash"
            self._hashed = (event.bytes_done, event.files_done)
            self._moved = time.monotonic()

    def reused(self, number: int, size: int) -> None:
        """So many bytes of a file were there already."""
        with self._lock:
            if not self._resumed:
                self._reused[number] = size
        self.durable(number, size)

    def durable(self, number: int, size: int) -> None:
        """So many more bytes of a file are durable."""
        with self._lock:
            self._bytes[number] = self._bytes.get(number, 0) + size
            self._sum += size
            self._moved = time.monotonic()

    def lost(self, number: int) -> None:
        """A file has to be sent again."""
        with self._lock:
            self._sum -= self._bytes.pop(number, 0)
            self._reused.pop(number, None)
            self._complete.discard(number)

    def complete(self, files: Iterable[tuple[int, int]]) -> None:
        """These (number, size) were read back and are equal."""
        with self._lock:
            for number, size in files:
                self._sum += size - self._bytes.get(number, 0)
                self._bytes[number] = size
                self._complete.add(number)
            self._moved = time.monotonic()

    def finish(self, *, unchanged: bool) -> None:
        """All is there."""
        self.phase, self.waiting_for = "done", ""
        with self._lock:
            self._sum = self._bytes_total
            self._complete = set(range(self._files_total))
            if unchanged:
                self._reused = {0: self._bytes_total}

    def note(self, text: str) -> None:
        """Say something once."""
        self._listen(Note(text))

    def tell(self) -> None:
        """Emit, if something changed and the last time is long enough ago."""
        now = time.monotonic()
        phase = self.phase
        if now - self._told < INTERVAL and phase != "done":
            return
        event = self._event(phase, now)
        if self._last is None or event != self._last or now - self._told > 1:
            self._told, self._last = now, event
            self._listen(event)

    def _event(self, phase: Phase, now: float) -> Transfer:
        waiting_for, stalled = self.waiting_for, now - self._moved
        if not waiting_for and phase == "send" and stalled > STALLED_SECONDS:
            waiting_for = f"claim {self._claim}: no progress for {stalled:.0f} s"
        done, files = self._hashed if phase == "hash" else (self._sum, len(self._complete))
        return Transfer(
            phase,
            done,
            self._bytes_total,
            files,
            self._files_total,
            sum(self._reused.values()),
            round(now - self._began, 1),
            self.channel,
            waiting_for,
        )
