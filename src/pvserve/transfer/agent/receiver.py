"""Takes what comes of the files of one transfer, and has threads make it durable and read it back.

Owns the threads, and what of an earlier session is believed. Must not know streams: it is told pieces and tells
results.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from typing import Callable, Iterable

from .aside import Aside
from .cells import Cells, Given
from .compared import Compared
from .expected import Expected, Large
from .frames import CELL, Broken
from .ledger import Ledger, Tell
from .place import Partial
from .reuse import NotInKernel, copy_range
from .syncing import FileSystem
from .volume import Tree, look, write_all
from .whole import PACK_FILES, Whole

__all__ = ["PACK_FILES", "Receiver"]

FLUSH_SECONDS = 1.0  # what comes slowly becomes durable after so long
STOP_SECONDS = 5.0  # for storage that hangs


class Receiver:
    """All files of one transfer. `tell(kind, payload, number)` reports to the client, `fail(error)` ends it all.

    `given` hears of each cell of a large file that is read back (`cells.Given`); `aside` reads small ones back.
    """

    def __init__(
        self,
        partial: Partial,
        expected: dict[int, Expected],
        tell: Tell,
        fail: Callable[[BaseException], None],
        given: Given | None = None,
        aside: Aside | None = None,
    ) -> None:
        self._partial = partial
        self.expected = expected
        self.files = partial.files
        self._ledger = Ledger(partial, tell, fail, self._let_go)
        self._work: queue.PriorityQueue[tuple[bool, int, Callable[[], None]]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._cells = Cells(self._ledger, partial.files, self._later, given)
        self._system = FileSystem(partial.files)
        self._whole = Whole(self._ledger, self._system, self._later, aside or Aside())
        self._tree = Tree(partial.files)
        self._noted: dict[int, list[list[str]]] | None = None  # the journal by file, of those not expected yet
        workers = range(min(4, max(2, os.cpu_count() or 2)))
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in workers]
        for thread in self._threads:
            thread.start()

    def resume(self) -> None:
        """Believe the journal, as far as the files bear it out."""
        for line in self._partial.journal.lines:
            file = self.expected.get(int(line[1]))
            if file is not None and line[0] != "f":
                _believe(file, line)
        for file in self.expected.values():
            if file.verified or (isinstance(file, Large) and file.durable_count):
                self._check_resumed(file)

    def expect(self, file: Expected) -> None:
        """One more file, of a source whose files are known as they come; the journal is believed as by `resume`."""
        self.expected[file.number] = file
        if self._noted is None:
            self._noted = {}
            for line in self._partial.journal.lines:
                if line[0] != "f":
                    self._noted.setdefault(int(line[1]), []).append(line)
        for line in self._noted.pop(file.number, ()):
            _believe(file, line)
        if file.verified or (isinstance(file, Large) and file.durable_count):
            self._check_resumed(file)

    def _check_resumed(self, file: Expected) -> None:
        parent, _, name = file.path.rpartition("/")
        try:
            info = look(self._tree.directory(parent), name)
        except FileNotFoundError:
            info = None
        same = info is not None and info.st_nlink == 1
        if file.verified and info is not None:
            fits = file.fits(info.st_size) if isinstance(file, Large) else info.st_size == file.size
            same = same and fits and info.st_ino == file.inode
        if not same:
            file.reset()
            return
        if isinstance(file, Large) and not file.verified:
            self._cells.resume(file)

    def cell(self, number: int, offset: int, payload: memoryview) -> None:
        """One piece of a large file."""
        file = self.expected.get(number)
        if not isinstance(file, Large) or offset % CELL or len(payload) != min(CELL, file.size - offset):
            raise Broken(f"a piece of file {number} at {offset} does not fit")
        self._cells.put(
            file, offset, len(payload), lambda target: write_all(target.handle, payload, file.start + offset)
        )

    def cells(self, number: int, offset: int, data: memoryview) -> None:
        """Pieces side by side, which lie in `direct.room`."""
        file = self.expected[number]
        assert isinstance(file, Large)
        if self._system.believed:
            self._cells.put(file, offset, len(data), lambda target: target.write(data, offset))
        else:
            self._cells.put(file, offset, len(data), lambda target: write_all(target.handle, data, offset))

    def copy_cells(self, number: int, offset: int, size: int, source: int) -> bool:
        """The same from an open file, in the kernel; False, and nothing done, where it cannot."""
        file = self.expected[number]
        assert isinstance(file, Large)
        try:
            self._cells.put(file, offset, size, lambda target: copy_range(source, target.handle, offset, size))
        except NotInKernel:
            return False
        return True

    @property
    def network(self) -> bool:
        """Whether the volume is one to which a server may copy by itself."""
        return self._system.network

    def comparing(self) -> Compared:
        """What copies and compares large files, for one thread."""
        return Compared(self._ledger, self._system.believed)

    def pack(self, count: int, payload: memoryview, tree: Tree) -> None:
        """Many small files, whole. `tree` belongs to the calling thread."""
        self._whole.pack(self.expected, count, payload, tree)

    def hurry(self) -> None:
        """Make durable what came of large files, however little it is."""
        self._cells.flush_all()

    def again(self, number: int) -> None:
        """The client found that the digest differs: forget the file."""
        self._ledger.forget(self.expected[number])

    def take_copy(self, file: Expected, make: Callable[[], int]) -> None:
        """A copy of a file that lies on the volume already; whether it is equal, its digest decides."""
        self._whole.copied(file, make)

    def take_shared(self, count: int, made: Iterable[tuple[Expected, int]]) -> int:
        """Up to `count` files that share blocks with others of the digest that is expected of them, each open once it
        is made: they are only made durable. How many there were."""
        return self._whole.shared(count, made)

    def stop(self) -> None:
        """End the threads and close the files; nothing is told or condemned any more."""
        self._ledger.failed = True
        for _ in self._threads:
            self._later(lambda: None)
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            self._cells.close()

    def _let_go(self, file: Expected) -> None:
        if isinstance(file, Large):
            self._cells.let_go(file)
        else:
            file.reset()

    def _later(self, work: Callable[[], None], can_wait: bool = False) -> None:
        self._work.put((can_wait, next(self._order), work))

    def _serve(self) -> None:
        while not self._ledger.failed:
            try:
                _, _, work = self._work.get(timeout=FLUSH_SECONDS)
            except queue.Empty:
                self._cells.flush_all()
                continue
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - a thread's last word must reach the client
                self._ledger.end(error)


def _believe(file: Expected, line: list[str]) -> None:
    if line[0] == "x":
        file.reset()
    elif line[0] == "v" and int(line[2]) == file.size:
        file.inode, file.verified = int(line[3]), line[4]
    elif line[0] == "d" and isinstance(file, Large):
        file.mark([(int(line[2]), int(line[3]))])
