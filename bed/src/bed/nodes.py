"""Which nodes a bed can have and which it has; what tells one from another.

Owns these values and where each node keeps things. All nodes are on this machine, in its own network namespace: a
bridge and a subnet each, so pods of one reach those of another as the kernel routes, and one kube-proxy serves all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bed.settings import (
    ADDRESS,
    BRIDGE,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    NODE,
    POD_SUBNET,
    RUN,
    SECOND_KUBELET_HEALTH_PORT,
    Settings,
)

KEPT = ("containerd", "kubelet", "cni", "images")  # directories of each node; the last has marks of what it imported


@dataclass(frozen=True)
class Node:
    """One node; `suffix` ends the names of its components, files and directories."""

    name: str
    address: str  # of its bridge; the kubelet listens there
    bridge: str
    mac: str  # fixed: a bridge without one takes another whenever a pod comes or goes
    pod_subnet: str
    zone: str
    health_port: int
    suffix: str = ""
    cgroup: str = ""  # below the machine's root: two kubelets with one root would end each other's pods

    @property
    def socket(self) -> Path:
        """Where its containerd listens."""
        return RUN / f"containerd{self.suffix}.sock"

    @property
    def run_directories(self) -> tuple[Path, Path]:
        """State of containerd, and the addresses that CNI has given."""
        return RUN / f"containerd{self.suffix}", RUN / f"cni{self.suffix}"

    def directory(self, bed: Settings, of: str) -> Path:
        """Where one of KEPT keeps what lasts."""
        return bed.home / f"{of}{self.suffix}"

    def directories(self, bed: Settings) -> tuple[Path, ...]:
        """All that this node keeps for itself alone."""
        return (*(self.directory(bed, of) for of in KEPT), *self.run_directories)

    @property
    def components(self) -> tuple[str, str]:
        """The processes of this node, in the order they are started."""
        return f"containerd{self.suffix}", f"kubelet{self.suffix}"

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """What its kubelet listens on."""
        kubelet = self.components[1]
        return {
            kubelet: (self.address, KUBELET_PORT),
            f"{kubelet} health": ("127.0.0.1", self.health_port),
        }


FIRST = Node(NODE, ADDRESS, BRIDGE, "0a:58:0a:f4:00:01", POD_SUBNET, "zone-1", KUBELET_HEALTH_PORT)
SECOND = Node(
    name="node2",
    address="10.244.1.1",
    bridge="bed1",
    mac="0a:58:0a:f4:01:01",
    pod_subnet="10.244.1.0/24",
    zone="zone-2",
    health_port=SECOND_KUBELET_HEALTH_PORT,
    suffix="-node2",
    cgroup="bed-node2",
)
NODES = (FIRST, SECOND)


def nodes_of(bed: Settings) -> tuple[Node, ...]:
    """The nodes that this bed has, () for a bed that is down."""
    file = bed.home / "nodes"
    return NODES[: int(file.read_text())] if file.exists() else ()


def remember_nodes(bed: Settings, count: int) -> None:
    """Notes how many nodes this bed has."""
    (bed.home / "nodes").write_text(str(count))
