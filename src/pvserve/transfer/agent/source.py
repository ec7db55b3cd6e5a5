"""A source that is mounted in this pod: what lies there, and reading it exactly as it was listed.

Owns reading below the source's mount. Must not write, nor decide what is taken.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from typing import Any, Iterator, List, NamedTuple

from .direct import PIECE, Past, room
from .expected import LET_GO
from .frames import SMALL
from .place import META
from .stamps import Known, identity_of, stamps_below
from .volume import PLAIN, Told, Tree, Unsafe, components, open_directory

NAMES_LIMIT = 1_000_000  # links that fan out could name a file without end
FILE_IS = {
    stat.S_IFIFO: "is a FIFO, which cannot be loaded",
    stat.S_IFSOCK: "is a socket, which cannot be loaded",
    stat.S_IFCHR: "is a character device, which cannot be loaded",
    stat.S_IFBLK: "is a block device, which cannot be loaded",
    stat.S_IFDIR: "is a link to a directory above it, a loop",
}

# path, size, mtime_ns, ctime_ns, inode, executable, real path below the mount, fault, sha256 by its stamp or ""
Row = List[Any]


class SourceChanged(Told):
    """A file is not what was listed."""


class SourceUnreadable(Told):
    """Reading a file failed."""


class Origin(NamedTuple):
    """A file of the source: its name, where its bytes are below the mount, and what it was when it was listed."""

    path: str
    real: str
    identity: tuple[int, ...]  # size, mtime_ns, ctime_ns, inode

    @property
    def size(self) -> int:
        """Bytes."""
        return self.identity[0]


def origins(rows: list[Row]) -> dict[int, Origin]:
    """Where files lie, from rows that say so: path, size, executable, digest, real path, times and inode."""
    return {number: Origin(row[0], row[4], (row[1], *row[5:8])) for number, row in enumerate(rows)}


class Source:
    """A directory below the mount of a claim that is only read."""

    def __init__(self, mount: str, path: str) -> None:
        self.mount = os.path.realpath(mount)
        self.top = os.path.realpath(os.path.join(self.mount, *components(path)))
        if not _inside(self.mount, self.top):
            raise Unsafe(path, "leads out of the source's claim")
        self.root = os.open(self.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._device = os.fstat(self.root).st_dev
        self._stamps: Known = {}
        self._homes = [self.top]
        snapshots = os.path.dirname(self.top)
        if os.path.basename(snapshots) == "snapshots":  # the Hugging Face cache links into its blobs
            self._homes.append(os.path.join(os.path.dirname(snapshots), "blobs"))

    def rows(self) -> Iterator[Row]:
        """Every file, with links that stay inside followed; what cannot be taken bears its fault.

        Raises OSError where the top itself cannot be listed.
        """
        self._stamps = stamps_below(self.root, "" if self.top == self.mount else os.path.relpath(self.top, self.mount))
        pending: list[tuple[str, str, tuple[str, ...]]] = [("", self.top, ())]
        count = 0
        while pending:
            prefix, real, above = pending.pop()
            try:
                names = sorted(os.listdir(real))
            except OSError as error:
                if not prefix:
                    raise
                yield _faulty(prefix, f"cannot be listed: {os.strerror(error.errno or 0)}")
                continue
            count += len(names)
            if count > NAMES_LIMIT:
                raise Unsafe(prefix, f"names more than {NAMES_LIMIT} files")
            for name in names:
                if real == self.mount and name == META:  # ours, not the model's
                    continue
                path = f"{prefix}/{name}" if prefix else name
                row, inner = self._row(path, os.path.join(real, name), (*above, real))
                if inner:
                    pending.append((path, inner, (*above, real)))
                else:
                    yield row

    def _row(self, path: str, name: str, above: tuple[str, ...]) -> tuple[Row, str]:
        """The row of a file, or the real path of a directory to walk. The directory of `name` is real, and inside."""
        real = name
        try:
            info = os.stat(name, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                real = os.path.realpath(name)
                info = os.stat(real, follow_symlinks=False)
        except OSError as error:
            return _faulty(path, f"cannot be read: {os.strerror(error.errno or 0)}"), ""
        if real is not name and not any(_inside(home, real) for home in self._homes):
            return _faulty(path, "is a link that leaves the model directory"), ""
        if stat.S_ISDIR(info.st_mode) and real not in above:
            return [], real
        if not stat.S_ISREG(info.st_mode):
            return _faulty(path, FILE_IS.get(stat.S_IFMT(info.st_mode), "is no regular file")), ""
        if not os.access(real, os.R_OK):
            return _faulty(path, "cannot be read: Permission denied"), ""
        identity = [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]
        digest = self._stamps.get(identity_of(info), "") if info.st_dev == self._device else ""
        executable = bool(info.st_mode & stat.S_IXUSR)
        return [path, *identity, executable, self._below(real), "", digest], ""

    def _below(self, real: str) -> str:
        """A real path, from the mount."""
        top = self.mount.rstrip("/") + "/"
        return real[len(top) :] if real.startswith(top) else os.path.relpath(real, self.mount)

    @contextlib.contextmanager
    def reading(self, origin: Origin, tree: Tree | None = None) -> Iterator[int]:
        """The file, as it was listed, before and after; `tree` of `root`, of whoever reads many."""
        handle = self._open(origin, tree)
        try:
            check(handle, origin)
            yield handle
            check(handle, origin)
        finally:
            os.close(handle)

    def _open(self, origin: Origin, tree: Tree | None) -> int:
        parent, _, name = origin.real.rpartition("/")
        try:
            if tree is not None:
                return os.open(name, os.O_RDONLY | PLAIN, dir_fd=tree.directory(parent))
            directory = open_directory(self.root, parent)
            try:
                return os.open(name, os.O_RDONLY | PLAIN, dir_fd=directory)
            finally:
                os.close(directory)
        except (FileNotFoundError, Unsafe):
            raise SourceChanged(origin.path) from None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link by now
                raise SourceChanged(origin.path) from None
            raise _unreadable(origin, 0, error) from error

    def digest(self, origin: Origin) -> bytes:
        """The sha256 of a whole file."""
        with self.reading(origin) as handle:
            if origin.size <= SMALL:
                return hashlib.sha256(piece(handle, memoryview(bytearray(SMALL)), 0, origin)).digest()
            digest, source, buffer = hashlib.sha256(), Past(handle, os.O_RDONLY), room()
            for offset in range(0, origin.size, PIECE):
                digest.update(large_piece(source, buffer, offset, origin))
                if (offset + PIECE) % LET_GO == 0:
                    source.let_go(offset)
        return digest.digest()

    def peek(self, origin: Origin, offset: int, size: int) -> bytes:
        """Up to `size` bytes of a file."""
        if offset >= origin.size:
            return b""
        with self.reading(origin) as handle:
            return bytes(piece(handle, memoryview(bytearray(size)), offset, origin))

    def close(self) -> None:
        """Let the claim go."""
        os.close(self.root)


def piece(handle: int, buffer: memoryview, offset: int, origin: Origin) -> memoryview:
    """What lies at `offset`: as much as the buffer holds, less only at the end of the file."""
    view = buffer[: min(len(buffer), origin.size - offset)]
    done = 0
    while done < len(view):
        try:
            count = os.preadv(handle, [view[done:]], offset + done)
        except OSError as error:
            raise _unreadable(origin, offset + done, error) from error
        if not count:
            check(handle, origin)
            raise _unreadable(origin, offset + done, OSError(errno.EIO, "it ends here, though it is listed as longer"))
        done += count
    return view


def large_piece(source: Past, buffer: memoryview, offset: int, origin: Origin) -> memoryview:
    """The same past the cache, into a buffer of `direct.room`; the offset is a multiple of CELL."""
    size = min(len(buffer), origin.size - offset)
    try:
        view = source.read(buffer, offset, size)
    except OSError as error:
        raise _unreadable(origin, offset, error) from error
    if len(view) < size:
        check(source.handle, origin)
        raise _unreadable(origin, offset, OSError(errno.EIO, "it ends here, though it is listed as longer"))
    return view


def check(handle: int, origin: Origin) -> None:
    """Raise SourceChanged where an open file is not what was listed."""
    info = os.fstat(handle)
    if (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino) != origin.identity:
        raise SourceChanged(origin.path)


def _unreadable(origin: Origin, offset: int, error: OSError) -> SourceUnreadable:
    return SourceUnreadable(f"{origin.path} failed at byte {offset}: {error.strerror}")


def _faulty(path: str, why: str) -> Row:
    return [path, 0, 0, 0, 0, False, "", why, ""]


def _inside(root: str, real: str) -> bool:
    return real == root or real.startswith(root.rstrip("/") + "/")
