"""The copy from a source in this pod to the volume: shared blocks, else in the kernel, else read, written and compared.

Owns the copying threads. Must not decide what is copied, nor whether it arrived: the client does, by both digests.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import queue
import threading
import time
from typing import Any, Callable, Iterator, NamedTuple

from .compared import Compared
from .direct import PIECE, Past, room
from .expected import LET_GO, Expected, Large
from .frames import CELL, CHECKED, PACKED, SMALL, SOURCED
from .receiver import PACK_FILES, Receiver
from .reuse import FICLONE, NO_CLONE, NotInKernel, copy_range
from .source import Origin, Source, SourceChanged, SourceUnreadable, check, large_piece, piece
from .volume import FILE_MODE, PLAIN, Tree, Unsafe

COPIERS = 2

Tell = Callable[[int, bytes, int, int], None]


class Hand(NamedTuple):
    """What each copying thread has for itself."""

    tree: Tree
    source: Tree
    compared: Compared


class Copier:
    """Threads that copy what they are told to, and tell the source's digests where those are not known."""

    def __init__(
        self,
        source: Source,
        origins: dict[int, Origin],
        receiver: Receiver,
        tell: Tell,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._source = source
        self._origins = origins
        self._receiver = receiver
        self._tell = tell
        self._fail = fail
        self._shares = True  # until the file system says that it cannot
        self._in_kernel = None if receiver.network else False  # None: not known yet
        self._work: queue.Queue[tuple[list[int], bool]] = queue.Queue()
        for _ in range(COPIERS):
            threading.Thread(target=self._serve, daemon=True).start()

    def add(self, numbers: list[int], send: bool, known: bool) -> None:
        """One large file, a pack of small ones, or files that can share blocks; without `send` only digests are wanted.

        Files that are `known` came with their digest, by which alone the copy is judged; else the source is digested.
        """
        if not numbers or len(numbers) > PACK_FILES or not all(number in self._origins for number in numbers):
            raise Unsafe("", "is asked to copy a file that nobody named")
        for number in numbers:
            if not known:
                self._receiver.expected[number].digest = ""
        self._work.put((numbers, send))

    def can_share(self) -> bool:
        """Whether blocks of the source can be shared, tried with a file that never gets a name."""
        origin = next((origin for origin in self._origins.values() if origin.size), None)
        if origin is None:
            return False
        try:
            handle = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, FILE_MODE, dir_fd=self._receiver.files)
            try:
                with self._source.reading(origin) as original:
                    fcntl.ioctl(handle, FICLONE, original)
            finally:
                os.close(handle)
        except (OSError, SourceChanged, SourceUnreadable):  # those of the source are told when it is copied
            return False
        return True

    def _serve(self) -> None:
        hand = Hand(Tree(self._receiver.files), Tree(self._source.root), self._receiver.comparing())
        try:
            while True:
                numbers, send = self._work.get()
                self._carry_out(numbers, send, hand)
        except BaseException as error:  # noqa: BLE001 - a thread's last word must reach the client
            self._fail(error)

    def _carry_out(self, numbers: list[int], send: bool, hand: Hand) -> None:
        files = [self._receiver.expected[number] for number in numbers]
        if not send:
            tell_digests(self._source, [(number, self._origins[number]) for number in numbers], self._tell)
        elif self._shares and all(file.digest and not _begun(file) for file in files):
            self._copy_each(self._share_known(files, hand), hand)
        else:
            self._copy_each(numbers, hand)

    def _copy_each(self, numbers: list[int], hand: Hand) -> None:
        """Large files one by one, small ones in packs of what a frame would hold."""
        pack: list[int] = []
        size = 0
        for number in numbers:
            file = self._receiver.expected[number]
            if isinstance(file, Large):
                self._copy_large(file, self._origins[number], hand)
                continue
            if pack and size + file.size > CELL:
                self._copy_pack(pack, hand)
                pack, size = [], 0
            pack.append(number)
            size += file.size
        if pack:
            self._copy_pack(pack, hand)

    def _share_known(self, files: list[Expected], hand: Hand) -> list[int]:
        """Share the blocks of files whose digests are known, so that nothing is read; what cannot be shared."""
        done = self._receiver.take_shared(len(files), self._shared_ones(files, hand))
        return [file.number for file in files[done:]]

    def _shared_ones(self, files: list[Expected], hand: Hand) -> Iterator[tuple[Expected, int]]:
        for file in files:
            with self._source.reading(self._origins[file.number], hand.source) as original:
                handle = self._shared(file, original, hand.tree) if self._shares else -1
            if handle < 0:
                return
            yield file, handle

    def _copy_large(self, file: Large, origin: Origin, hand: Hand) -> None:
        began = time.time_ns()
        digest = None if file.digest else hashlib.sha256()
        with self._source.reading(origin) as original:
            handle = self._shared(file, original, hand.tree) if self._shares and not file.durable_count else -1
            if handle >= 0:
                self._receiver.take_copy(file, lambda: handle)
                read = bytes.fromhex(file.verified)  # one set of blocks has one digest
            elif file.durable_count or self._copies_in_kernel(file, original, hand.tree):
                self._copy_cells(file, original, origin, digest)
                read = digest.digest() if digest else b""
            else:
                read = self._copy_compared(file, original, origin, hand, digest)
        if read:
            self._tell(SOURCED, CHECKED.pack(file.number, read), 1, began)

    def _copies_in_kernel(self, file: Large, original: int, tree: Tree) -> bool:
        """Whether the kernel copies between the two file systems, tried once, with the first piece of a file."""
        if self._in_kernel is None:
            handle, _, _ = _new(file, tree)
            try:
                copy_range(original, handle, 0, min(PIECE, file.size))
                self._in_kernel = True
            except NotInKernel:
                self._in_kernel = False
            except OSError:  # of the volume: the copy itself tells it
                return False
            finally:
                os.close(handle)
        return self._in_kernel

    def _shared(self, file: Expected, original: int, tree: Tree) -> int:
        """A new file of the source's blocks, copied on write; -1 where no file system can share these two."""
        handle, name, directory = _new(file, tree)
        try:
            if file.size:
                fcntl.ioctl(handle, FICLONE, original)
        except OSError as error:
            os.close(handle)
            os.unlink(name, dir_fd=directory)
            if error.errno not in NO_CLONE:
                error.filename = file.path
                raise
            self._shares = False
            return -1
        return handle

    def _copy_compared(self, file: Large, original: int, origin: Origin, hand: Hand, digest: Any) -> bytes:
        """Copy all of it into a new file and compare what the volume gives back; `digest` hears what is read.

        The digest of what was read; "" where it was known, or not all was read.
        """
        source = Past(original, os.O_RDONLY)

        def read(buffer: memoryview, offset: int) -> memoryview:
            view = large_piece(source, buffer, offset, origin)
            if digest:
                digest.update(view)
            source.let_go(offset + len(view), offset)
            return view

        def digest_of_all() -> bytes:
            check(original, origin)
            return bytes(digest.digest()) if digest else bytes.fromhex(file.digest)

        handle, _, _ = _new(file, hand.tree)
        try:
            equal = hand.compared.take(file, handle, read, digest_of_all)
        finally:
            os.close(handle)
        return bytes(digest.digest()) if equal and digest else b""

    def _copy_cells(self, file: Large, original: int, origin: Origin, digest: Any) -> None:
        """Copy what is not durable yet; `digest` hears all."""
        source, buffer = Past(original, os.O_RDONLY), room()
        there = bytes(file.durable)
        step = CELL if file.durable_count else PIECE
        for offset in range(0, file.size, step):
            size = min(step, file.size - offset)
            wanted = not there[offset // CELL]
            if wanted and self._in_kernel:
                self._in_kernel = self._receiver.copy_cells(file.number, offset, size, original)
                wanted = not self._in_kernel
            if wanted or digest:
                view = large_piece(source, buffer[:step], offset, origin)
                if digest:
                    digest.update(view)
                if wanted:
                    self._receiver.cells(file.number, offset, view)
            if (offset + step) % LET_GO == 0:
                source.let_go(offset)

    def _copy_pack(self, numbers: list[int], hand: Hand) -> None:
        """Small files as if they had come in a PACK."""
        table, body, buffer = bytearray(), bytearray(), memoryview(bytearray(SMALL))
        for number in numbers:
            origin, began = self._origins[number], time.time_ns()
            with self._source.reading(origin, hand.source) as handle:
                view = piece(handle, buffer, 0, origin)
            if not self._receiver.expected[number].digest:
                self._tell(SOURCED, CHECKED.pack(number, hashlib.sha256(view).digest()), 1, began)
            table += PACKED.pack(number, len(view))
            body += view
        self._receiver.pack(len(numbers), memoryview(table + body), hand.tree)


def tell_digests(source: Source, origins: list[tuple[int, Origin]], tell: Tell) -> None:
    """Read files and tell their digests, each with the wall clock when reading began."""
    for number, origin in origins:
        began = time.time_ns()
        tell(SOURCED, CHECKED.pack(number, source.digest(origin)), 1, began)


def _begun(file: Expected) -> bool:
    """Whether pieces of it are durable, which sharing the source's blocks would throw away."""
    return isinstance(file, Large) and bool(file.durable_count)


def _new(file: Expected, tree: Tree) -> tuple[int, str, int]:
    """A new file, in the place of one that a stopped run left: open; its name and directory."""
    parent, _, name = file.path.rpartition("/")
    directory = tree.directory(parent, make=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN
    try:
        return os.open(name, flags, file.mode, dir_fd=directory), name, directory
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        return os.open(name, flags, file.mode, dir_fd=directory), name, directory
