"""Small file systems of a test's own on loop devices, and what can happen to them.

Owns making, mounting, breaking and mending. A watchdog process undoes everything when the test dies: it waits for the
end of a pipe that only the test holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

GOING_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN
NOTHING_WRITTEN = 2  # neither data nor journal reach the device: as when power fails
MIB = 1 << 20
UNMOUNT_SECONDS = 20.0

# Thaw first: nothing can be unmounted while frozen.
_WATCHDOG = 'read _; fsfreeze -u "$1" 2>/dev/null; umount -l "$1" 2>/dev/null; exit 0'


def run(*command: str | Path) -> str:
    """A program's output; its complaint where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def can_mount() -> str:
    """Why loop devices cannot be used here, or ""."""
    if os.geteuid():
        return "needs root"
    return "" if Path("/dev/loop-control").exists() else "needs loop devices"


class Volume:
    """One image, mounted below `home`; `kind` is ext4 or xfs. Use it in a with statement."""

    def __init__(self, home: Path, mib: int = 64, kind: str = "ext4", make: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.image = home / "volume.img"
        self.root = home / "claim"
        self.root.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(mib * MIB)
        quiet = ("-q", "-E", "lazy_itable_init=0", "-m", "0") if kind == "ext4" else ("-q",)
        run(f"mkfs.{kind}", *quiet, *make, self.image)
        self._watchdog = subprocess.Popen(["sh", "-c", _WATCHDOG, "sh", self.root], stdin=subprocess.PIPE)
        self.mounted = False

    def __enter__(self) -> Volume:
        self.mount()
        os.chmod(self.root, 0o775)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.mounted:
                self.unmount()
        finally:
            self._watchdog.stdin.close()
            self._watchdog.wait(timeout=UNMOUNT_SECONDS)

    def mount(self) -> None:
        """Mount, replaying the journal. With an error the file system becomes read-only, as nodes have it."""
        options = "loop,errors=remount-ro" if self.kind == "ext4" else "loop"
        run("mount", "-t", self.kind, "-o", options, self.image, self.root)
        self.mounted = True

    def unmount(self) -> None:
        """Unmount; waits for processes that are just ending."""
        deadline = time.monotonic() + UNMOUNT_SECONDS
        while True:
            done = subprocess.run(["umount", self.root], capture_output=True, text=True)
            if not done.returncode:
                self.mounted = False
                return
            if time.monotonic() > deadline:
                raise RuntimeError(done.stderr)
            time.sleep(0.05)

    @property
    def device(self) -> str:
        """The loop device's name, as in loop4."""
        return Path(run("findmnt", "-n", "-o", "SOURCE", self.root).strip()).name

    def power_fails(self, how: int = NOTHING_WRITTEN) -> None:
        """What was not fsynced is gone; everybody who writes gets EIO from now on."""
        power_fails(self.root, how)

    def comes_back(self) -> None:
        """The node is up again."""
        self.unmount()
        # Another mount namespace, of a container that is just starting, may hold the old mount for a moment: a mount
        # of the same device would then be the same, broken file system.
        deadline = time.monotonic() + UNMOUNT_SECONDS
        while run("losetup", "-j", self.image) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.mount()

    def becomes_read_only(self) -> None:
        """The kernel found an error in the file system (ext4)."""
        Path(f"/sys/fs/ext4/{self.device}/trigger_fs_error").write_text("made by a test")

    def fill(self, leave: int) -> Path:
        """Another tenant leaves `leave` bytes free."""
        other = self.root / "other-tenant"
        free = os.statvfs(self.root)
        size = max(0, free.f_bavail * free.f_frsize - leave)
        with other.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size) if size else None
        return other

    def grow(self, mib: int) -> None:
        """The claim was resized; ext4 unmounted, since growing it mounted takes CAP_SYS_RESOURCE."""
        if self.kind == "ext4":
            self.unmount()
        with self.image.open("r+b") as file:
            file.truncate(mib * MIB)
        if self.kind == "ext4":
            run("e2fsck", "-f", "-p", self.image)
            run("resize2fs", self.image)
            self.mount()
        else:
            run("losetup", "-c", f"/dev/{self.device}")
            run("xfs_growfs", self.root)

    def flip_byte(self, path: str, offset: int) -> None:
        """The medium rots: one byte of a file changes on the device, and the file system does not know."""
        with (self.root / path).open("rb") as file:
            os.fsync(file.fileno())
            size = os.fstatvfs(file.fileno()).f_bsize
            block = struct.unpack("I", fcntl.ioctl(file, 1, struct.pack("I", offset // size)))[0]  # FIBMAP
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert block, "the byte lies in a hole"
        with self.image.open("r+b", buffering=0) as device:
            place = block * size + offset % size
            before = os.pread(device.fileno(), 1, place)
            os.pwrite(device.fileno(), bytes([before[0] ^ 0x40]), place)
        run("blockdev", "--flushbufs", f"/dev/{self.device}")

    @contextlib.contextmanager
    def unreadable(self, keep: int = MIB):
        """The device lost all but its first bytes: what is not in memory gives EIO. Afterwards it has them again."""
        run("sync", "-f", self.root)
        saved = self.image.with_suffix(".saved")
        run("cp", "--sparse=always", self.image, saved)
        size = self.image.stat().st_size
        os.truncate(self.image, keep)
        run("blockdev", "--flushbufs", f"/dev/{self.device}")
        try:
            yield
        finally:
            os.truncate(self.image, size)
            with saved.open("rb") as held, self.image.open("r+b") as file:
                shutil.copyfileobj(held, file, 4 * MIB)
            run("blockdev", "--flushbufs", f"/dev/{self.device}")

    @contextlib.contextmanager
    def frozen(self):
        """The storage hangs: writers wait in the kernel and hear no signal."""
        run("fsfreeze", "-f", self.root)
        try:
            yield
        finally:
            run("fsfreeze", "-u", self.root)


def power_fails(root: str | Path, how: int = NOTHING_WRITTEN) -> None:
    """The shutdown ioctl on the file system that is mounted at `root`."""
    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, GOING_DOWN, struct.pack("I", how))
    finally:
        os.close(handle)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that this test started, and wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
