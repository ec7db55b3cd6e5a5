"""Large files, which come in cells: written, made durable piece by piece, and read back from the volume.

Owns their descriptors, fsync, and the bound on bytes that are written and not yet durable. Must not know small files.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Any, Callable

from .direct import PIECE, Past, room
from .expected import Back, Large, runs
from .frames import CELL
from .ledger import FATAL, Ledger
from .reuse import NotInKernel
from .volume import PLAIN, Tree

FLUSH = 8 << 20  # bytes of one file between two fsyncs
UNFLUSHED = 32 << 20  # bytes of all files that are written and not yet fsynced
READ_ON = 16  # cells read back before other work gets its turn

Later = Callable[[Callable[[], None], bool], None]  # work, and whether it may wait for work that may not
Given = Callable[[int, int, memoryview], None]  # file, offset, and what the volume gives back there


class Room:
    """The bound. Waiting for room ends when the transfer has failed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._changed = threading.Condition()
        self._held: dict[int, int] = {}
        self._sum = 0

    def hold(self, number: int, count: int, hurry: Callable[[], None]) -> None:
        """Wait until so many bytes of a file may be written; where they may not at once, `hurry` first."""
        if self._sum + count > UNFLUSHED:
            hurry()
        with self._changed:
            self._changed.wait_for(lambda: self._sum + count <= UNFLUSHED or self._ledger.failed)
            self._held[number] = self._held.get(number, 0) + count
            self._sum += count

    def release(self, number: int, count: int | None = None) -> None:
        """So many bytes, or all of the file, are durable or gone."""
        with self._changed:
            held = self._held.pop(number, 0)
            gone = held if count is None else min(held, count)
            if held > gone:
                self._held[number] = held - gone
            self._sum -= gone
            self._changed.notify_all()


class Cells:
    """`later(work, can_wait)` has a thread do something; `given` hears of each cell that is read back."""

    def __init__(self, ledger: Ledger, files: int, later: Later, given: Given | None = None) -> None:
        self._ledger = ledger
        self._later = later
        self._given = given
        self._room = Room(ledger)
        self._opened: dict[int, Large] = {}
        self._tree = Tree(files)
        self._tree_lock = threading.Lock()
        self._buffers: list[memoryview] = []  # one for each thread that reads back

    def put(self, file: Large, offset: int, size: int, write: Callable[[Past], None]) -> None:
        """Write cells by `write(target)`, and see to their fsync. Raises NotInKernel, from `write`."""
        self._room.hold(file.number, size, self.flush_all)
        try:
            first, end = offset // CELL, -(-(offset + size) // CELL)
            # The lock keeps the file from being taken for whole, and closed, while a cell is written.
            with file.lock:
                if file.durable.find(b"\0", first, end) < 0:  # came twice
                    self._room.release(file.number, size)
                    return
                opened = self._open(file)
                file.target = file.target or Past(opened.fileno(), os.O_WRONLY)
                write(file.target)
                file.pending.extend(range(first, end))
                file.pending_bytes += size
                ready = _is_due(file)
        except NotInKernel:
            self._room.release(file.number, size)
            raise
        except OSError as error:
            self._room.release(file.number, size)
            # What was fsynced before stays good when the volume is full; other errors condemn the file.
            self._ledger.trouble(file, error, condemn=error.errno not in FATAL)
            return
        if ready:
            self._queue(file)

    def resume(self, file: Large) -> None:
        """Go on with a file of which some is durable."""
        self._open(file)
        self._queue(file)

    def flush_all(self) -> None:
        """fsync what came of every file."""
        for file in list(self._opened.values()):
            if file.pending:
                self._queue(file)

    def let_go(self, file: Large) -> None:
        """Forget what came of a file. Not while it is flushed, or cells of the old one would be noted of the new."""
        with file.turn, file.lock:
            self._opened.pop(file.number, None)
            file.reset()
        self._room.release(file.number)

    def close(self) -> None:
        """Close what is open; nobody may write or read any more."""
        while self._opened:
            _, file = self._opened.popitem()
            file.back.source = file.target = None
            if file.file is not None:
                file.file.close()

    def _open(self, file: Large) -> Any:
        """The file, opened once. With file.lock held, or before any other thread knows the file."""
        if file.file is None:
            parent, _, name = file.path.rpartition("/")
            with self._tree_lock:
                directory = self._tree.directory(parent, make=True)
                handle = os.open(name, os.O_RDWR | os.O_CREAT | PLAIN, file.mode, dir_fd=directory)
            info = os.fstat(handle)
            if info.st_nlink != 1:
                os.close(handle)
                raise OSError(errno.EMLINK, "has another name")
            file.inode = info.st_ino
            file.file = os.fdopen(handle, "r+b", buffering=0)
            self._opened[file.number] = file
        return file.file

    def _queue(self, file: Large) -> None:
        with file.lock:
            if file.queued:
                return
            file.queued = True
        self._later(lambda: self._flush(file), False)

    def _flush(self, file: Large) -> None:
        """fsync what came, let its pages go and note it; reading back may wait."""
        failed = None
        with file.turn:
            with file.lock:
                file.queued = False
                cells, file.pending = file.pending, []
                count, file.pending_bytes = file.pending_bytes, 0
                handle = file.file
            try:
                if handle is not None and cells:
                    self._make_durable(file, handle.fileno(), cells)
            except OSError as error:
                failed = error
            finally:
                self._room.release(file.number, count)
            with file.lock:
                due = _is_due(file)  # the last cells of a file may have come meanwhile: nothing comes after them
        if failed is not None:
            self._ledger.trouble(file, failed)
            return
        if due:
            self._queue(file)
        self._read_later(file)

    def _make_durable(self, file: Large, handle: int, cells: list[int]) -> None:
        os.fsync(handle)
        found = runs(cells)
        for first, count in found:
            os.posix_fadvise(handle, file.start + first * CELL, count * CELL, os.POSIX_FADV_DONTNEED)
        with file.lock:
            file.mark(found)
        self._ledger.durable(file, found)

    def _read_later(self, file: Large) -> None:
        with file.lock:
            if file.reading:
                return
            file.reading = True
        self._later(lambda: self._read_on(file), True)

    def _read_on(self, file: Large) -> None:
        """Digest what is durable without a gap, as the volume gives it back; at the end the file is verified."""
        with file.lock:
            handle, back, end = file.file, file.back, _durable_end(file)
        try:
            if handle is not None and end > back.cells:
                self._read(handle.fileno(), file, back, end)
        except OSError as error:
            self._ledger.trouble(file, error)
        finally:
            with file.lock:
                file.reading = False
                more = _durable_end(file) > file.back.cells
                whole = handle is not None and file.back is back and back.cells == len(file.durable)
                if whole:  # nobody else reads or writes it any more
                    self._opened.pop(file.number, None)
                    file.file = file.target = None
        if more:
            self._read_later(file)
        elif whole:
            self._conclude(file, handle, back)

    def _read(self, handle: int, file: Large, back: Back, end: int) -> None:
        try:
            buffer = self._buffers.pop()
        except IndexError:
            buffer = room()
        back.source = back.source or Past(handle, os.O_RDONLY)
        try:
            first = back.cells
            while back.cells < end:
                start = back.cells * CELL
                wanted = min(PIECE, end * CELL - start, file.size - start)
                view = back.source.read(buffer, file.start + start, wanted)
                if len(view) != wanted:
                    raise OSError(errno.EIO, f"gave back fewer bytes than written at {start}")
                if self._given is not None:
                    for inner in range(0, wanted, CELL):
                        self._given(file.number, start + inner, view[inner : inner + CELL])
                back.hash.update(view)
                back.cells += -(-wanted // CELL)
            back.source.let_go(file.start + end * CELL, file.start + first * CELL)
        finally:
            self._buffers.append(buffer)

    def _conclude(self, file: Large, handle: Any, back: Back) -> None:
        with file.turn:  # a cell that came twice may be under its fsync
            size = os.fstat(handle.fileno()).st_size
            back.source = None
            handle.close()
        if not file.fits(size):
            self._ledger.trouble(file, OSError(errno.EIO, "has another size than what was written"))
        else:
            self._ledger.verified([(file, back.hash.digest())])


def _is_due(file: Large) -> bool:
    """Whether what came and is not durable is to be fsynced now. With file.lock held."""
    return bool(file.pending) and (file.pending_bytes >= FLUSH or file.whole())


def _durable_end(file: Large) -> int:
    """The first cell that is not durable, or is not to be read in this turn."""
    limit = min(len(file.durable), file.back.cells + READ_ON)
    gap = file.durable.find(b"\0", file.back.cells, limit)
    return limit if gap < 0 else gap
