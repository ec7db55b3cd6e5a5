"""Volumes of true size: a sparse file with a file system of its own, mounted through a loop device.

Owns files, mounts and loop devices under one directory. Knows nothing of Kubernetes. The kernel here may lack project
quotas and device-mapper, so each volume is a file system; ENOSPC then comes at the claim's size.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError

# Below it mkfs.xfs refuses; such a volume is ext4 and has no reflinks.
XFS_SMALLEST = 300 << 20
SMALLEST = 8 << 20


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

    def create(self, name: str, size: int, *, reflink: bool) -> Path:
        """Makes and mounts a volume of `size` bytes; one that exists is mounted as it is."""
        image = self.image(name)
        if not image.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            unfinished = image.with_suffix(".new")
            unfinished.unlink(missing_ok=True)
            with open(unfinished, "wb") as file:
                file.truncate(max(size, SMALLEST))
            if reflink and size >= XFS_SMALLEST:
                _run("mkfs.xfs", "-q", "-m", "reflink=1", str(unfinished))
            else:
                # No reserved blocks: a claim's size is its user's. No lazy work: it would steal time from benchmarks.
                _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(unfinished))
            unfinished.rename(image)
        return self.mount(name)

    def mount(self, name: str) -> Path:
        """Mounts the volume unless it is mounted."""
        point = self.mount_point(name)
        point.mkdir(exist_ok=True)
        if not os.path.ismount(point):
            _run("mount", "-o", "loop", str(self.image(name)), str(point))
        return point

    def grow(self, name: str, size: int) -> None:
        """Makes a mounted volume larger while it is in use."""
        image, point = self.image(name), self.mount_point(name)
        if image.stat().st_size < size:
            os.truncate(image, size)
        device, kind = _run("findmnt", "-no", "SOURCE,FSTYPE", str(point)).split()
        _run("losetup", "-c", device)
        if kind == "xfs":
            _run("xfs_growfs", str(point))
        else:
            _run("resize2fs", device)

    def delete(self, name: str) -> None:
        """Unmounts the volume and removes its data."""
        self.unmount(name)
        self.image(name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.mount_point(name).rmdir()

    def unmount(self, name: str) -> None:
        """Unmounts the volume; its loop device goes with the mount."""
        point = self.mount_point(name)
        if point.exists() and os.path.ismount(point):
            _run("umount", str(point))

    def names(self) -> list[str]:
        """Every volume that has a file."""
        return sorted(image.stem for image in self.directory.glob("*.img"))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
