"""A further node comes to a bed that runs, or leaves it; the others go on.

Owns the order of both, and how a node gets its images.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from bed import components, control_plane, leftovers, network, node, processes
from bed.errors import BedError
from bed.nodes import Node
from bed.settings import Settings

END_SECONDS = 20  # for the pods of a node that leaves


def join(bed: Settings, here: Node, binary: dict[str, Path], archives: dict[str, Path]) -> None:
    """Starts a further node's containerd, gives it the images, and starts its kubelet. Raises BedError.

    Images are not unpacked: that takes longer than all the rest, and containerd does it for the first pod that needs
    one.
    """
    node.make_cgroups(here)
    containerd, kubelet = here.components
    components.start(bed, containerd, binary)
    import_images(bed, here, binary, archives, unpack=False)
    components.start(bed, kubelet, binary)


def leave(bed: Settings, here: Node, binary: dict[str, Path]) -> None:
    """Takes a node away with its pods; what owns them makes them again elsewhere. The API server must run.

    Volumes that only this node could mount stay, and are mounted again when it comes back. Raises BedError.
    """
    pods = ["delete", "pods", "-A", f"--field-selector=spec.nodeName={here.name}"]
    if control_plane.kubectl(bed, binary, "get", "node", here.name, "--ignore-not-found", "-o", "name"):
        control_plane.kubectl(bed, binary, "cordon", here.name)
    if processes.pid(bed, here.components[1]):
        _perhaps(bed, binary, *pods, "--grace-period=1", f"--timeout={END_SECONDS}s")
    for name in reversed(here.components):
        processes.stop(bed, name)
    _perhaps(bed, binary, *pods, "--grace-period=0", "--force", "--wait=false")
    leftovers.clear_node(bed, here)
    network.remove(here)
    control_plane.kubectl(bed, binary, "delete", "node", here.name, "--ignore-not-found")


def _perhaps(bed: Settings, binary: dict[str, Path], *args: str) -> None:
    """A pod that does not end in time is ended with its node."""
    try:
        control_plane.kubectl(bed, binary, *args)
    except BedError:
        return


def import_images(
    bed: Settings, here: Node, binary: dict[str, Path], archives: dict[str, Path], *, unpack: bool = True
) -> None:
    """Imports the archives that this node's containerd has not taken yet."""
    ctr = [str(binary["ctr"]), "--address", str(here.socket), "--namespace", "k8s.io"]
    processes.wait(bed, "containerd answers", here.components[0], lambda: _quiet([*ctr, "version"]))
    marks = here.directory(bed, "images")
    marks.mkdir(exist_ok=True)
    options = [] if unpack else ["--no-unpack"]
    for name, archive in archives.items():
        mark = marks / name.replace("/", "_").replace(":", "_")
        if mark.exists() and mark.read_text() == str(archive):
            continue
        command = [*ctr, "images", "import", *options, str(archive)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(
                f"containerd refused image {name}: {done.stderr.strip()[-400:]}", f"rm {archive}, then bed build"
            )
        mark.write_text(str(archive))


def _quiet(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
