"""What a bed that ended or was killed left on the machine: containers, mounts, control groups.

Owns finding and removing them. Only what bears the bed's own paths is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bed.errors import BedError
from bed.settings import RUN, Settings

END_SECONDS = 10.0
CGROUPS = Path("/sys/fs/cgroup")


def clear(bed: Settings) -> None:
    """Ends containers, unmounts volumes, removes control groups. Raises BedError for a mount that cannot be removed."""
    _end_containers(bed)
    bases = [RUN, bed.home, bed.volumes]
    for point in reversed(mounts_below(bases)):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
    left = mounts_below(bases)
    if left:  # removing directories now would remove what is mounted there
        raise BedError(f"{left[0]} cannot be unmounted", f"umount {left[0]}")
    _remove_cgroups()
    shutil.rmtree(RUN, ignore_errors=True)


def mounts_below(bases: list[Path]) -> list[str]:
    """Mount points inside the directories, outermost first."""
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if any(point.startswith(f"{base}/") for base in bases)]


def container_processes(bed: Settings) -> list[int]:
    """Every process of the bed's containers, and the shims above them, also when their parents were killed."""
    return [int(entry.name) for entry in _processes() if _is_shim(entry, bed) or _is_contained(entry, bed)]


def is_root_of_container(mountinfo: str, containerd: Path) -> bool:
    """Whether a process with this /proc/PID/mountinfo has its root on a snapshot of `containerd` (its root directory).

    Only the line for `/` counts: a process of the machine has all containers' mounts in its list.
    """
    for line in mountinfo.splitlines():
        fields = line.split()
        if fields[4] == "/":
            return f"upperdir={containerd}/" in fields[-1]
    return False


def _processes() -> Iterator[Path]:
    return (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _is_shim(entry: Path, bed: Settings) -> bool:
    with contextlib.suppress(OSError):
        line = (entry / "cmdline").read_bytes().split(b"\0")
        return line[0].endswith(b"containerd-shim-runc-v2") and str(bed.containerd_socket).encode() in line
    return False


def _is_contained(entry: Path, bed: Settings) -> bool:
    with contextlib.suppress(OSError):
        return is_root_of_container((entry / "mountinfo").read_text(), bed.home / "containerd")
    return False


def _end_containers(bed: Settings) -> None:
    deadline = time.monotonic() + END_SECONDS
    while numbers := container_processes(bed):
        if time.monotonic() > deadline:
            raise BedError(f"container processes do not end: {' '.join(map(str, numbers))}", "see: ps -o pid,stat,args")
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)


def _remove_cgroups() -> None:
    """Empty ones only: the kernel refuses to remove the others."""
    for top in (CGROUPS / "kubepods", *CGROUPS.glob("*/kubepods")):
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
