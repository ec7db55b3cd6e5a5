"""Where one path of a claim keeps its partial transfer, its versions and its marker (docs/on-volume-format.md).

Owns the layout below `.pvserve/`, who may write there, and what a resumed transfer takes over. Must not know frames.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from typing import Any

from .journal import Journal
from .volume import (
    Told,
    Unsafe,
    components,
    look,
    open_directory,
    read_small,
    remove_tree,
    walk,
    write_temporary,
)

META = ".pvserve"
FILES = "files"
CURRENT, PUBLISHING, PATH = "current", "publishing", "path"
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
MARKER_LIMIT = 1 << 16
TRIES = 10
FIRST_LEASE = 10**9  # epochs from here on are of Lease holders, lower ones of load steps without a client


class Overtaken(Told):
    """Another writer with a later epoch took the path over; `epoch` is that one where it lies there, else 0."""

    def __init__(self, text: str, epoch: int = 0) -> None:
        super().__init__(text)
        self.epoch = epoch


class Place:
    """One path of the claim whose root is at `mount`; `key` is the path as one file name."""

    def __init__(self, mount: str, path: str, key: str) -> None:
        if not components(path) or components(path)[0] == META or len(components(key)) != 1:
            raise Unsafe(path, "is no path for a model")
        self.root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.path = path
        self.key = key
        self.parent, _, self.name = path.rpartition("/")

    def below(self, *names: str) -> str:
        """A path below `.pvserve`, from the claim's root."""
        return "/".join((META, *names))

    def find(self) -> os.stat_result | None:
        """What lies at the path itself."""
        try:
            parent = open_directory(self.root, self.parent)
        except FileNotFoundError:
            return None
        try:
            return look(parent, self.name)
        finally:
            os.close(parent)

    def current(self) -> str:
        """The hex digest of the version that lies at the path, "" where pvserve put none there."""
        intent = self.intent()
        there = self.find()
        if there is None or not stat.S_ISDIR(there.st_mode):
            return ""
        if intent and there.st_ino == intent["inode"]:
            return str(intent["to"])
        marker = self._marker(CURRENT)
        return marker.decode("ascii", "replace").strip() if marker else ""

    def unsettled(self) -> bool:
        """Whether a publisher was stopped, or a partial transfer to this path lies there."""
        if self.intent() is not None:
            return True
        try:
            shelf = open_directory(self.root, self.below("partial"))
        except FileNotFoundError:
            return False
        try:
            prefix = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16] + "-"
            return any(name.startswith(prefix) for name in os.listdir(shelf))
        finally:
            os.close(shelf)

    def intent(self) -> dict[str, Any] | None:
        """What a publisher was about to do when it was stopped."""
        marker = self._marker(PUBLISHING)
        if marker is None:
            return None
        try:
            found: dict[str, Any] = json.loads(marker)
        except ValueError:
            return None
        return found

    def _marker(self, name: str) -> bytes | None:
        try:
            here = open_directory(self.root, self.below("models", self.key))
        except FileNotFoundError:
            return None
        try:
            return read_small(here, name, MARKER_LIMIT)
        except FileNotFoundError:
            return None
        finally:
            os.close(here)


class Partial:
    """The partial transfer of one content to one place; `transfer` names the content, `epoch` its writer."""

    def __init__(self, place: Place, transfer: str, epoch: int) -> None:
        self._place = place
        self.shelf = open_directory(place.root, place.below("partial"), make=True)
        self.transfer = transfer
        self.epoch = f"{epoch:012d}"
        try:
            self.taken_over = self._take_all_over()  # from a writer that may still be at work
            self.directory = self._made()
            self._take_all_over()  # again: of two writers that come at once, one sees what the other has made
        except Overtaken:
            self._withdraw()
            raise

    def _made(self) -> int:
        """Our directory; again where another writer, who tidies up, removes the one above it just then."""
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):
                return open_directory(self.shelf, self.path, make=True)
        return open_directory(self.shelf, self.path, make=True)

    def _withdraw(self) -> None:
        """Leave nothing of ours beside a later writer, who may have tidied up already."""
        with contextlib.suppress(OSError):
            home = open_directory(self.shelf, self.transfer)
            try:
                if look(home, self.epoch):
                    self._put_out(home, self.epoch)
            finally:
                os.close(home)
            os.rmdir(self.transfer, dir_fd=self.shelf)

    def open(self, share: str = "") -> None:
        """Make files and journal ready; only after `recover`, which finds in FILES what a publisher left there.

        Of several writers of one transfer each has a journal of its own, named by its `share`.
        """
        self.files = open_directory(self.directory, FILES, make=True)
        self.journal = Journal(self.directory, self.files, share)

    def _take_all_over(self) -> bool:
        """Whether there was anything."""
        found = False
        for name in [self.transfer, *self.stale()]:
            with contextlib.suppress(FileNotFoundError):  # another writer has just tidied up
                home = open_directory(self.shelf, name, make=name == self.transfer)
                try:
                    found = self._take_over(home) or found
                finally:
                    os.close(home)
        return found

    def _take_over(self, home: int) -> bool:
        """Rename the latest earlier epoch's directory to ours, also of other contents to the same path.

        Its writer may still be alive somewhere. It can then only write what it wrote before: `transfer` stands for
        the very files of the source (size, mtime, ctime, inode), and it cannot publish, because its path is gone.
        """
        epochs = sorted(name for name in os.listdir(home) if name.isdigit())
        if epochs and epochs[-1] > self.epoch:
            raise Overtaken(f"{self._place.path} is written by a later writer", int(epochs[-1]))
        if epochs and epochs[-1] < self.epoch:
            os.rename(epochs[-1], self.epoch, src_dir_fd=home, dst_dir_fd=home)
            os.fsync(home)
        for name in epochs[:-1]:
            self._put_out(home, name)
        return bool(epochs)

    def _put_out(self, home: int, name: str) -> None:
        """Remove an earlier writer's directory: its name goes first, so that this writer knows why files are gone."""
        ours = self.epoch
        if name != self.epoch:
            ours = f"{self.epoch}/.{name}" if look(home, self.epoch) else self.epoch
            try:
                os.rename(name, ours, src_dir_fd=home, dst_dir_fd=home)
            except FileNotFoundError:  # another writer was faster
                return
        parent = open_directory(home, ours.rpartition("/")[0])
        try:
            remove_tree(parent, ours.rpartition("/")[2])
        finally:
            os.close(parent)

    @property
    def path(self) -> str:
        """The directory that we write into, from the shelf of all partial transfers."""
        return f"{self.transfer}/{self.epoch}"

    def check_ours(self) -> None:
        """Raise Overtaken when the directory that we write into is no longer the one at our epoch's path."""
        try:
            there = open_directory(self.shelf, self.path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            raise Overtaken(f"{self._place.path} was taken over by a later writer") from None
        try:
            if not os.path.samestat(os.fstat(there), os.fstat(self.directory)):
                raise Overtaken(f"{self._place.path} was taken over by a later writer")
        finally:
            os.close(there)

    def held(self) -> dict[str, int]:
        """What the partial files already take of the volume: inodes, and bytes as the file system counts them."""
        inodes = size = 0
        for _, here, entry in walk(self.files):
            with contextlib.suppress(FileNotFoundError):  # removed by a writer that was overtaken
                info = os.stat(entry.name, dir_fd=here, follow_symlinks=False)
                inodes += 1
                size += 0 if stat.S_ISDIR(info.st_mode) else info.st_blocks * 512
        return {"inodes": inodes, "bytes": size}

    def stale(self) -> list[str]:
        """Partial transfers of other contents to the same path."""
        ours = self.transfer.partition("-")[0] + "-"
        return [name for name in os.listdir(self.shelf) if name.startswith(ours) and name != self.transfer]

    def give(self, home: int, name: str, data: bytes) -> None:
        """Put `data` under `name` durably; raises Overtaken, and changes nothing, once a later writer took over.

        The rename is by our epoch's path, so that a writer that was stopped before it cannot do it after the other.
        """
        temporary = f".{name}.new"
        write_temporary(self.directory, temporary, data)
        try:
            os.rename(f"{self.path}/{temporary}", name, src_dir_fd=self.shelf, dst_dir_fd=home)
        except FileNotFoundError:
            raise Overtaken(f"{self._place.path} was taken over by a later writer") from None
        os.fsync(home)

    def drop(self) -> None:
        """Remove the partial transfers to this path, but for those of a later writer."""
        for name in [*self.stale(), self.transfer]:
            try:
                home = open_directory(self.shelf, name)
            except FileNotFoundError:
                continue
            try:
                for epoch in sorted(epoch for epoch in os.listdir(home) if epoch <= self.epoch):
                    self._put_out(home, epoch)
            finally:
                os.close(home)
            try:
                os.rmdir(name, dir_fd=self.shelf)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):  # a later writer's
                    raise
        os.fsync(self.shelf)


def space(root: int) -> dict[str, int]:
    """Free bytes and inodes for this process, and the volume's size."""
    info = os.fstatvfs(root)
    return {
        "free": info.f_bavail * info.f_frsize,
        "size": info.f_blocks * info.f_frsize,
        "block": info.f_frsize,
        # btrfs and some network file systems count no inodes
        "inodes": info.f_favail if info.f_files else -1,
    }
