"""Walking a directory tree without leaving it.

Owns the traversal: links, special files, unreadable files, clashing names. Reads names and metadata only.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from pvserve.model.contain import fault as name_fault
from pvserve.model.contain import inside, shown
from pvserve.model.filters import Filter

_EFFECTIVE_IDS = os.access in os.supports_effective_ids
_ALL_READ = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH  # then it is not asked: on NFS that is a round trip per file
_MAX_NAMES = 1_000_000  # links that fan out could otherwise name a file without end

_SPECIAL = {
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a character device",
    stat.S_IFBLK: "is a block device",
}


class Fault(NamedTuple):
    """Why one path cannot be loaded; path "" is the model directory itself."""

    path: str
    why: str


class Found(NamedTuple):
    """One file: its path below the model directory, what `stat` said of it, and where its bytes really lie.

    `promised_sha256` is what the source itself says its digest is (Hugging Face names large files so), or "".
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    executable: bool
    real: str  # absolute
    promised_sha256: str = ""


class _Directory(NamedTuple):
    path: str  # below the model directory, with its links unresolved; "" for the model directory
    real: str
    above: tuple[str, ...]  # real directories on the way here: a link to one of them is a loop


class Walk:
    """One traversal of `root`; `homes` are the directories that links may lead into. All absolute, without links."""

    def __init__(self, root: str, homes: tuple[str, ...], chosen: Filter) -> None:
        self.files: list[Found] = []  # without what a source promises
        self.left_out: list[str] = []
        self.faults: list[Fault] = []
        self._names = 0
        self._root = root
        self._homes = homes
        self._chosen = chosen

    def run(self) -> None:
        """Fill `files`, `left_out` and `faults`."""
        pending = [_Directory("", self._root, ())]
        while pending:
            pending.extend(self._directory(pending.pop()))
            if self._names > _MAX_NAMES:
                self.faults.append(Fault("", f"names more than {_MAX_NAMES} files and directories"))
                return

    def _directory(self, directory: _Directory) -> Iterator[_Directory]:
        prefix = directory.path + "/" if directory.path else ""
        names: dict[str, str] = {}
        try:
            with os.scandir(directory.real) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            self.faults.append(Fault(directory.path, f"cannot be listed: {error.strerror}"))
            return
        self._names += len(entries)
        for entry in entries:
            path = prefix + entry.name
            if self._chosen.leaves_out(path):
                self._leave_out(path, entry)
                continue
            try:
                below = self._entry(path, entry, directory)
            except OSError as error:
                self.faults.append(Fault(path, f"cannot be read: {error.strerror}"))
                continue
            if below is False:
                continue
            self._check_name(path, entry.name, names)
            if isinstance(below, _Directory):
                yield below

    def _entry(self, path: str, entry: os.DirEntry[str], directory: _Directory) -> _Directory | bool:
        """Take one entry; the directory to walk where it is one, and whether it counts at all elsewhere."""
        real = entry.path
        info = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            followed = self._follow(path, real)
            if followed is None:
                return False
            real, info = followed
        if stat.S_ISDIR(info.st_mode):
            above = (*directory.above, directory.real)
            if real in above:
                self.faults.append(Fault(path, "is a link to a directory above it, a loop"))
                return False
            return _Directory(path, real, above)
        if not self._chosen.takes(path):
            self.left_out.append(path)
            return False
        if not stat.S_ISREG(info.st_mode):
            why = _SPECIAL.get(stat.S_IFMT(info.st_mode), "is no regular file")
            self.faults.append(Fault(path, why + ", which cannot be loaded"))
            return False
        if info.st_mode & _ALL_READ != _ALL_READ and not os.access(real, os.R_OK, effective_ids=_EFFECTIVE_IDS):
            self.faults.append(Fault(path, "cannot be read: Permission denied"))
            return False
        program = bool(info.st_mode & stat.S_IXUSR)
        self.files.append(
            Found(path, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_dev, program, real)
        )
        return True

    def _follow(self, path: str, link: str) -> tuple[str, os.stat_result] | None:
        """Where a link ends, when that is inside; else the fault is noted."""
        try:
            real = os.path.realpath(link, strict=True)
            info = os.stat(real)
        except OSError as error:
            if not self._chosen.takes(path):
                self.left_out.append(path)
                return None
            target = shown(os.readlink(link))
            self.faults.append(Fault(path, f"is a link to {target}, which cannot be followed: {error.strerror}"))
            return None
        if any(inside(home, real) for home in self._homes):
            return real, info
        if stat.S_ISDIR(info.st_mode) or self._chosen.takes(path):
            self.faults.append(Fault(path, f"is a link that leaves the model directory, to {shown(real)}"))
        else:
            self.left_out.append(path)
        return None

    def _leave_out(self, path: str, entry: os.DirEntry[str]) -> None:
        try:
            directory = entry.is_dir()
        except OSError:
            directory = False
        self.left_out.append(path + "/" if directory else path)

    def _check_name(self, path: str, name: str, names: dict[str, str]) -> None:
        if why := name_fault(path) or clash(name, names):
            self.faults.append(Fault(path, why))


def clash(name: str, names: dict[str, str]) -> str:
    """Why `name` cannot lie beside others of its directory, or ""; `names` are those seen, by their folded form.

    Not every volume can hold names side by side that differ only in case or Unicode form.
    """
    folded = name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
    other = names.setdefault(folded, name)
    return "" if other == name else f"clashes with {shown(other)}: the names differ only in case or Unicode form"
