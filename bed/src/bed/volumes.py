"""Volumes of true size: a sparse file with a file system of its own, mounted through a loop device.

Owns files, mounts and loop devices under one directory. Knows nothing of Kubernetes. One file system per volume, since
a kernel may lack project quotas; ENOSPC then comes at the claim's size.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError

SMALLEST = 32 << 20  # bytes; a smaller claim gets that much
BIG_LOG_FROM = 1 << 30  # bytes; xfs asks for a larger log on a larger volume
FILE_SYSTEMS = ("xfs", "ext4")


@dataclass(frozen=True)
class Volumes:
    """The volumes in `directory`: NAME.img is the file, NAME is where it is mounted."""

    directory: Path

    def image(self, name: str) -> Path:
        """The file that holds the volume."""
        return self.directory / f"{name}.img"

    def mount_point(self, name: str) -> Path:
        """Where the volume is mounted."""
        return self.directory / name

    def create(self, name: str, size: int, file_system: str = "xfs") -> Path:
        """Makes and mounts a volume of `size` bytes; one that exists is mounted as it is. Raises BedError."""
        image = self.image(name)
        if not image.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            unfinished = image.with_suffix(".new")
            unfinished.unlink(missing_ok=True)
            size = max(size, SMALLEST)
            with open(unfinished, "wb") as file:
                file.truncate(size)
            _run(*mkfs(file_system, size), str(unfinished))
            unfinished.rename(image)
        return self.mount(name)

    def clone(self, source: str, name: str, size: int) -> Path:
        """Makes and mounts a volume with what `source` holds now, of at least `size` bytes. Raises BedError.

        Blocks are shared where the file system below can. `source` is frozen meanwhile, as a storage system would take
        it at one moment.
        """
        self._copy(source, self.image(name))
        return self._mount_with(name, size)

    def snapshot(self, source: str, name: str) -> None:
        """Keeps what `source` holds now, as `clone` does, as a file that is not mounted. Raises BedError."""
        self._copy(source, self._snapshot(name))

    def restore(self, snapshot: str, name: str, size: int) -> Path:
        """Makes and mounts a volume with what a snapshot holds, of at least `size` bytes. Raises BedError."""
        image = self.image(name)
        if not image.exists():
            _reflink(self._snapshot(snapshot), image)
        return self._mount_with(name, size)

    def snapshot_size(self, name: str) -> int:
        """The size in bytes of the volume that it was taken of."""
        return self._snapshot(name).stat().st_size

    def delete_snapshot(self, name: str) -> None:
        """Removes a snapshot; volumes made of it stay."""
        self._snapshot(name).unlink(missing_ok=True)

    def _snapshot(self, name: str) -> Path:
        return self.directory / f"{name}.snapshot"

    def _copy(self, source: str, target: Path) -> None:
        """The file of volume `source` at one moment."""
        if target.exists():
            return
        frozen = os.path.ismount(self.mount_point(source))
        if frozen:
            _run("fsfreeze", "-f", str(self.mount_point(source)))
        try:
            _reflink(self.image(source), target)
        finally:
            if frozen:
                _run("fsfreeze", "-u", str(self.mount_point(source)))

    def _mount_with(self, name: str, size: int) -> Path:
        point = self.mount(name)
        if self.image(name).stat().st_size < size:
            self.grow(name, size)
        return point

    def mount(self, name: str) -> Path:
        """Mounts the volume unless it is mounted."""
        point = self.mount_point(name)
        point.mkdir(exist_ok=True)
        if not os.path.ismount(point):
            image = str(self.image(name))
            clones = "loop,nouuid" if _run("blkid", "-o", "value", "-s", "TYPE", image).strip() == "xfs" else "loop"
            _run("mount", "-o", clones, image, str(point))  # a clone has the file system's id of its source
        return point

    def mount_all(self) -> None:
        """Mounts what a stopped bed left: a kubelet that starts before would give pods the empty directories below."""
        for name in self.names():
            self.mount(name)

    def grow(self, name: str, size: int) -> None:
        """Makes a mounted volume larger while it is in use. Raises BedError."""
        image, point = self.image(name), self.mount_point(name)
        if image.stat().st_size < size:
            os.truncate(image, size)
        device, file_system = _run("findmnt", "-no", "SOURCE,FSTYPE", str(point)).split()
        _run("losetup", "-c", device)
        _run(*(["xfs_growfs", str(point)] if file_system == "xfs" else ["resize2fs", device]))

    def delete(self, name: str) -> None:
        """Unmounts the volume and removes its data. Raises BedError while it is in use."""
        point = self.mount_point(name)
        if os.path.ismount(point):
            _run("umount", str(point))  # the loop device goes with the mount
        self.image(name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            point.rmdir()

    def names(self) -> list[str]:
        """Every volume that has a file."""
        return sorted(image.stem for image in self.directory.glob("*.img"))


def mkfs(file_system: str, size: int) -> list[str]:
    """The command that makes a file system of `size` bytes, but for the file it is to be made on.

    Raises BedError for a file system that the bed does not have.
    """
    if file_system == "xfs":
        # A small log, so that a claim's size is nearly its user's; --unsupported allows claims under 300 MiB.
        log = 16 if size >= BIG_LOG_FROM else 8
        return ["mkfs.xfs", "-q", "--unsupported", "-l", f"size={log}m", "-m", "reflink=1,rmapbt=0"]
    if file_system == "ext4":
        # No reserved blocks, for the same reason. No lazy work: it would steal time from benchmarks.
        return ["mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    raise BedError(f"there is no file system {file_system}", "one of: " + ", ".join(FILE_SYSTEMS))


def _reflink(source: Path, target: Path) -> None:
    """Copies a file whole or not at all."""
    unfinished = target.with_suffix(".new")
    _run("cp", "--reflink=auto", "--sparse=always", str(source), str(unfinished))
    unfinished.rename(target)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BedError(f"{' '.join(command)}: {lines[0] if lines else done.returncode}")
    return done.stdout
