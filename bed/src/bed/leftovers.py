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
from collections.abc import Iterator, Sequence
from pathlib import Path

from bed.errors import BedError
from bed.nodes import NODES, Node
from bed.settings import RUN, Settings

END_SECONDS = 10.0
CGROUPS = Path("/sys/fs/cgroup")


def clear(bed: Settings) -> None:
    """Ends containers, unmounts volumes, removes control groups. Raises BedError for a mount that cannot be removed."""
    _end_containers(bed, NODES)
    _unmount([RUN, bed.home, bed.volumes])
    _remove_cgroups("kubepods", *(node.cgroup for node in NODES if node.cgroup))
    shutil.rmtree(RUN, ignore_errors=True)


def clear_node(bed: Settings, node: Node) -> None:
    """The same for one node of a bed that goes on, with all that it kept; its processes have ended.

    Raises BedError for a mount that cannot be removed.
    """
    _end_containers(bed, (node,))
    _unmount(list(node.directories(bed)))
    _remove_cgroups(node.cgroup)
    kubelet = str(node.directory(bed, "kubelet"))
    if kubelet in _mount_points():  # bound to itself by the kubelet; os.path.ismount does not see that
        subprocess.run(["umount", "-l", kubelet], capture_output=True, check=False)
    for directory in node.directories(bed):
        if directory.exists():
            shutil.rmtree(directory)
    for socket in RUN.glob(f"{node.socket.name}*"):
        socket.unlink()


def _unmount(bases: list[Path]) -> None:
    for point in reversed(mounts_below(bases)):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
    left = mounts_below(bases)
    if left:  # removing directories now would remove what is mounted there
        raise BedError(f"{left[0]} cannot be unmounted", f"umount {left[0]}")


def mounts_below(bases: list[Path]) -> list[str]:
    """Mount points inside the directories, outermost first."""
    return [point for point in _mount_points() if any(point.startswith(f"{base}/") for base in bases)]


def _mount_points() -> list[str]:
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]


def container_processes(bed: Settings, nodes: Sequence[Node] = NODES) -> list[int]:
    """Every process of the nodes' containers, and the shims above them, also when their parents were killed."""
    return [
        int(entry.name)
        for entry in _processes()
        if any(_is_shim(entry, node) or _is_contained(entry, node.directory(bed, "containerd")) for node in nodes)
    ]


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


def _is_shim(entry: Path, node: Node) -> bool:
    with contextlib.suppress(OSError):
        line = (entry / "cmdline").read_bytes().split(b"\0")
        return line[0].endswith(b"containerd-shim-runc-v2") and str(node.socket).encode() in line
    return False


def _is_contained(entry: Path, containerd: Path) -> bool:
    with contextlib.suppress(OSError):
        return is_root_of_container((entry / "mountinfo").read_text(), containerd)
    return False


def _end_containers(bed: Settings, nodes: Sequence[Node]) -> None:
    deadline = time.monotonic() + END_SECONDS
    while numbers := container_processes(bed, nodes):
        if time.monotonic() > deadline:
            raise BedError(f"container processes do not end: {' '.join(map(str, numbers))}", "see: ps -o pid,stat,args")
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)


def _remove_cgroups(*names: str) -> None:
    """Empty ones only: the kernel refuses to remove the others."""
    for top in (top for name in names for top in (CGROUPS / name, *CGROUPS.glob(f"*/{name}"))):
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
