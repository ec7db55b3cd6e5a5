"""Files that lie on the volume already: found by digest, copied without crossing the network.

Owns the search through other versions and stale partial transfers, and the copy (reflink where the file system has
it). Must not decide whether a copy is equal: its digest does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from typing import Iterable, Iterator

from .expected import Expected
from .frames import CELL
from .journal import JOURNAL, journal_lines
from .place import CURRENT, FILES, PATH, SUMS, Partial, Place
from .volume import PLAIN, Unsafe, open_directory, open_plain, read_small

FICLONE = 0x40049409  # ioctl_ficlone(2)
PIECE = 64 * CELL
SUMS_LIMIT = 64 << 20
_LINE = re.compile(rb"([0-9a-f]{64}) [ *]([^\n]+)")
NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EBADF)


class NotInKernel(Exception):
    """The kernel or the file systems cannot copy between these two files."""


def candidates(place: Place, partial: Partial, wanted: Iterable[Expected]) -> Iterator[tuple[Expected, str]]:
    """Files still to come, each with the path (from the claim's root) of one that should be equal.

    By the sender's digest where it is known; else by name and size from the version that the path holds, since
    most files of a new version are those of the old one.
    """
    missing = [file for file in wanted if not file.verified and file.size]
    if not missing:
        return
    by_digest: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for digest, name, where in _known(place, partial):
        by_digest.setdefault(digest, where)
        if where == f"{place.path}/{name}":
            by_name[name] = where
    for file in missing:
        where = by_digest.get(file.digest, "") if file.digest else by_name.get(file.path, "")
        if where and _has_size(place.root, where, file.size):
            yield file, where


def copy_file(root: int, source: str, directory: int, name: str, size: int, mode: int) -> int:
    """Copy `source` to a new file; its open descriptor. Copy-on-write where possible, never a hard link.

    Two versions must not share an inode: who changes one in place would change both.
    """
    original = open_plain(root, source)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | PLAIN, mode, dir_fd=directory)
        try:
            _copy_bytes(original, handle, size)
        except BaseException:
            os.close(handle)
            raise
        return handle
    finally:
        os.close(original)


def _copy_bytes(original: int, handle: int, size: int) -> None:
    try:
        fcntl.ioctl(handle, FICLONE, original)
        return
    except OSError as error:
        if error.errno not in NO_CLONE:
            raise
    offset, in_kernel = 0, True
    while offset < size:
        wanted = min(PIECE, size - offset)
        done = 0
        if in_kernel:
            try:
                done = os.copy_file_range(original, handle, wanted, offset, offset)
            except OSError as error:
                if error.errno not in NO_CLONE:
                    raise
                in_kernel = False
        else:
            block = os.pread(original, min(wanted, CELL), offset)
            done = os.pwrite(handle, block, offset)
        if not done and not in_kernel:
            raise OSError(errno.EIO, "the file to copy is shorter than it was")
        in_kernel = in_kernel and done > 0
        if offset // PIECE != (offset + done) // PIECE:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, offset, os.POSIX_FADV_DONTNEED)
            os.posix_fadvise(original, 0, offset, os.POSIX_FADV_DONTNEED)
        offset += done


def copy_range(source: int, handle: int, offset: int, size: int) -> None:
    """copy_file_range of exactly these bytes. Raises NotInKernel where kernel or file systems cannot."""
    done = 0
    while done < size:
        try:
            count = os.copy_file_range(source, handle, size - done, offset + done, offset + done)
        except OSError as error:
            if error.errno not in NO_CLONE:
                raise
            raise NotInKernel from error
        if not count:
            raise NotInKernel
        done += count


def _known(place: Place, partial: Partial) -> Iterator[tuple[str, str, str]]:
    """(sha256, name, path from the claim's root) of files that somebody digested once."""
    with contextlib.suppress(FileNotFoundError):
        models = open_directory(place.root, place.below("models"))
        try:
            for key in os.listdir(models):
                with contextlib.suppress(OSError, Unsafe):
                    yield from _of_version(models, key)
        finally:
            os.close(models)
    for transfer in partial.stale():
        with contextlib.suppress(OSError, Unsafe):
            yield from _of_partial(place, transfer)


def _of_version(models: int, key: str) -> Iterator[tuple[str, str, str]]:
    home = open_directory(models, key)
    try:
        digest = read_small(home, CURRENT, CELL).decode("ascii").strip()
        path = read_small(home, PATH, CELL).decode("utf-8")
        version = open_directory(home, digest)
        try:
            sums = read_small(version, SUMS, SUMS_LIMIT)
        finally:
            os.close(version)
    finally:
        os.close(home)
    for found, name in _LINE.findall(sums):
        with contextlib.suppress(UnicodeDecodeError):
            yield found.decode("ascii"), name.decode("utf-8"), f"{path}/{name.decode('utf-8')}"


def _of_partial(place: Place, transfer: str) -> Iterator[tuple[str, str, str]]:
    home = open_directory(place.root, place.below("partial", transfer))
    try:
        epochs = sorted(name for name in os.listdir(home) if name.isdigit())
    finally:
        os.close(home)
    for epoch in epochs[-1:]:
        where = place.below("partial", transfer, epoch)
        handle = open_plain(place.root, f"{where}/{JOURNAL}")
        try:
            lines, _ = journal_lines(handle)
        finally:
            os.close(handle)
        for line in lines:
            if line[0] == "v":
                name = json.loads(line[5])
                yield line[4], name, f"{where}/{FILES}/{name}"


def _has_size(root: int, path: str, size: int) -> bool:
    try:
        handle = open_plain(root, path)
    except (OSError, Unsafe):
        return False
    try:
        return os.fstat(handle).st_size == size
    finally:
        os.close(handle)
