"""Brings the files of a listing from a source to a partial transfer, by many connections at once.

Owns the work's division among threads, and whether what the volume gave back is right. Must not know a protocol.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Callable

from pvserve.errors import DataDiffers, PvserveError
from pvserve.model.contain import shown
from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import BAD, CELL, CHECKED, DURABLE, GOOD, PACKED
from pvserve.transfer.agent.place import Partial
from pvserve.transfer.agent.receiver import Receiver
from pvserve.transfer.agent.volume import Tree, open_plain

from .kept import Buffer, Kept
from .moving import Moving, damaged, moving_of
from .reading import ASKED_FOR, Item, NoRanges
from .work import PIECE, Piece, Stopped, Work

CONNECTIONS = 6
BUFFERS = 2 * CONNECTIONS  # of a piece each; more than connections, which hold one each even while they wait for work
TRIES = 3  # times that one file may come, or be given back, wrong


class Fetching:
    """One listing on its way to one partial transfer."""

    def __init__(self, source: Any, items: list[Item], partial: Partial, expected: dict[int, Expected]) -> None:
        self._source = source
        self._expected = expected
        self._moving = {number: moving_of(items[number], file) for number, file in expected.items()}
        self._partial = partial
        self._lock = threading.Condition()
        self._work = Work(expected, self._moving, self._lock, self._over)
        self._bytes: dict[int, int] = {}
        self._tries: dict[int, int] = {}
        self._good: dict[int, str] = {}
        self._error: BaseException | None = None
        self.waiting_for, self.fetched, self.found = "", 0, 0  # the latter: bytes that came, and that were there
        self._kept = Kept(BUFFERS, self._over, lambda: self.receiver.hurry())
        self.receiver = Receiver(partial, expected, self._told, self.fail, self._kept.given_back)

    def run(self, reuse: Callable[[Receiver], set[int]]) -> dict[int, str]:
        """The sha256 of every file as the volume gives it back; raises the first error that ends it.

        `reuse` copies what lies there, and names that.
        """
        self.receiver.resume()
        self._promise()
        there = {number: file.verified for number, file in self._expected.items() if file.verified}
        copied = reuse(self.receiver)
        for number, digest in there.items():
            self._moving[number].skip()
            self._checked(number, digest)
        for number, file in self._expected.items():
            if isinstance(file, Large) and number not in there:
                self._bytes[number] = min(file.size, file.durable_count * CELL)
        self.found = sum(self._bytes.values())
        self._work.add([number for number in self._expected if number not in there and number not in copied])
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        try:
            with self._lock:
                self._lock.wait_for(lambda: self._error is not None or len(self._good) == len(self._expected))
        finally:
            self._end(threads)
        if self._error is not None:
            raise self._error
        return self._good

    def progress(self) -> tuple[int, int]:
        """Bytes and files that are durable."""
        with self._lock:
            return sum(self._bytes.values()), len(self._good)

    def fail(self, error: BaseException) -> None:
        """End it all; the first error counts."""
        with self._lock:
            self._error = self._error or error
            self._lock.notify_all()

    def _end(self, threads: list[threading.Thread]) -> None:
        with self._lock:
            self._error = self._error or (None if len(self._good) == len(self._expected) else Stopped())
            self._lock.notify_all()
        self._kept.stop()
        for thread in threads:
            thread.join(timeout=2.0)
        self.receiver.stop()

    def _promise(self) -> None:
        """Ask for digests that only a question of its own brings up, before a byte of a large file is digested."""
        reader = self._source.reader(self._tell_waiting)
        try:
            for number, moving in self._moving.items():
                asks = moving.item.sha256 == ASKED_FOR or moving.item.md5
                if asks and isinstance(self._expected[number], Large):
                    moving.begin(reader.promises(moving.item))
                elif moving.item.sha256 == ASKED_FOR:
                    moving.begin(moving.item._replace(sha256=""))
        finally:
            reader.close()

    def _over(self) -> bool:
        return self._error is not None or len(self._good) == len(self._expected)

    def _serve(self) -> None:
        reader = self._source.reader(self._tell_waiting)
        tree = Tree(self._partial.files)
        try:
            while True:
                buffer = self._kept.take()
                work = self._work.next()
                if isinstance(work, Piece):
                    self._fetch_piece(reader, work, buffer)
                else:
                    self._kept.drop(buffer)
                    self._fetch_small(reader, work, tree)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - a thread's last word must be heard
            self.fail(error)
        finally:
            tree.close()
            reader.close()

    def _tell_waiting(self, text: str) -> None:
        self.waiting_for = text

    def _fetch_piece(self, reader: Any, piece: Piece, buffer: Buffer) -> None:
        """All of a piece, by as many buffers as it takes; the last one is dropped."""
        moving, last = self._moving[piece.number], piece.start + piece.size
        for start in range(piece.start, last, PIECE):
            if start > piece.start:
                self._kept.drop(buffer)
                buffer = self._kept.take()
            view = buffer.view[: min(PIECE, last - start)]
            try:
                reader.fill(moving.item, self._expected[piece.number].start + start, view)
            except NoRanges:
                self._without_ranges(piece)
                break
            if not self._seen(piece, moving, start, view):
                break
            self._write(piece.number, start, view, buffer)
        self._kept.drop(buffer)

    def _seen(self, piece: Piece, moving: Moving, start: int, view: memoryview) -> bool:
        """Digest the bytes in their turn; False where the file was begun anew meanwhile."""
        with self._lock:
            self._lock.wait_for(
                lambda: (
                    self._over() or moving.generation != piece.generation or not moving.ordered or moving.turn == start
                )
            )
            if self._over():
                raise Stopped
            if moving.generation != piece.generation:
                return False
            self.fetched += len(view)
            if not moving.ordered:
                return True
            digest = moving.digester()
        digest(view)  # it is our turn, and nobody else's
        with self._lock:
            if moving.generation != piece.generation:
                return False
            moving.turn = start + len(view)
            self._lock.notify_all()
        return True

    def _write(self, number: int, start: int, view: memoryview, buffer: Buffer) -> None:
        file = self._expected[number]
        assert isinstance(file, Large)
        for offset in range(0, len(view), CELL):
            if not file.durable[(start + offset) // CELL]:
                cell = view[offset : offset + CELL]
                self._kept.keep(number, start + offset, cell, buffer)
                self.receiver.cell(number, start + offset, cell)

    def _without_ranges(self, piece: Piece) -> None:
        """The server sends whole files only: begin this one anew, in one piece."""
        moving = self._moving[piece.number]
        with self._lock:
            if moving.generation != piece.generation:
                return
            moving.begin(moving.item._replace(ranged=False))
        self._work.add([piece.number])

    def _fetch_small(self, reader: Any, numbers: list[int], tree: Tree) -> None:
        table, body = bytearray(), bytearray()
        for number in numbers:
            moving = self._moving[number]
            data = reader.whole(moving.item)
            with self._lock:
                moving.begin(reader.promises(moving.item)._replace(ranged=moving.item.ranged))
                self.fetched += len(data)
            moving.digester()(memoryview(data))
            table += PACKED.pack(number, len(data))
            body += data
        self.receiver.pack(len(numbers), memoryview(table + body), tree)

    def _told(self, kind: int, payload: bytes, number: int) -> None:
        if kind == GOOD:
            for which, digest in CHECKED.iter_unpack(payload):
                self._checked(which, digest.hex())
        elif kind == DURABLE:
            with self._lock:
                for first, count in PACKED.iter_unpack(payload):
                    size = self._expected[number].size
                    came = min(size, (first + count) * CELL) - first * CELL
                    self._bytes[number] = self._bytes.get(number, 0) + came
        elif kind == BAD:
            self._again(number, payload.decode("utf-8", "replace"))

    def _checked(self, number: int, found: str) -> None:
        """A file was read back: it is right, or has to come again."""
        moving = self._moving[number]
        try:
            wanted = moving.differs(found)
            came = self._came_damaged(moving)
        except OSError as error:
            self.fail(error)
            return
        path = moving.item.path
        if number in self._kept.differing:
            self._once_more(number, _corrupts(path, f"from byte {self._kept.differing[number]} on"))
        elif came or (wanted and moving.item.sha256):
            seen, promised = came or (found, wanted)
            self._once_more(number, damaged(path, seen, promised))
        elif wanted:
            self._once_more(number, _corrupts(path, f"{found} instead of sha256 {wanted}"))
        else:
            with self._lock:
                self._good[number] = found
                self._bytes[number] = self._expected[number].size
                self._lock.notify_all()

    def _came_damaged(self, moving: Moving) -> tuple[str, str] | None:
        if moving.complete or not (moving.item.md5 or moving.item.git):
            return moving.came_damaged()
        handle = open_plain(self._partial.files, moving.item.path)
        try:
            return moving.came_damaged(handle)
        finally:
            os.close(handle)

    def _once_more(self, number: int, error: PvserveError) -> None:
        if self._is_over(number, error):
            return
        with contextlib.suppress(FileNotFoundError):
            self.receiver.again(number)
        self._anew(number)

    def _again(self, number: int, why: str) -> None:
        """The receiver forgot the file."""
        if why != "copy":
            path = self._moving[number].item.path
            error = PvserveError("VolumeDamagesWrites", f"{shown(path)} could not be written: {shown(why)}")
            if self._is_over(number, error):
                return
        self._anew(number)

    def _is_over(self, number: int, error: PvserveError) -> bool:
        """Whether this file failed once too often, which ends it all."""
        with self._lock:
            self._tries[number] = self._tries.get(number, 0) + 1
            over = self._tries[number] >= TRIES
        if over:
            self.fail(error)
        return over

    def _anew(self, number: int) -> None:
        moving = self._moving[number]
        self._kept.forget(number)
        with self._lock:
            moving.begin(moving.item)
            self._bytes.pop(number, None)
        self._work.add([number])


def _corrupts(path: str, how: str) -> DataDiffers:
    return DataDiffers(
        "VolumeCorrupts",
        f"{shown(path)} was written to the claim more than once and read back differently each time: {how}",
        remedy=("the storage below this claim damages data: tell its administrator",),
    )
