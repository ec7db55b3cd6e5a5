"""Files that become known as they come, written to a partial transfer and read back.

Owns their numbers, their digests on the way, and what of an earlier Job is believed of them. Must not know archives.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from typing import NamedTuple

from pvserve.errors import DataDiffers, PvserveError
from pvserve.model.contain import shown
from pvserve.transfer import causes
from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import BAD, CELL, CHECKED, GOOD, PACKED, SMALL
from pvserve.transfer.agent.place import FILES, space
from pvserve.transfer.agent.receiver import Receiver
from pvserve.transfer.agent.reuse import copy_file
from pvserve.transfer.agent.volume import Tree as Directories

from .errand import Errand
from .members import Member
from .moving import damaged
from .work import PACK_BYTES, PACK_FILES


class Landed(NamedTuple):
    """A file that was written; `came` is its sha256 on the way."""

    number: int
    path: str
    size: int
    program: bool
    came: str


class Damaged(Exception):
    """What came is not what is published, or not what an earlier Job got: once more."""

    def __init__(self, error: PvserveError) -> None:
        super().__init__(str(error))
        self.error = error


class Landing:
    """The files of one errand; `next` is the number of the next one."""

    def __init__(self, errand: Errand) -> None:
        self._errand = errand
        self.files: dict[int, Landed] = {}
        self.expected: dict[int, Expected] = {}
        self.good: dict[int, str] = {}
        self.next = 0
        self._lock = threading.Condition()
        self._error: BaseException | None = None
        self._pending: list[tuple[Expected, bytes]] = []
        self._receiver = Receiver(errand.partial, self.expected, self._told, self._fail)
        self._directories = Directories(errand.partial.files)

    def land(self, path: str, member: Member) -> None:
        """Write a file's bytes. Raises Damaged where an earlier Job got others, and what ends it all."""
        kind = Large if member.size > SMALL else Expected
        file = self._expect(kind(self.next, path, member.size, member.program, ""))
        self.next += 1
        before = file.verified
        came = self._large(file, member) if isinstance(file, Large) else self._small(file, member)
        self.files[file.number] = Landed(file.number, path, file.size, member.program, came)
        if before and before != came:
            raise Damaged(damaged(path, came, before))

    def believe(self, files: list[Landed]) -> bool:
        """Take files of an earlier Job as they are; whether all of them are on the volume."""
        made = [self._expect((Large if file.size > SMALL else Expected)(*file[:4], "")) for file in files]
        if not all(file.verified == row.came for file, row in zip(made, files)):
            return False
        self.files.update({file.number: file for file in files})
        return True

    def copy(self, path: str, original: Landed) -> None:
        """A file that lies here already, once more under another name."""
        file = self._expect(Expected(self.next, path, original.size, original.program, original.came))
        self.next += 1
        self.files[file.number] = original._replace(number=file.number, path=path)
        if file.verified:
            return
        self.check_room(file.size)
        parent, _, name = path.rpartition("/")
        directory = self._directories.directory(parent, make=True)
        where = f".pvserve/partial/{self._errand.partial.path}/{FILES}/{original.path}"
        root = self._errand.place.root
        self._receiver.take_copy(file, lambda: copy_file(root, where, directory, name, file.size, file.mode))

    def flush(self) -> None:
        """Small files, many at a time."""
        if self._pending:
            table = b"".join(PACKED.pack(file.number, len(data)) for file, data in self._pending)
            body = b"".join(data for _, data in self._pending)
            self._receiver.pack(len(self._pending), memoryview(table + body), self._directories)
            self._pending = []

    def settle(self, first: int = 0) -> None:
        """Wait until the volume gave back the files from number `first` on. Raises what ends it all."""
        self.flush()
        with self._lock:
            wanted = {number for number in self.files if number >= first}
            self._lock.wait_for(lambda: self._error is not None or wanted <= self.good.keys())
        self.check()

    def forget(self, first: int) -> None:
        """Nothing is believed of the files from number `first` on."""
        self.settle(first)
        for number in [number for number in self.expected if number >= first]:
            with contextlib.suppress(FileNotFoundError):
                self._receiver.again(number)
            for known in (self.good, self.files, self.expected):
                known.pop(number, None)
        self.next = first

    def check(self) -> None:
        """Raise what ended it."""
        if self._error is not None:
            raise self._error

    def check_digests(self) -> None:
        """Raise DataDiffers where the volume gave back something else than came."""
        for number, file in self.files.items():
            if self.good[number] != file.came:
                raise _corrupts(file.path, file.came, self.good[number])

    def check_room(self, size: int, there: int = 0) -> None:
        """Refuse what cannot fit; how much is to come is only known of what has begun."""
        held = there if self.files else self._errand.partial.held()["bytes"]
        missing = max(0, size - held)
        info = space(self._errand.place.root)
        if causes.needed(missing) > info["free"]:
            raise causes.no_room(self._errand.target, missing, info["free"], info["size"])

    def close(self) -> None:
        """End threads, close files."""
        self._receiver.stop()
        self._directories.close()

    def _expect(self, file: Expected) -> Expected:
        """The file as it is known here, with what the journal says of it."""
        known = self.expected.get(file.number)
        if known is not None and (known.path, known.size, known.mode) == (file.path, file.size, file.mode):
            return known
        if known is not None:
            with contextlib.suppress(FileNotFoundError):
                self._receiver.again(file.number)
            self.good.pop(file.number, None)
        self._receiver.expect(file)
        if file.verified:
            self.good[file.number] = file.verified
        return file

    def _large(self, file: Large, member: Member) -> str:
        there = b"\1" * len(file.durable) if file.verified else bytes(file.durable)
        if not file.verified:
            self.check_room(file.size, file.durable_count * CELL)
        digest, buffer = hashlib.sha256(), memoryview(bytearray(CELL))
        for offset in range(0, file.size, CELL):
            view = buffer[: min(CELL, file.size - offset)]
            _fill(member, view)
            digest.update(view)
            if not there[offset // CELL]:
                self._receiver.cell(file.number, offset, view)
            self.check()
        return digest.hexdigest()

    def _small(self, file: Expected, member: Member) -> str:
        there, data = bool(file.verified), bytearray(file.size)
        _fill(member, memoryview(data))
        if not there:
            self._pending.append((file, bytes(data)))
            if len(self._pending) >= PACK_FILES or sum(len(each[1]) for each in self._pending) >= PACK_BYTES:
                self.flush()
        return hashlib.sha256(data).hexdigest()

    def _told(self, kind: int, payload: bytes, number: int) -> None:
        with self._lock:
            if kind == GOOD:
                self.good.update({which: digest.hex() for which, digest in CHECKED.iter_unpack(payload)})
            elif kind == BAD and number in self.expected:
                path, why = self.expected[number].path, payload.decode("utf-8", "replace")
                error = PvserveError("VolumeDamagesWrites", f"{shown(path)} could not be written: {shown(why)}")
                self._error = self._error or error
            self._lock.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._lock.notify_all()


def _fill(member: Member, view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = member.read(view[done:])
        if not count:
            raise DataDiffers("ArchiveBroken", f"{shown(member.path)} ended early; nothing was published")
        done += count


def _corrupts(path: str, wanted: str, seen: str) -> DataDiffers:
    return DataDiffers(
        "VolumeCorrupts",
        f"{shown(path)} was written to the claim and read back differently: {seen} instead of sha256 {wanted}",
        remedy=("the storage below this claim damages data: tell its administrator",),
    )
