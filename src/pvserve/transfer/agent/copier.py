"""The copy from a source in this pod to the volume: shared blocks, else in the kernel, else read and written.

Owns the copying threads. Must not decide what is copied, nor whether it arrived: the client does, by both digests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import queue
import threading
import time
from typing import Callable

from .expected import LET_GO, Large
from .frames import CELL, CHECKED, PACKED, SMALL, SOURCED
from .receiver import PACK_FILES, Receiver
from .reuse import FICLONE, NO_CLONE
from .source import Origin, Source, piece
from .volume import PLAIN, Tree, Unsafe

COPIERS = 2

Tell = Callable[[int, bytes, int, int], None]


class Copier:
    """Threads that copy what they are told to, and tell the source's digests."""

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
        self._in_kernel = True
        self._work: queue.Queue[tuple[list[int], bool]] = queue.Queue()
        for _ in range(COPIERS):
            threading.Thread(target=self._serve, daemon=True).start()

    def add(self, numbers: list[int], send: bool) -> None:
        """One large file or a pack of small ones; without `send` only the source's digests are wanted."""
        if not numbers or len(numbers) > PACK_FILES or not all(number in self._origins for number in numbers):
            raise Unsafe("", "is asked to copy a file that nobody named")
        self._work.put((numbers, send))

    def _serve(self) -> None:
        tree = Tree(self._receiver.files)
        try:
            while True:
                numbers, send = self._work.get()
                file = self._receiver.expected[numbers[0]]
                if not send:
                    tell_digests(self._source, [(number, self._origins[number]) for number in numbers], self._tell)
                elif isinstance(file, Large):
                    self._copy_large(file, self._origins[file.number], tree)
                else:
                    self._copy_pack(numbers, tree)
        except BaseException as error:  # noqa: BLE001 - a thread's last word must reach the client
            self._fail(error)

    def _copy_large(self, file: Large, origin: Origin, tree: Tree) -> None:
        began = time.time_ns()
        with self._source.reading(origin) as original:
            shared = self._shares and not file.durable_count and self._share(file, original, tree)
            digest = b"" if shared else self._copy_cells(file, original, origin)
        if shared and file.verified:  # one set of blocks has one digest
            digest = bytes.fromhex(file.verified)
        if digest:
            self._tell(SOURCED, CHECKED.pack(file.number, digest), 1, began)

    def _share(self, file: Large, original: int, tree: Tree) -> bool:
        """Share the source's blocks, copied on write; False where the two do not lie on one file system that can."""
        parent, _, name = file.path.rpartition("/")
        directory = tree.directory(parent, make=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN, file.mode, dir_fd=directory)
        try:
            fcntl.ioctl(handle, FICLONE, original)
        except OSError as error:
            os.close(handle)
            os.unlink(name, dir_fd=directory)
            if error.errno not in NO_CLONE:
                error.filename = file.path
                raise
            self._shares = False
            return False
        self._receiver.take_copy(file, lambda: handle)
        return True

    def _copy_cells(self, file: Large, original: int, origin: Origin) -> bytes:
        """Copy what is not durable yet; the digest of all."""
        digest, buffer = hashlib.sha256(), memoryview(bytearray(CELL))
        there = bytes(file.durable)
        for offset in range(0, file.size, CELL):
            view = piece(original, buffer, offset, origin)
            digest.update(view)
            if not there[offset // CELL]:
                if self._in_kernel:
                    self._in_kernel = self._receiver.copy_cell(file.number, offset, len(view), original)
                if not self._in_kernel:
                    self._receiver.cell(file.number, offset, view)
            if (offset + CELL) % LET_GO == 0:
                os.posix_fadvise(original, 0, offset, os.POSIX_FADV_DONTNEED)
        return digest.digest()

    def _copy_pack(self, numbers: list[int], tree: Tree) -> None:
        """Small files as if they had come in a PACK."""
        table, body, buffer = bytearray(), bytearray(), memoryview(bytearray(SMALL))
        for number in numbers:
            origin, began = self._origins[number], time.time_ns()
            with self._source.reading(origin) as handle:
                view = piece(handle, buffer, 0, origin)
            self._tell(SOURCED, CHECKED.pack(number, hashlib.sha256(view).digest()), 1, began)
            table += PACKED.pack(number, len(view))
            body += view
        self._receiver.pack(len(numbers), memoryview(table + body), tree)


def tell_digests(source: Source, origins: list[tuple[int, Origin]], tell: Tell) -> None:
    """Read files and tell their digests, each with the wall clock when reading began."""
    for number, origin in origins:
        began = time.time_ns()
        tell(SOURCED, CHECKED.pack(number, source.digest(origin)), 1, began)
