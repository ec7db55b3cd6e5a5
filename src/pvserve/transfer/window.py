"""How much may be under way: bytes that left and of which nobody has said that they are durable.

Owns that bound, which is what a cut can cost (docs/transfer-protocol.md, "Resuming"). Must not send.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

PART = 32 << 20  # bytes per stream


class Window:
    """Of one session with so many data streams."""

    def __init__(self, streams: int) -> None:
        self.limit = PART * streams
        self._changed = threading.Condition()
        self._out: dict[int, int] = {}  # bytes by file
        self._sum = 0

    def leave(self, pieces: Iterable[tuple[int, int]], wait: Callable[[threading.Condition], None]) -> None:
        """Wait until these (file, bytes) may leave; `wait` waits once on the condition, or raises."""
        pieces = list(pieces)
        size = sum(count for _, count in pieces)
        with self._changed:
            while self._sum and self._sum + size > self.limit:
                wait(self._changed)
            for number, count in pieces:
                self._out[number] = self._out.get(number, 0) + count
            self._sum += size

    def durable(self, number: int, count: int) -> None:
        """So many bytes of a file are acknowledged; some may be of an earlier session."""
        with self._changed:
            self._arrived(number, min(count, self._out.get(number, 0)))

    def settled(self, numbers: Iterable[int]) -> None:
        """Nothing of these files is under way any more: they were read back, or are to come again."""
        with self._changed:
            for number in numbers:
                self._arrived(number, self._out.get(number, 0))

    def _arrived(self, number: int, count: int) -> None:
        left = self._out.pop(number, 0) - count
        if left > 0:
            self._out[number] = left
        self._sum -= count
        self._changed.notify_all()
