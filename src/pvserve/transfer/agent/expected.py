"""The files of one transfer, and how far each is.

Owns the state of a file and the digest of what a volume gives back. Must not write.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from typing import Any, Iterable

from .direct import PIECE, Past, room
from .frames import CELL
from .volume import FILE_MODE, PROGRAM_MODE

LET_GO = 64 * CELL  # bytes read between two hints that their pages are not needed again


class Expected:
    """One file that is to come; `digest` is the sender's, "" where it does not know it yet."""

    __slots__ = ("digest", "inode", "mode", "number", "path", "size", "verified")
    start = 0  # where in the file on the volume it begins

    def __init__(self, number: int, path: str, size: int, program: bool, digest: str) -> None:
        self.number = number
        self.path = path
        self.size = size
        self.mode = PROGRAM_MODE if program else FILE_MODE
        self.digest = digest
        self.verified = ""  # hex sha256 of what the volume gave back
        self.inode = 0

    def reset(self) -> None:
        """As if nothing had come."""
        self.verified = ""


class Back:
    """How much of a large file the volume gave back, and its digest so far."""

    __slots__ = ("cells", "hash", "source")

    def __init__(self) -> None:
        self.cells = 0
        self.hash = hashlib.sha256()
        self.source: Past | None = None  # where it is read from, once some of it is


class Large(Expected):
    """A file that comes in cells; with `base` the part of one that begins there, beside parts that others write."""

    __slots__ = (
        "back", "base", "durable", "durable_count", "file", "lock", "pending", "pending_bytes", "queued", "reading",
        "start", "target", "turn",
    )  # fmt: skip

    def __init__(self, number: int, path: str, size: int, program: bool, digest: str, base: int | None = None) -> None:
        super().__init__(number, path, size, program, digest)
        self.base = base
        self.start = base or 0
        self.lock = threading.Lock()  # of the fields below
        self.turn = threading.Lock()  # one flush at a time
        self.queued = self.reading = False  # whether a thread will flush it, or reads it back
        self.reset()

    def fits(self, size: int) -> bool:
        """Whether a file of this size can hold it."""
        return size == self.size if self.base is None else size >= self.base + self.size

    def reset(self) -> None:
        """As if nothing had come."""
        super().reset()
        self.file: Any | None = None
        self.target: Past | None = None  # the same, to write to
        self.pending: list[int] = []  # cells written and not yet fsynced
        self.pending_bytes = 0
        self.durable = bytearray(-(-self.size // CELL))
        self.durable_count = 0
        self.back = Back()

    def mark(self, runs: Iterable[tuple[int, int]]) -> None:
        """These cells are durable."""
        for first, count in runs:
            self.durable[first : first + count] = b"\1" * count
        self.durable_count = self.durable.count(1)

    def whole(self) -> bool:
        """Whether all cells have come."""
        return len(self.pending) + self.durable_count >= len(self.durable)


def runs(cells: Iterable[int]) -> list[tuple[int, int]]:
    """Cells as (first, count)."""
    found: list[tuple[int, int]] = []
    for cell in sorted(set(cells)):
        if found and sum(found[-1]) == cell:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((cell, 1))
    return found


def digest_of(handle: int, size: int) -> bytes:
    """The sha256 of a file as the volume gives it back; OSError if it is not `size` bytes long."""
    digest, offset = hashlib.sha256(), 0
    source, buffer = Past(handle, os.O_RDONLY), room()
    source.let_go(size)
    while offset <= size:
        view = source.read(buffer, offset, min(PIECE, size + 1 - offset))
        if not view:
            break
        digest.update(view)
        offset += len(view)
        if offset % LET_GO == 0:
            source.let_go(offset)
    if offset != size:
        raise OSError(errno.EIO, f"gave back {offset} bytes instead of {size}")
    return digest.digest()


def digest_of_small(handle: int, size: int, buffer: memoryview) -> bytes:
    """The same, of a file for which `buffer` has room and one byte to spare; its pages were let go before."""
    count = os.preadv(handle, [buffer], 0)
    if count != size:  # a file system may give less than was asked for
        return digest_of(handle, size)
    return hashlib.sha256(buffer[:size]).digest()
