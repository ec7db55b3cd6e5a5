"""What is still to be fetched: pieces of large files, packs of small ones.

Owns the queue that the connections take from. Must not fetch, nor judge.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, NamedTuple

from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import CELL

from .moving import Moving

PIECE = 8 * CELL  # bytes of one request; a thread holds one in memory
PACK_FILES, PACK_BYTES = 32, 4 * CELL  # small files of one pack


class Piece(NamedTuple):
    """A part of a large file; of a server without ranges, all of it."""

    number: int
    start: int
    size: int
    generation: int


class Stopped(Exception):
    """Another thread failed, or all is there."""


class Work:
    """The queue. `lock` is shared with who adds and who waits; `over` says that nothing more is wanted."""

    def __init__(
        self,
        expected: dict[int, Expected],
        moving: dict[int, Moving],
        lock: threading.Condition,
        over: Callable[[], bool],
    ) -> None:
        self._expected = expected
        self._moving = moving
        self._lock = lock
        self._over = over
        self._large: deque[Piece] = deque()
        self._small: deque[list[int]] = deque()

    def add(self, numbers: list[int]) -> None:
        """Everything that is missing of these files."""
        with self._lock:
            self._pack([number for number in numbers if not isinstance(self._expected[number], Large)])
            for number in numbers:
                file = self._expected[number]
                if isinstance(file, Large):
                    self._cut(file, self._moving[number])
            self._lock.notify_all()

    def next(self) -> Piece | list[int]:
        """A piece, or the numbers of small files. Waits; raises Stopped when it is over."""
        with self._lock:
            self._lock.wait_for(lambda: self._over() or bool(self._small or self._large))
            if self._over():
                raise Stopped
            return self._small.popleft() if self._small else self._large.popleft()

    def _cut(self, file: Large, moving: Moving) -> None:
        there = bytes(file.durable)
        if any(there):
            moving.skip()
        if not moving.item.ranged:
            self._large.append(Piece(file.number, 0, file.size, moving.generation))
            return
        for start in range(0, file.size, PIECE):
            size = min(PIECE, file.size - start)
            first = start // CELL
            if not all(there[first : first + -(-size // CELL)]):
                self._large.append(Piece(file.number, start, size, moving.generation))

    def _pack(self, numbers: list[int]) -> None:
        pack: list[int] = []
        size = 0
        for number in numbers:
            if pack and (len(pack) == PACK_FILES or size + self._expected[number].size > PACK_BYTES):
                self._small.append(pack)
                pack, size = [], 0
            pack.append(number)
            size += self._expected[number].size
        if pack:
            self._small.append(pack)
