"""Claims on memory, behind a PersistentVolume of type `local`: an xfs of true size in a file on a loop device, or a
directory of a tmpfs.

Owns a benchmark's namespace, its volumes and their removal. Needs to be root on the cluster's one node; the bed is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pvserve.cluster import Cluster
from pvserve.facts import Object
from pvserve.mount import mounted
from pvserve.plan.loader import MOUNT, loader_identity, loader_pod

CONTAINER = "pvserve"
GONE_SECONDS = 60.0
ROOM = "6Gi"  # what a loader pod may take of memory where its volume is memory itself


@contextlib.contextmanager
def namespace(name: str) -> Iterator[Cluster]:
    """A namespace that admits only restricted pods, and a client in it; removed afterwards."""
    cluster = Cluster.connect(namespace=name)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    try:
        yield cluster
    finally:
        cluster.delete("v1", "Namespace", name)
        deadline = time.monotonic() + GONE_SECONDS
        while cluster.find("v1", "Namespace", name) is not None and time.monotonic() < deadline:
            time.sleep(0.5)


@contextlib.contextmanager
def claim(
    cluster: Cluster, name: str, size: int, directory: Path, *, shared: bool = False, bare: bool = False
) -> Iterator[str]:
    """A bound claim of `size` bytes whose volume lies in `directory`, `shared` by all nodes; yields its name.

    All blocks are allocated beforehand: the pages of a tmpfs are charged to the memory limit of whoever touches them
    first, and the loader pod would be killed for the model's size. `bare`: the volume is a mere directory, for pods
    that have ROOM (`loader`).
    """
    if bare:
        with _directory(cluster, name, size, directory):
            yield name
        return
    file = directory / f"{cluster.namespace}-{name}.img"
    try:
        subprocess.run(["fallocate", "-l", str(size), file], check=True)
        subprocess.run(["mkfs.xfs", "-q", "-K", "-f", file], check=True)  # -K: a discard would free the blocks
        device = subprocess.run(["losetup", "-f", "--show", file], check=True, capture_output=True, text=True)
        try:
            mode = "ReadWriteMany" if shared else "ReadWriteOnce"
            local = {"path": device.stdout.strip(), "fsType": "xfs"}
            cluster.apply(_volume(cluster, name, size, local, mode))
            cluster.apply(_claim(cluster, name, size, mode))
            yield name
        finally:
            _remove(cluster, name)
            subprocess.run(["losetup", "-d", device.stdout.strip()], check=True)
    finally:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _directory(cluster: Cluster, name: str, size: int, directory: Path) -> Iterator[None]:
    path = directory / f"{cluster.namespace}-{name}"
    path.mkdir()
    try:
        cluster.apply(_volume(cluster, name, size, {"path": str(path)}, "ReadWriteOnce"))
        cluster.apply(_claim(cluster, name, size, "ReadWriteOnce"))
        yield
    finally:
        _remove(cluster, name)
        shutil.rmtree(path)


def loader_of(cluster: Cluster, claim: str, source_claim: str | None = None) -> dict[str, Any]:
    """The pod that `pvserve load` makes on `claim`, as a manifest."""
    return loader_pod(
        name_prefix="pvserve-benchmark",
        namespace=cluster.namespace,
        claim=claim,
        image=cluster.storage_initializer_image(),
        read_only=False,
        identity=loader_identity(None, None),
        node_name=None,
        node_selector={},
        tolerations=(),
        labels={"pvserve.io/benchmark": claim},
        source_claim=source_claim,
    )


@contextlib.contextmanager
def loader(cluster: Cluster, name: str, source_claim: str | None = None, *, bare: bool = False) -> Iterator[str]:
    """The very pod that `pvserve load` makes, on claim `name`, but for its memory limit on a `bare` one; its name."""
    pod = loader_of(cluster, name, source_claim)
    if bare:
        pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = ROOM
    with mounted(cluster, pod, lambda _: None) as live:
        yield live["metadata"]["name"]


def shell(cluster: Cluster, pod: str, command: str, timeout: float = 600) -> str:
    """What a shell command in the pod's container prints. Raises RuntimeError when it fails."""
    done = cluster.run(pod, cluster.namespace, CONTAINER, ["sh", "-c", command], timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.err.decode('utf-8', 'replace')}")
    return done.out.decode("utf-8", "replace")


def empty(cluster: Cluster, pod: str) -> None:
    """Remove everything from the claim."""
    shell(cluster, pod, f"cd {MOUNT} && rm -rf -- * .pvserve")


def _name(cluster: Cluster, name: str) -> str:
    return f"{cluster.namespace}-{name}"


def _volume(cluster: Cluster, name: str, size: int, local: Object, mode: str) -> Object:
    """On one node, or on all: they are on one machine."""
    nodes = sorted(node["metadata"]["labels"]["kubernetes.io/hostname"] for node in cluster.list("v1", "Node"))
    which = nodes if mode == "ReadWriteMany" else nodes[:1]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": which}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": _name(cluster, name)},
        "spec": {
            "capacity": {"storage": str(size)},
            "accessModes": [mode],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": cluster.namespace, "name": name},
            "local": local,
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _claim(cluster: Cluster, name: str, size: int, mode: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "spec": {
            "accessModes": [mode],
            "storageClassName": "",
            "volumeName": _name(cluster, name),
            "resources": {"requests": {"storage": str(size)}},
        },
    }


def _remove(cluster: Cluster, name: str) -> None:
    """Claim and volume, and wait until the kubelet has let the device go."""
    cluster.delete("v1", "PersistentVolumeClaim", name, cluster.namespace)
    cluster.delete("v1", "PersistentVolume", _name(cluster, name))
    deadline = time.monotonic() + GONE_SECONDS
    while _is_mounted(_name(cluster, name)) and time.monotonic() < deadline:
        time.sleep(0.2)


def _is_mounted(volume: str) -> bool:
    lines = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    return any(os.path.basename(line.split()[1]) == volume for line in lines)
