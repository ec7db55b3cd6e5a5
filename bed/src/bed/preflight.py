"""What must hold before anything is started, each with a clear error.

Owns these checks, and the Debian packages that the bed needs. Changes nothing but by apt-get and modprobe.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bed.errors import BedError
from bed.nodes import FIRST, Node
from bed.settings import PORTS, SERVICE_SUBNET, Settings

DISK_BUILT = 6 << 30  # bytes: state, images in containerd, volumes
DISK_COLD = 20 << 30  # with sources and compiler caches
PACKAGES = {
    "iptables": "iptables",
    "ip": "iproute2",
    "runc": "runc",
    "mkfs.xfs": "xfsprogs",
    "mkfs.ext4": "e2fsprogs",
    "debootstrap": "debootstrap",
    "conntrack": "conntrack",
    "busybox": "busybox-static",
    "losetup": "mount",
}
IP_FREEBIND = 15  # linux/in.h; socket has no name for it
KERNEL = ("overlay", "xfs", "ext4")


def check_machine() -> None:
    """Linux, and root."""
    if sys.platform != "linux":
        raise BedError(
            f"the bed runs on Linux only; this is {sys.platform}", "use any cluster: make test-cluster KUBECONFIG=…"
        )
    if os.geteuid() != 0:
        raise BedError("the bed makes mounts, bridges and containers, which only root may", "sudo -E make bed")


def check_room(bed: Settings, nodes: Sequence[Node], *, built: bool) -> None:
    """Everything that a bed needs and another program may hold: disk, ports, addresses, kernel features."""
    check_disk(bed, built=built)
    _check_kernel()
    check_ports(PORTS)
    check_nodes(nodes)


def check_nodes(nodes: Sequence[Node]) -> None:
    """What these nodes need and another program may hold: ports and subnets."""
    for node in nodes:
        check_ports(node.ports)
    routes = subprocess.run(["ip", "-j", "route", "show"], capture_output=True, text=True, check=True).stdout
    taken = overlapping(json.loads(routes), nodes)
    if taken:
        raise BedError(
            f"this machine has a route to {taken}, which the bed uses for pods or Services",
            f"end what made it (another Kubernetes?): ip route show {taken}",
        )


def overlapping(routes: list[dict[str, str]], nodes: Sequence[Node] = (FIRST,)) -> str:
    """The destination of another device's route into the bed's subnets, or ""; `routes` as `ip -j route` says them."""
    ours = [ipaddress.ip_network(subnet) for subnet in (SERVICE_SUBNET, *(node.pod_subnet for node in nodes))]
    bridges = {node.bridge for node in nodes}
    for route in routes:
        if route["dst"] == "default" or route.get("dev") in bridges:
            continue
        if any(ipaddress.ip_network(route["dst"], strict=False).overlaps(subnet) for subnet in ours):
            return route["dst"]
    return ""


def ensure_packages() -> None:
    """Installs the Debian packages whose programs are missing."""
    missing = sorted({package for program, package in PACKAGES.items() if not _which(program)})
    if not missing:
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-yq", "--no-install-recommends", *missing]
    if not shutil.which("apt-get"):
        raise BedError(
            f"these programs' packages are missing: {' '.join(missing)}", "install them; there is no apt-get"
        )
    print(f"installing {' '.join(missing)} …", file=sys.stderr, flush=True)
    if subprocess.run(install, env=env, capture_output=True, check=False).returncode != 0:
        subprocess.run(["apt-get", "update", "-q"], env=env, capture_output=True, check=False)
        done = subprocess.run(install, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(
                f"apt-get could not install {' '.join(missing)}: {done.stderr.strip()[-300:]}", " ".join(install)
            )


def check_disk(bed: Settings, *, built: bool) -> None:
    """Enough room where the bed keeps its state and its cache."""
    needed = DISK_BUILT if built else DISK_COLD
    for directory in {bed.home, bed.cache}:
        existing = next(parent for parent in (directory, *directory.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
        if free < needed:
            raise BedError(
                f"{existing} has {free >> 20} MiB free, the bed needs {needed >> 20} MiB",
                "free some space, or set BED_HOME and BED_CACHE to another disk",
            )


def _check_kernel() -> None:
    for name in KERNEL:
        if not _has_file_system(name) and _which("modprobe"):
            subprocess.run(["modprobe", name], capture_output=True, check=False)
        if not _has_file_system(name):
            raise BedError(f"this kernel has no file system {name}", "use a kernel with it, such as Debian's")
    done = subprocess.run(["iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(
            f"iptables does not work on this kernel: {done.stderr.strip()[-200:]}",
            "update-alternatives --set iptables /usr/sbin/iptables-legacy",
        )


def _has_file_system(name: str) -> bool:
    return name in Path("/proc/filesystems").read_text().split()


def check_ports(ports: Mapping[str, tuple[str, int]]) -> None:
    """Every port is free; says who holds one that is not."""
    for what, (address, port) in ports.items():
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) if what == "coredns" else (socket.SOCK_STREAM,):
            try:
                _bind(address, port, kind)
            except OSError as error:
                raise BedError(
                    f"port {port} on {address}, which {what} needs, cannot be used: {error.strerror}{_holder(port)}",
                    "end that process, or move it to another port",
                ) from error


def _bind(address: str, port: int, kind: socket.SocketKind) -> None:
    with socket.socket(type=kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)  # the bridge's address, before there is a bridge
        probe.bind((address, port))


def _holder(port: int) -> str:
    done = subprocess.run(["ss", "-Hlntup", f"sport = :{port}"], capture_output=True, text=True, check=False)
    line = done.stdout.strip().splitlines()
    return f" ({line[0].split()[-1]})" if line else ""


def _which(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
