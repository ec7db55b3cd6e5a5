"""The digests of files while they move, and what a finished file must agree with.

Owns which digest is computed of what comes, in which order, and the judgement. Must not move bytes.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, Callable

from pvserve.errors import DataDiffers, PvserveError
from pvserve.model.contain import shown
from pvserve.transfer.agent.expected import LET_GO, Expected, Large
from pvserve.transfer.agent.frames import CELL

from .reading import Item


class Moving:
    """One file on its way: `turn` is the offset up to which its digests have seen it.

    A `large` one is compared with what the volume gives back byte for byte, and needs no digest of ours for that.
    """

    def __init__(self, item: Item, large: bool) -> None:
        self.item = item
        self._large = large
        self.turn = 0
        self.generation = 0
        self.complete = True  # every byte is seen in order; not so where a part was there already
        self._hashes: list[Any] = []
        self.begin(item)

    def begin(self, item: Item) -> None:
        """From the file's first byte; pieces of an earlier generation are no longer wanted."""
        self.item = item
        self.turn = 0
        self.generation += 1
        self.complete = True
        self._hashes = []
        if not item.sha256 and not self._large:  # one that is published is compared with what the volume gives back
            self._hashes.append(hashlib.sha256())
        if item.md5:
            self._hashes.append(hashlib.md5())  # noqa: S324 - what S3 publishes
        if item.git:
            self._hashes.append(git_hash(item.size))

    @property
    def ordered(self) -> bool:
        """Whether pieces must be digested one after the other."""
        return self.complete and bool(self._hashes)

    def skip(self) -> None:
        """A part is there already, so that not every byte will be seen."""
        self.complete = False

    def digester(self) -> Callable[[memoryview], None]:
        """What takes the next bytes; of a file that is begun anew meanwhile, those of before."""
        hashes = self._hashes

        def digest(data: memoryview) -> None:
            for each in hashes:
                each.update(data)

        return digest

    def came_damaged(self, handle: int = -1) -> tuple[str, str] | None:
        """(what came, what is published) where the two differ; `handle` is the file, read where not all was seen."""
        promised = [(name, value) for name, value in (("md5", self.item.md5), ("git", self.item.git)) if value]
        if not promised or self.item.sha256:  # a sha256 says more
            return None
        name, value = promised[0]
        if self.complete:
            seen = self._hashes[-1].hexdigest()
        else:
            digest = hashlib.md5() if name == "md5" else git_hash(self.item.size)  # noqa: S324
            seen = read_through(handle, self.item.size, digest)
        return None if seen == value else (seen, value)

    def differs(self, found: str) -> str:
        """The sha256 that should have been `found`; "" where it is the one, or no digest says."""
        wanted = self.item.sha256
        if not wanted and self.complete and not self._large:
            wanted = self._hashes[0].hexdigest()
        return wanted if wanted and wanted != found else ""


def moving_of(item: Item, file: Expected) -> Moving:
    """The file, or the part of it that is expected, of which no published digest says anything."""
    large = isinstance(file, Large)
    whole = not isinstance(file, Large) or file.base is None
    return Moving(item if whole else item._replace(sha256="", md5="", git=""), large)


def git_hash(size: int) -> Any:
    """The digest by which git names a blob of this size, begun."""
    digest = hashlib.sha1()  # noqa: S324 - what git names its blobs by
    digest.update(b"blob %d\0" % size)
    return digest


def read_through(handle: int, size: int, digest: Any) -> str:
    """The digest of a file."""
    buffer = memoryview(bytearray(CELL))
    for offset in range(0, size, CELL):
        view = buffer[: os.preadv(handle, [buffer], offset)]
        digest.update(view)
        if (offset + CELL) % LET_GO == 0:
            os.posix_fadvise(handle, 0, offset, os.POSIX_FADV_DONTNEED)
    return str(digest.hexdigest())


def damaged(path: str, found: str, promised: str) -> PvserveError:
    """The bytes that came are not those that the source publishes."""
    return DataDiffers(
        "SourceDamaged",
        f"{shown(path)} came with digest {found}, and its source publishes {promised}; nothing was published",
        subject=shown(path),
        remedy=("ask who keeps the source; what was fetched of the other files stays and is not fetched again",),
    )
