"""Files that come whole: many small ones in packs, and copies of what lies on the volume already.

Owns writing a pack, making it durable at once, and reading it back. Must not know cells.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import Any, Callable, Iterable, List, NamedTuple, Tuple

from .aside import FILES, Aside
from .expected import Expected, Large, digest_of
from .frames import PACKED, Broken
from .ledger import FATAL, Ledger
from .syncing import FileSystem
from .volume import PLAIN, Tree, write_all

PACKS = 4  # packs with open files, each of at most PACK_FILES
PACK_FILES = 256
MANY = 32  # files from which on a sync of the whole file system is less work than one of each

Handles = List[Tuple[Expected, int]]


class Pack(NamedTuple):
    """Files that are written and still open; `mark` is from before their first byte (`syncing.FileSystem`)."""

    mark: int
    files: Handles


class Whole:
    """`later(work)` has a thread do something; `aside` reads packs back."""

    def __init__(
        self, ledger: Ledger, system: FileSystem, later: Callable[[Callable[[], None]], None], aside: Aside
    ) -> None:
        self._ledger = ledger
        self._later = later
        self._system = system
        self._room = threading.Condition()
        self._open_packs = 0
        self._written: list[Pack] = []
        # Two threads that do many short calls take the interpreter from each other at each: one pack at a time takes
        # half the CPU seconds. Where calls wait for a network, waiting side by side is worth more.
        self._turn: Any = threading.Lock() if system.believed else contextlib.nullcontext()
        self._aside = aside if system.believed else Aside()

    def pack(self, numbers: dict[int, Expected], count: int, payload: memoryview, tree: Tree) -> None:
        """Write the `count` files of a PACK frame, of those that may come. `tree` belongs to the calling thread."""
        table = count * PACKED.size
        if count > PACK_FILES or table > len(payload):
            raise Broken("a pack does not fit")
        with self._room:
            self._room.wait_for(lambda: self._open_packs < PACKS or self._ledger.failed)
            self._open_packs += 1
        written: Handles = []
        pack = Pack(self._mark(count), written)
        with self._turn:
            self._write(numbers, payload, table, written, tree)
        with self._room:
            self._written.append(pack)
        self._later(self._finish)

    def _write(
        self, numbers: dict[int, Expected], payload: memoryview, table: int, written: Handles, tree: Tree
    ) -> None:
        offset, inside, directory = table, None, -1
        for number, size in PACKED.iter_unpack(payload[:table]):
            file = numbers.get(number)
            if file is None or isinstance(file, Large) or size != file.size or offset + size > len(payload):
                raise Broken(f"file {number} in a pack does not fit")
            try:
                parent, _, name = file.path.rpartition("/")
                if parent != inside:
                    inside, directory = parent, tree.directory(parent, make=True)
                written.append((file, _write(directory, name, file.mode, payload[offset : offset + size])))
            except OSError as error:
                self._ledger.trouble(file, error)
            offset += size

    def copied(self, file: Expected, make: Callable[[], int]) -> None:
        """A copy of a file that lies on the volume already, open; whether it is equal, its digest decides."""
        try:
            handle = make()
        except OSError as error:
            if error.errno in FATAL:
                self._ledger.trouble(file, error)
            else:
                self._ledger.no_copy(file)
            return
        for _, synced in self._synced_each([(file, handle)]):
            self._digest_copy(file, synced)

    def _digest_copy(self, file: Expected, handle: int) -> None:
        try:
            try:
                with self._turn:
                    digest = digest_of(handle, file.size)
                file.inode = os.fstat(handle).st_ino
            finally:
                os.close(handle)
        except OSError as error:
            self._ledger.trouble(file, error)
        else:
            self._ledger.verified([(file, digest)])

    def shared(self, count: int, made: Iterable[tuple[Expected, int]]) -> int:
        """Up to `count` files that share blocks with others of the digest that is expected of them, each open once it
        is made: they are only made durable. How many there were."""
        pack = Pack(self._mark(count), [])
        with self._turn:
            pack.files.extend(made)
        done = len(pack.files)
        told = []
        for file, handle in self._synced([pack]):
            try:
                try:
                    info = os.fstat(handle)
                finally:
                    os.close(handle)
                if info.st_size != file.size:
                    raise OSError(errno.EIO, "has another size than what it shares blocks with")
            except OSError as error:
                self._ledger.trouble(file, error)
                continue
            file.inode = info.st_ino
            told.append((file, bytes.fromhex(file.digest)))
        self._ledger.verified(told)
        return done

    def _mark(self, count: int) -> int:
        return self._system.mark() if count >= MANY else -1

    def _finish(self) -> None:
        """All packs that are written by now: one sync serves them together."""
        with self._room:
            packs, self._written = self._written, []
        if not packs:
            return
        try:
            self._read_back(self._synced(packs))
        finally:
            with self._room:
                self._open_packs -= len(packs)
                self._room.notify_all()

    def _synced(self, packs: list[Pack]) -> Handles:
        """The files of these packs that are durable; the others are in trouble."""
        marked = [pack for pack in packs if pack.mark >= 0]
        files = [entry for pack in marked for entry in pack.files]
        try:
            done = files if files and self._system.sync(marked[0].mark) else self._synced_each(files)
        except OSError as error:  # no telling whose bytes were lost
            done = []
            self._lost(files, error)
        finally:
            for pack in marked:
                os.close(pack.mark)
        return done + self._synced_each([entry for pack in packs if pack.mark < 0 for entry in pack.files])

    def _synced_each(self, files: Handles) -> Handles:
        synced = []
        for entry in files:
            try:
                os.fsync(entry[1])
                synced.append(entry)
            except OSError as error:  # noqa: PERF203 - each file has its own fate
                self._lost([entry], error)
        return synced

    def _lost(self, files: Handles, error: OSError) -> None:
        for _, handle in files:
            os.close(handle)
        for file, _ in files:
            self._ledger.trouble(file, error)
            if self._ledger.failed:
                return

    def _read_back(self, files: Handles) -> None:
        """Digest each as the volume gives it back."""
        for start in range(0, len(files), FILES):
            some = files[start : start + FILES]
            handles = [handle for _, handle in some]
            try:
                answers = self._aside.read_back(handles, [file.size for file, _ in some], self._turn)
            finally:
                for handle in handles:
                    os.close(handle)
            told = []
            for (file, _), (inode, code, digest) in zip(some, answers):
                if code:
                    self._ledger.trouble(file, OSError(code, os.strerror(code)))
                else:
                    file.inode = inode
                    told.append((file, digest))
            self._ledger.verified(told)


def _write(directory: int, name: str, mode: int, data: memoryview) -> int:
    """Write a whole file; the open descriptor."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN
    try:
        handle = os.open(name, flags, mode, dir_fd=directory)
    except FileExistsError:  # left by a run that was stopped
        os.unlink(name, dir_fd=directory)
        handle = os.open(name, flags, mode, dir_fd=directory)
    try:
        write_all(handle, data, 0)
    except BaseException:
        os.close(handle)
        raise
    return handle
