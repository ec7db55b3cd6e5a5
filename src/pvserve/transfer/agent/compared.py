"""Copies of large files that are compared with their source: what was read of it with what the volume gives back.

Owns the way of a window: read, written, fsynced, read back, compared, noted. Must not know where the source lies, nor
digests. An equal copy has the source's digest, so that the copy itself needs none.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Callable

from .direct import PIECE, Past, equal, room
from .expected import Large
from .frames import CELL
from .ledger import FATAL, Ledger
from .volume import write_all

LEAST, WINDOW = 2 * CELL, 8 * CELL  # bytes between two fsyncs: what stays in the processor's cache, until fsyncs cost
DEAR = 0.2  # of a window's time, from which on its fsync is asked for less often
NOTED = 4 * WINDOW  # bytes between two notes in the journal: what a kill costs is read and written again, not sent

Read = Callable[[memoryview, int], memoryview]  # a buffer and an offset: as much of the source as the buffer holds
Digest = Callable[[], bytes]  # of the source, once all of it was read; raises where it is not what was listed any more


class Compared:
    """One thread's copies. With `past` the file system is one that is written to past the page cache."""

    def __init__(self, ledger: Ledger, past: bool) -> None:
        self._ledger = ledger
        self._past = past
        self._came, self._back = room(WINDOW), room(PIECE)
        self._window = LEAST

    def take(self, file: Large, handle: int, read: Read, digest: Digest) -> bool:
        """Fill the new file `handle` by `read`, in order; whether it is verified: durable, and equal to its source."""
        try:
            if not self._windows(file, handle, read):
                return False
            info = os.fstat(handle)
            if info.st_size != file.size:
                raise OSError(errno.EIO, "another size than what was written")
        except OSError as error:
            self._ledger.trouble(file, error)
            return False
        found = digest()  # before anybody hears that the file is good
        file.inode = info.st_ino
        self._ledger.verified([(file, found)])
        return True

    def _windows(self, file: Large, handle: int, read: Read) -> bool:
        target, source = Past(handle, os.O_WRONLY), Past(handle, os.O_RDONLY)
        noted = end = 0
        while end < file.size:
            if self._ledger.failed:
                return False
            began = time.monotonic()
            offset, came = end, read(self._came[: self._window], end)
            if not self._written(file, target, came, offset):
                return False
            written = time.monotonic()
            os.fsync(handle)
            synced = time.monotonic()
            end = offset + len(came)
            os.posix_fadvise(handle, offset, len(came), os.POSIX_FADV_DONTNEED)
            self._compare(source, came, offset)
            if synced - written > DEAR * (time.monotonic() - began):
                self._window = min(WINDOW, 2 * self._window)
            if end - noted >= NOTED:
                self._note(file, noted, end)
                noted = end
        return True

    def _written(self, file: Large, target: Past, came: memoryview, offset: int) -> bool:
        try:
            if self._past:
                target.write(came, offset)
            else:
                write_all(target.handle, came, offset)
        except OSError as error:
            # What was noted before stays good when the volume is full; other errors condemn the file.
            self._ledger.trouble(file, error, condemn=error.errno not in FATAL)
            return False
        return True

    def _compare(self, source: Past, came: memoryview, offset: int) -> None:
        for start in range(0, len(came), PIECE):
            wanted = came[start : start + PIECE]
            if not equal(source.read(self._back, offset + start, len(wanted)), wanted):
                raise OSError(errno.EIO, f"other bytes from byte {offset + start} on")

    def _note(self, file: Large, start: int, end: int) -> None:
        found = [(start // CELL, (end - start) // CELL)]
        with file.lock:
            file.mark(found)
        self._ledger.durable(file, found)
