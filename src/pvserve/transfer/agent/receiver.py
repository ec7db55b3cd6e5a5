"""Takes pieces of files, makes them durable, and reads them back.

Owns writing below the partial directory, fsync, and the bound on pages not yet written. Must not know streams: it is
told pieces and tells results.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import threading
from typing import Any, Callable

from .expected import Expected, Large, digest_of, runs
from .frames import BAD, CELL, CHECKED, DURABLE, GOOD, PACKED, Broken
from .place import Partial
from .reuse import NotInKernel, copy_range
from .volume import PLAIN, Tree, look, open_directory, write_all

FLUSH = 32 << 20  # bytes of one file between two fsyncs; with the next ones under way, 64 MiB are the bound
UNFLUSHED = 64 << 20  # bytes of all files that are written and not yet fsynced: what a cut can cost
FLUSH_SECONDS = 1.0  # ... and so long on a slow link
READ_ON = 64  # cells read back before other work gets its turn
PACKS = 4  # packs with open files, each of at most PACK_FILES
PACK_FILES = 256
FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no file can go on; all else condemns the one file

Tell = Callable[[int, bytes, int], None]


class Receiver:
    """All files of one transfer. `tell(kind, payload, number)` reports to the client, `fail(error)` ends it all."""

    def __init__(
        self, partial: Partial, expected: dict[int, Expected], tell: Tell, fail: Callable[[BaseException], None]
    ) -> None:
        self._partial = partial
        self._journal_lock = threading.Lock()
        self.expected = expected
        self._tell = tell
        self._fail = fail
        self._work: queue.Queue[Callable[[], None]] = queue.Queue()
        self._room = threading.Condition()
        self._unflushed = 0
        self._packs = 0
        self._opened: dict[int, Large] = {}
        self._tree = Tree(partial.files)
        self._tree_lock = threading.Lock()
        self.files = partial.files
        self.failed = False
        for _ in range(min(4, max(2, os.cpu_count() or 2))):
            threading.Thread(target=self._serve, daemon=True).start()

    def resume(self) -> None:
        """Believe the journal, as far as the files bear it out."""
        for line in self._partial.journal.lines:
            file = self.expected.get(int(line[1]))
            if file is None or line[0] == "f":
                continue
            if line[0] == "x":
                file.reset()
            elif line[0] == "v" and int(line[2]) == file.size:
                file.inode, file.verified = int(line[3]), line[4]
            elif line[0] == "d" and isinstance(file, Large):
                file.mark([(int(line[2]), int(line[3]))])
        for file in self.expected.values():
            if file.verified or (isinstance(file, Large) and file.durable_count):
                self._check_resumed(file)

    def _check_resumed(self, file: Expected) -> None:
        parent, _, name = file.path.rpartition("/")
        try:
            info = look(self._tree.directory(parent), name)
        except FileNotFoundError:
            info = None
        there = (info.st_ino, info.st_size) if info and info.st_nlink == 1 else None
        if there is None or (file.verified and there != (file.inode, file.size)):
            file.reset()
            return
        if isinstance(file, Large) and not file.verified:
            self._open(file)
            self._queue(file)

    def cell(self, number: int, offset: int, payload: memoryview) -> None:
        """One piece of a large file."""
        file = self.expected.get(number)
        if not isinstance(file, Large) or offset % CELL or len(payload) != min(CELL, file.size - offset):
            raise Broken(f"a piece of file {number} at {offset} does not fit")
        self._put(file, offset, len(payload), lambda handle: write_all(handle, payload, offset))

    def copy_cell(self, number: int, offset: int, size: int, source: int) -> bool:
        """The same from an open file, in the kernel; False, and nothing done, where it cannot."""
        file = self.expected[number]
        assert isinstance(file, Large)
        try:
            self._put(file, offset, size, lambda handle: copy_range(source, handle, offset, size))
        except NotInKernel:
            return False
        return True

    def _put(self, file: Large, offset: int, size: int, write: Callable[[int], None]) -> None:
        """Write one cell and see to its fsync."""
        self._hold(size)
        try:
            with file.lock:
                write(self._open(file).fileno())
                file.pending.append(offset // CELL)
                file.pending_bytes += size
                ready = file.pending_bytes >= FLUSH or file.whole()
        except NotInKernel:
            self._release(size)
            raise
        except OSError as error:
            self._release(size)
            # What was fsynced before stays good when the volume is full; other errors condemn the file.
            self._trouble(file, error, condemn=error.errno not in FATAL)
            return
        if ready:
            self._queue(file)

    def pack(self, count: int, payload: memoryview, tree: Tree) -> None:
        """Many small files, whole. `tree` belongs to the calling thread."""
        table = count * PACKED.size
        if count > PACK_FILES or table > len(payload):
            raise Broken("a pack does not fit")
        with self._room:
            self._room.wait_for(lambda: self._packs < PACKS or self.failed)
            self._packs += 1
        written, offset = [], table
        for number, size in PACKED.iter_unpack(payload[:table]):
            file = self.expected.get(number)
            if file is None or isinstance(file, Large) or size != file.size or offset + size > len(payload):
                raise Broken(f"file {number} in a pack does not fit")
            try:
                written.append((file, _write_small(file, payload[offset : offset + size], tree)))
            except OSError as error:
                self._trouble(file, error)
            offset += size
        self._work.put(lambda: self._finish_pack(written))

    def again(self, number: int) -> None:
        """The client found that the digest differs: forget the file."""
        self._partial.check_ours()
        self._condemn(self.expected[number])

    def take_copy(self, file: Expected, make: Callable[[], int]) -> None:
        """A copy of a file that lies on the volume already; whether it is equal, its digest decides."""
        try:
            handle = make()
        except OSError as error:
            if error.errno in FATAL:
                self._trouble(file, error)
            else:
                self._tell(BAD, b"copy", file.number)
            return
        self._verify([(file, handle)])

    def take_shared(self, made: list[tuple[Expected, int]]) -> None:
        """Open files that share blocks with others of the digest that is expected of them: only made durable."""
        lines, told = [], []
        for file, handle in made:
            try:
                try:
                    os.fsync(handle)
                    info = os.fstat(handle)
                finally:
                    os.close(handle)
                if info.st_size != file.size:
                    raise OSError(errno.EIO, "has another size than what it shares blocks with")
            except OSError as error:
                self._trouble(file, error)
                continue
            file.inode, file.verified = info.st_ino, file.digest
            lines.append(_verified(file))
            told.append(CHECKED.pack(file.number, bytes.fromhex(file.digest)))
        if told:
            with self._journal_lock:
                self._partial.journal.write(lines)
            self._tell(GOOD, b"".join(told), len(told))

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

    def _finish_pack(self, written: list[tuple[Expected, int]]) -> None:
        self._verify(written)
        with self._room:
            self._packs -= 1
            self._room.notify_all()

    def _verify(self, written: list[tuple[Expected, int]]) -> None:
        """fsync each, then read each back."""
        synced = []
        for file, handle in written:
            try:
                os.fsync(handle)
                synced.append((file, handle))
            except OSError as error:  # noqa: PERF203 - each file has its own fate
                os.close(handle)
                self._trouble(file, error)
        lines, told = [], []
        for file, handle in synced:
            try:
                try:
                    digest = digest_of(handle, file.size)
                    file.inode = os.fstat(handle).st_ino
                finally:
                    os.close(handle)
            except OSError as error:
                self._trouble(file, error)
                continue
            file.verified = digest.hex()
            lines.append(_verified(file))
            told.append(CHECKED.pack(file.number, digest))
        with self._journal_lock:
            self._partial.journal.write(lines)
        self._tell(GOOD, b"".join(told), len(told))

    def _queue(self, file: Large) -> None:
        with file.lock:
            if file.queued:
                return
            file.queued = True
        self._work.put(lambda: self._flush(file))

    def _serve(self) -> None:
        while not self.failed:
            try:
                work = self._work.get(timeout=FLUSH_SECONDS)
            except queue.Empty:
                self._flush_all()
                continue
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - a thread's last word must reach the client
                self.failed = True
                self._fail(error)

    def _flush_all(self) -> None:
        for file in list(self._opened.values()):
            if file.pending:
                self._queue(file)

    def _flush(self, file: Large) -> None:
        """fsync what came, let its pages go, note it, and read on from the volume."""
        with file.turn:
            with file.lock:
                file.queued = False
                cells, file.pending = file.pending, []
                count, file.pending_bytes = file.pending_bytes, 0
                handle = file.file
            try:
                if handle is not None:
                    if cells:
                        self._make_durable(file, handle.fileno(), cells)
                    self._release(count)  # what is durable may be digested while the next pieces come
                    count = 0
                    self._read_on(file, handle)
            except OSError as error:
                self._trouble(file, error)
            finally:
                self._release(count)

    def _make_durable(self, file: Large, handle: int, cells: list[int]) -> None:
        os.fsync(handle)
        found = runs(cells)
        for first, count in found:
            os.posix_fadvise(handle, first * CELL, count * CELL, os.POSIX_FADV_DONTNEED)
        with file.lock:
            file.mark(found)
        with self._journal_lock:
            self._partial.journal.write(f"d {file.number} {first} {count}" for first, count in found)
        self._tell(DURABLE, b"".join(PACKED.pack(*run) for run in found), file.number)

    def _read_on(self, file: Large, handle: Any) -> None:
        """Digest what is durable without a gap, as the volume gives it back; at the end the file is verified."""
        buffer = memoryview(bytearray(CELL))
        first = file.read_back
        while file.read_back < len(file.durable) and file.durable[file.read_back]:
            if file.read_back - first == READ_ON:
                self._queue(file)
                break
            start = file.read_back * CELL
            wanted = min(CELL, file.size - start)
            if os.preadv(handle.fileno(), [buffer[:wanted]], start) != wanted:
                raise OSError(errno.EIO, f"gave back fewer bytes than written at {start}")
            file.hash.update(buffer[:wanted])
            file.read_back += 1
        if file.read_back > first:
            length = (file.read_back - first) * CELL
            os.posix_fadvise(handle.fileno(), first * CELL, length, os.POSIX_FADV_DONTNEED)
        if file.read_back == len(file.durable) and not file.verified:
            self._conclude(file, handle)

    def _conclude(self, file: Large, handle: Any) -> None:
        if os.fstat(handle.fileno()).st_size != file.size:
            raise OSError(errno.EIO, "has another size than what was written")
        with file.lock:
            self._opened.pop(file.number, None)
            file.file = None
        handle.close()
        file.verified = file.hash.hexdigest()
        with self._journal_lock:
            self._partial.journal.write([_verified(file)])
        self._tell(GOOD, CHECKED.pack(file.number, file.hash.digest()), 1)

    def _hold(self, count: int) -> None:
        """Wait until so many bytes may be written without exceeding the bound."""
        with self._room:
            if self._unflushed + count > UNFLUSHED:
                self._flush_all()
            self._room.wait_for(lambda: self._unflushed + count <= UNFLUSHED or self.failed)
            self._unflushed += count

    def _release(self, count: int) -> None:
        with self._room:
            self._unflushed -= count
            self._room.notify_all()

    def _trouble(self, file: Expected, error: OSError, condemn: bool = True) -> None:
        """A full volume ends the transfer; any other error, above all a failed fsync, condemns the file.

        fsync reports a lost write once and then says that all is well, so it is never asked twice.
        """
        if error.errno not in FATAL:
            self._partial.check_ours()  # a later writer's files are neither bad nor ours to forget
            self._condemn(file)
            self._tell(BAD, os.strerror(error.errno or 0).encode(), file.number)
            return
        if condemn:
            with contextlib.suppress(OSError):  # what cannot be noted is found by its digest
                self._condemn(file)
        self.failed = True
        error.filename = file.path
        self._fail(error)

    def _condemn(self, file: Expected) -> None:
        parent, _, name = file.path.rpartition("/")
        if isinstance(file, Large):
            with file.lock:
                self._release(file.pending_bytes)
                self._opened.pop(file.number, None)
                file.reset()
        else:
            file.reset()
        directory = open_directory(self._partial.files, parent)
        try:
            if look(directory, name):
                os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)
        with self._journal_lock:
            self._partial.journal.write([f"x {file.number}"])


def _verified(file: Expected) -> str:
    return f"v {file.number} {file.size} {file.inode} {file.verified} {json.dumps(file.path)}"


def _write_small(file: Expected, data: memoryview, tree: Tree) -> int:
    """Write a whole file; the open descriptor."""
    parent, _, name = file.path.rpartition("/")
    directory = tree.directory(parent, make=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN
    try:
        handle = os.open(name, flags, file.mode, dir_fd=directory)
    except FileExistsError:  # left by a run that was stopped
        os.unlink(name, dir_fd=directory)
        handle = os.open(name, flags, file.mode, dir_fd=directory)
    try:
        write_all(handle, data, 0)
        # Starts writing back, so that the first fsync of the pack finds the others' blocks allocated.
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    except BaseException:
        os.close(handle)
        raise
    return handle
