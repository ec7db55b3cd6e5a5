"""Blobs read in order, by many connections ahead of whoever takes them.

Owns the pieces, their order and the bound on memory. Must not know what is in them.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Iterator, NamedTuple, Union

from pvserve.transfer.agent.frames import CELL

from .reading import Item, NoRanges

PIECE = 8 * CELL
CONNECTIONS = 5
WINDOW = 7  # pieces that are there or on their way; with the one that is taken apart 64 MiB


class _Turn(NamedTuple):
    blob: int
    start: int
    size: int


Came = Dict[int, Union[memoryview, BaseException]]


class Ahead:
    """Pieces of `items`, one after the other. A blob whose server has no ranges is read by whoever takes it."""

    def __init__(self, source: Any, items: list[Item], tell: Callable[[str], None]) -> None:
        self._source = source
        self._items = items
        self._tell = tell
        self._turns = [turn for number, item in enumerate(items) for turn in _turns(number, item)]
        self._changed = threading.Condition()
        self._came: Came = {}
        self._next = self._taken = 0
        self._over = False
        count = min(CONNECTIONS, len(self._turns))
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def blob(self, number: int) -> Iterator[memoryview]:
        """The pieces of one blob; blobs must be taken in their order, each to its end."""
        plain = False
        while self._taken < len(self._turns) and self._turns[self._taken].blob == number:
            turn, piece = self._turns[self._taken], self._take()
            if plain:
                continue
            if isinstance(piece, NoRanges):
                plain = True
                yield from self._plain(number, turn.start)
            elif isinstance(piece, BaseException):
                raise piece
            else:
                yield piece

    def close(self) -> None:
        """End the connections."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=2.0)

    def _take(self) -> memoryview | BaseException:
        with self._changed:
            self._changed.wait_for(lambda: self._taken in self._came)
            piece = self._came.pop(self._taken)
            self._taken += 1
            self._changed.notify_all()
        return piece

    def _plain(self, number: int, start: int) -> Iterator[memoryview]:
        """The rest of a blob, in one answer."""
        item = self._items[number]._replace(ranged=False)
        reader = self._source.reader(self._tell)
        try:
            for offset in range(start, item.size, PIECE):
                piece = memoryview(bytearray(min(PIECE, item.size - offset)))
                reader.fill(item, offset, piece)
                yield piece
        finally:
            reader.close()

    def _serve(self) -> None:
        reader = self._source.reader(self._tell)
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._over or self._next < self._taken + WINDOW)
                    if self._over or self._next >= len(self._turns):
                        return
                    number, turn = self._next, self._turns[self._next]
                    self._next += 1
                came = self._fetched(reader, turn)
                with self._changed:
                    self._came[number] = came
                    self._changed.notify_all()
        finally:
            reader.close()

    def _fetched(self, reader: Any, turn: _Turn) -> memoryview | BaseException:
        item = self._items[turn.blob]
        if not item.ranged:
            return NoRanges(item.path)
        piece = memoryview(bytearray(turn.size))
        try:
            reader.fill(item, turn.start, piece)
        except BaseException as error:  # noqa: BLE001 - raised where the piece is taken
            return error
        return piece


def _turns(number: int, item: Item) -> Iterator[_Turn]:
    for start in range(0, item.size, PIECE):
        yield _Turn(number, start, min(PIECE, item.size - start))
