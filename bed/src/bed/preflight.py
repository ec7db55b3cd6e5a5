"""What must hold before anything is started, each with a clear error.

Owns these checks, and the Debian packages that the bed needs. Changes nothing but by apt-get.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from bed.errors import BedError
from bed.settings import ADDRESS, BRIDGE, PORTS, Settings

DISK_BUILT = 6 << 30  # bytes: state, images in containerd, volumes
DISK_COLD = 20 << 30  # with sources and compiler caches
PACKAGES = {
    "iptables": "iptables",
    "ip": "iproute2",
    "runc": "runc",
    "mkfs.xfs": "xfsprogs",
    "debootstrap": "debootstrap",
    "conntrack": "conntrack",
    "busybox": "busybox-static",
    "losetup": "mount",
}


def check_machine() -> None:
    """Linux, and root."""
    if sys.platform != "linux":
        raise BedError(
            f"the bed runs on Linux only; this is {sys.platform}", "use any cluster: make test-cluster KUBECONFIG=…"
        )
    if os.geteuid() != 0:
        raise BedError("the bed makes mounts, bridges and containers, which only root may", "sudo -E make bed")


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


def check_ports() -> None:
    """Every port is free; says who holds one that is not."""
    for what, (address, port) in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address if Path(f"/sys/class/net/{BRIDGE}").exists() else _any(address), port))
            except OSError as error:
                raise BedError(
                    f"port {port} on {address}, which {what} needs, cannot be used: {error.strerror}{_holder(port)}",
                    "end that process, or move it to another port",
                ) from error


def _any(address: str) -> str:
    """Before the bridge exists its address cannot be bound: a listener on all addresses would still be in the way."""
    return "0.0.0.0" if address == ADDRESS else address  # noqa: S104 - a probe that is closed at once


def _holder(port: int) -> str:
    done = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False)
    line = done.stdout.strip().splitlines()
    return f" ({line[0].split()[-1]})" if line else ""


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
    print(f"installing {' '.join(missing)} …", flush=True)
    if subprocess.run(install, env=env, capture_output=True, check=False).returncode != 0:
        subprocess.run(["apt-get", "update", "-q"], env=env, capture_output=True, check=False)
        done = subprocess.run(install, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(
                f"apt-get could not install {' '.join(missing)}: {done.stderr.strip()[-300:]}", " ".join(install)
            )


def _which(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
