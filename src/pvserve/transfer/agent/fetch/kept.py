"""What came of large files, kept until the volume has given it back, and compared with that byte for byte.

Owns the buffers that connections fill, and the comparison. Must not know where bytes come from, nor write them.
"""

from __future__ import annotations

import threading
from typing import Callable

from pvserve.transfer.agent.direct import equal

from .work import PIECE, Stopped


class Buffer:
    """Room for one piece; free again once nobody has a use for it."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(PIECE))
        self.uses = 0


class Kept:
    """At most `count` buffers. `over` says that nobody needs to wait for one any more.

    `hurry` has what was written made durable: without it nothing is given back, and no more may come that would do it.
    """

    def __init__(self, count: int, over: Callable[[], bool], hurry: Callable[[], None]) -> None:
        self._left = count
        self._over = over
        self._hurry = hurry
        self._free: list[Buffer] = []
        self._cells: dict[tuple[int, int], tuple[Buffer, memoryview]] = {}
        self._changed = threading.Condition()
        self.differing: dict[int, int] = {}  # files that came back otherwise, and where

    def take(self) -> Buffer:
        """A buffer, used by the caller until `drop`. Whoever takes work in order must take a buffer first.

        Else those of later pieces wait to be given back behind an earlier piece that waits for a buffer.
        """
        if not self._free and not self._left:
            self._hurry()
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._left or self._over())
            if self._over():
                raise Stopped
            if not self._free:
                self._left -= 1
                self._free.append(Buffer())
            buffer = self._free.pop()
            buffer.uses = 1
            return buffer

    def drop(self, buffer: Buffer) -> None:
        """The caller has no more use for it."""
        with self._changed:
            self._unused(buffer)

    def keep(self, number: int, offset: int, view: memoryview, buffer: Buffer) -> None:
        """`view`, a part of `buffer`, is about to be written at `offset` of a file."""
        with self._changed:
            self._forget((number, offset))
            self._cells[number, offset] = buffer, view
            buffer.uses += 1

    def given_back(self, number: int, offset: int, back: memoryview) -> None:
        """What the volume gives back; of what was there before us there is nothing to compare it with."""
        with self._changed:
            buffer, view = self._cells.pop((number, offset), (None, None))
        if buffer is None or view is None:
            return
        same = equal(view, back)
        with self._changed:
            if not same:
                self.differing.setdefault(number, offset)
            self._unused(buffer)

    def forget(self, number: int) -> None:
        """A file is begun anew."""
        with self._changed:
            for cell in [cell for cell in self._cells if cell[0] == number]:
                self._forget(cell)
            self.differing.pop(number, None)

    def stop(self) -> None:
        """Nobody waits any more."""
        with self._changed:
            self._changed.notify_all()

    def _forget(self, cell: tuple[int, int]) -> None:
        buffer, _ = self._cells.pop(cell, (None, None))
        if buffer is not None:
            self._unused(buffer)

    def _unused(self, buffer: Buffer) -> None:
        buffer.uses -= 1
        if not buffer.uses:
            self._free.append(buffer)
            self._changed.notify()
