"""The checks of weights for a source in the pod: headers are asked of the agent, bodies stay where they are.

Owns reading pieces of such files. Must not know what a file of weights looks like.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from pvserve.model import Found, check_weights, refusal
from pvserve.model.weights import tells_something
from pvserve.transfer.agent.frames import CELL, FILES, PEEK, PEEKED, Broken, Wire
from pvserve.transfer.ask import Ask
from pvserve.transfer.claim_source import of_source
from pvserve.transfer.values import Target

HEAD = 1 << 16  # of every file at once: the headers of most, and most small files whole
HEADS = 128  # files per question, so 8 MiB of memory


def check_far_weights(wire: Wire, ask: Ask, source: Target) -> None:
    """Refuse what `check_weights` finds fatal. Raises Refused by its reasons; nothing was changed."""
    heads = _Heads(wire, ask, source)
    broken = refusal(check_weights(ask.listing, heads.open))
    if broken:
        raise broken


class _Heads:
    """Opens files of the source; the first pieces come for many files at once."""

    def __init__(self, wire: Wire, ask: Ask, source: Target) -> None:
        self._wire = wire
        self._source = source
        self._rows = ask.rows()
        self._numbers = {found.path: number for number, found in enumerate(ask.listing.entries)}
        self._asked = [number for number, found in enumerate(ask.listing.entries) if tells_something(found)]
        self._heads: dict[int, bytes] = {}

    def open(self, found: Found) -> io.BufferedReader:
        """The file, read through the agent."""
        number = self._numbers[found.path]
        if number not in self._heads:
            start = self._asked.index(number)
            wanted = self._asked[start : start + HEADS]
            self._heads = dict(zip(wanted, self.pieces(wanted, 0, HEAD), strict=True))
        return io.BufferedReader(_FarFile(self, number, found.size, self._heads[number]), CELL)

    def pieces(self, numbers: Sequence[int], offset: int, size: int) -> list[bytes]:
        """Up to `size` bytes at `offset` of each of these files."""
        ask = {"mount": self._source.mount, "path": self._source.path, "offset": offset, "size": size}
        self._wire.send_json(PEEK, ask)
        self._wire.send_json(FILES, [self._rows[number] for number in numbers])
        self._wire.send_json(FILES, [])
        found: list[bytes] = []
        for frame in of_source(self._wire, self._source):
            if frame.kind != PEEKED or frame.number != len(found) or len(frame.payload) > size:
                raise Broken(f"frame {frame.kind} came out of turn")
            found.append(bytes(frame.payload))
        if len(found) != len(numbers):
            raise Broken("the agent left out a file")
        return found


class _FarFile(io.RawIOBase):
    """One file, of which the beginning is here."""

    def __init__(self, heads: _Heads, number: int, size: int, head: bytes) -> None:
        super().__init__()
        self._heads = heads
        self._number = number
        self._size = size
        self._head = head
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._head[self._position : self._position + wanted]
        if not data:
            (data,) = self._heads.pieces([self._number], self._position, min(wanted, CELL))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
