"""Names below a directory of the volume, walked one component at a time so that no planted link leads out.

Owns opening, making, listing and removing by directory descriptor. Must not know what the names mean.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Iterator

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
PLAIN = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # NONBLOCK: a planted FIFO must not hang us
# The volume's fsGroup reads and writes through the group, which the set-group-id bit of its root hands down; others
# read, because a serving pod's uid is not known beforehand. umask is 0 in the agent.
DIRECTORY_MODE, FILE_MODE, PROGRAM_MODE = 0o775, 0o664, 0o775


class Told(Exception):
    """An error whose own words say all that the client needs."""


class Unsafe(Exception):
    """Something on the volume is not what its name promises; `path` says where."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def components(path: str) -> list[str]:
    """The names of a relative path; raises Unsafe for one that could lead elsewhere."""
    names = path.split("/") if path else []
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        raise Unsafe(path, "is no plain relative path")
    return names


def open_directory(base: int, path: str, make: bool = False) -> int:
    """A descriptor of the directory `path` below `base`; with `make`, missing ones are made and made durable."""
    here = os.dup(base)
    try:
        for name in components(path):
            if make and make_directory(here, name):
                os.fsync(here)
            inner = _open_component(here, name, path)
            os.close(here)
            here = inner
    except BaseException:
        os.close(here)
        raise
    return here


def _open_component(here: int, name: str, path: str) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Unsafe(path, f"{name} is not a directory") from error
        raise


def make_directory(base: int, name: str) -> bool:
    """Make one directory; False if it is there."""
    try:
        os.mkdir(name, DIRECTORY_MODE, dir_fd=base)
    except FileExistsError:
        return False
    return True


def look(base: int, name: str) -> os.stat_result | None:
    """What one name is, without following it; None where there is nothing."""
    try:
        return os.stat(name, dir_fd=base, follow_symlinks=False)
    except FileNotFoundError:
        return None


def open_plain(base: int, path: str) -> int:
    """A descriptor of the regular file `path` below `base`, to read from; OSError where it is anything else."""
    parent, _, name = path.rpartition("/")
    directory = open_directory(base, parent)
    try:
        handle = os.open(name, os.O_RDONLY | PLAIN, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file")
    return handle


def read_small(base: int, name: str, limit: int) -> bytes:
    """A regular file of at most `limit` bytes."""
    handle = os.open(name, os.O_RDONLY | PLAIN, dir_fd=base)
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode) or info.st_size > limit:
            raise Unsafe(name, "is not a regular file of sensible size")
        return file.read(limit)


def cause(error: OSError, directory: int) -> OSError:
    """EROFS where that is why the volume failed, else the error itself.

    Where ext4 gives up its journal, the call that is under way gets EIO and all that come after it EROFS.
    """
    if error.errno == errno.EIO:
        try:
            os.utime(directory)
        except OSError as now:
            if now.errno == errno.EROFS:
                return OSError(errno.EROFS, now.strerror, error.filename)
    return error


def write_durably(base: int, name: str, data: bytes | bytearray) -> None:
    """Put `data` under `name` so that a crash leaves the old file or the new one: temp, fsync, rename, fsync."""
    temporary = f".{name}.new"
    write_temporary(base, temporary, data)
    os.rename(temporary, name, src_dir_fd=base, dst_dir_fd=base)
    os.fsync(base)


def write_temporary(base: int, name: str, data: bytes | bytearray) -> None:
    """A new file, fsynced, in the place of one that a stopped run left."""
    if look(base, name):
        os.unlink(name, dir_fd=base)
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN, FILE_MODE, dir_fd=base)
    try:
        write_all(handle, data, 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes | bytearray | memoryview, offset: int) -> None:
    """pwrite until nothing is left."""
    view = memoryview(data)
    while len(view):
        count = os.pwrite(handle, view, offset)
        offset += count
        view = view[count:]


def walk(base: int, top: str = "") -> Iterator[tuple[str, int, os.DirEntry]]:  # type: ignore[type-arg]
    """Every entry below `base` as (path, descriptor of its directory, entry); links are entries, never followed."""
    pending = [top]
    while pending:
        path = pending.pop()
        here = open_directory(base, path)
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    inner = f"{path}/{entry.name}" if path else entry.name
                    yield inner, here, entry
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(inner)
        finally:
            os.close(here)


def remove_tree(base: int, name: str) -> None:
    """Remove `name` and all below; links are removed, not followed."""
    info = look(base, name)
    if info is None:
        return
    if not stat.S_ISDIR(info.st_mode):
        os.unlink(name, dir_fd=base)
        return
    here = os.open(name, DIRECTORY, dir_fd=base)
    try:
        with os.scandir(here) as entries:
            names = [entry.name for entry in entries]
        for inner in names:
            remove_tree(here, inner)
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=base)


class Tree:
    """Directories below one base, kept open while they are used again."""

    KEPT = 32

    def __init__(self, base: int) -> None:
        self.base = base
        self._open: dict[str, int] = {}

    def directory(self, path: str, make: bool = False) -> int:
        """A descriptor that stays open until KEPT others were asked for."""
        known = self._open.pop(path, None)
        if known is None:
            if len(self._open) >= self.KEPT:
                os.close(self._open.pop(next(iter(self._open))))
            known = self._make(path) if make else open_directory(self.base, path)
        self._open[path] = known
        return known

    def _make(self, path: str) -> int:
        """Make and open, without making each durable: that is done once for all before publishing."""
        here = os.dup(self.base)
        try:
            for name in components(path):
                make_directory(here, name)
                inner = _open_component(here, name, path)
                os.close(here)
                here = inner
        except BaseException:
            os.close(here)
            raise
        return here

    def close(self) -> None:
        """Close all."""
        while self._open:
            os.close(self._open.popitem()[1])
