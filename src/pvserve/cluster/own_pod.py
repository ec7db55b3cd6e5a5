"""The very pod which this runs in, and where a directory lies that is on one of its claims.

Owns recognising that pod and its mounts. Must not decide what is made of it.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any, NamedTuple

from pvserve.cluster.client import Cluster
from pvserve.cluster.login import SERVICE_ACCOUNT
from pvserve.facts import Object, OwnPlace, Unknown, name, namespace

MOUNTS = Path("/proc/self/mountinfo")
# The kubelet mounts its own file over /etc/hosts of every container, from a directory named after the pod.
_HOSTS = re.compile(r"/pods/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/etc-hosts")
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mounts(NamedTuple):
    """What this process sees: the pod's uid, "" where it cannot be told, and all mount points."""

    uid: str
    points: tuple[str, ...]

    def above(self, directory: str) -> str:
        """The mount point that `directory` lies on."""
        return max((point for point in self.points if _inside(point, directory)), key=len, default="/")

    def below(self, directory: str) -> str:
        """A mount point inside `directory`, or ""."""
        return next((point for point in self.points if point != directory and _inside(directory, point)), "")


def own_pod(cluster: Cluster) -> Object | Unknown | None:
    """The pod; None outside of pods, Unknown where it could not be found in this cluster."""
    return _pod(cluster, _mounts()) if _in_a_pod() else None


def own_place(cluster: Cluster, directory: Path) -> OwnPlace | Unknown | None:
    """Where `directory`, without links, lies on a claim; None outside of pods, and for what is on no claim.

    Unknown says why a directory in a pod could not be placed.
    """
    if not _in_a_pod():
        return None
    mounts = _mounts()
    point = mounts.above(str(directory))
    if point == "/":
        return None
    pod = _pod(cluster, mounts)
    return pod if isinstance(pod, Unknown) else place_in(pod, mounts, point, str(directory))


def _in_a_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ


def _mounts() -> Mounts:
    return mounts_of(MOUNTS.read_text("utf-8", "surrogateescape")) if MOUNTS.is_file() else Mounts("", ())


def _pod(cluster: Cluster, mounts: Mounts) -> Object | Unknown:
    """Found by host name and proven by its uid, so that one of the same name on another cluster is not taken for it."""
    account = SERVICE_ACCOUNT / "namespace"
    where = account.read_text().strip() if account.is_file() else cluster.namespace
    pod = cluster.find("v1", "Pod", socket.gethostname(), where)
    if isinstance(pod, Unknown):
        return Unknown(f"the pod that this runs in cannot be read: {pod.why}", pod.cause)
    if pod is None or not mounts.uid or pod["metadata"]["uid"] != mounts.uid:
        return Unknown(f"the pod that this runs in is not found in namespace {where} of this cluster")
    return pod


def place_in(pod: Object, mounts: Mounts, point: str, directory: str) -> OwnPlace | Unknown | None:
    """Where the directory lies, by what the pod mounts at `point`."""
    mounted = _mounted(pod, point)
    found = {_claim_of(pod, volume, mount) for volume, mount, _ in mounted}
    if len(found) != 1:
        return Unknown(f"what pod {name(pod)} mounts at {point} is not one volume") if found else None
    claim, subpath = found.pop()
    if not claim:
        return None
    if subpath is None:
        return Unknown(f"the mount at {point} has a subPathExpr")
    if inner := mounts.below(directory):
        return Unknown(f"another volume is mounted inside of it, at {inner}")
    path = "/".join(
        part for part in (*subpath.split("/"), *os.path.relpath(directory, point).split("/")) if part != "."
    )
    return OwnPlace(
        pod=name(pod),
        namespace=namespace(pod),
        claim=claim,
        path=path.strip("/"),
        image=mounted[0][2],
        tolerations=tuple(pod["spec"].get("tolerations") or ()),
    )


def _mounted(pod: Object, point: str) -> list[tuple[Any, Any, str]]:
    """(volume, volumeMount, image) of all containers at this path: which of them we are is not known."""
    spec = pod["spec"]
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
    containers = [*spec["containers"], *(spec.get("initContainers") or ())]
    mounts = [(mount, str(one.get("image") or "")) for one in containers for mount in one.get("volumeMounts") or ()]
    return [(volumes[m["name"]], m, image) for m, image in mounts if os.path.normpath(m["mountPath"]) == point]


def _claim_of(pod: Object, volume: Any, mount: Any) -> tuple[str, str | None]:
    """The claim, "" for another kind of volume, and the path of its root; None where only the kubelet knows that."""
    claim = str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "")
    if "ephemeral" in volume:  # the claim is made for the pod, and named after both
        claim = f"{name(pod)}-{volume['name']}"
    return claim, None if mount.get("subPathExpr") else str(mount.get("subPath") or "")


def mounts_of(text: str) -> Mounts:
    """Of `/proc/self/mountinfo`. Source: proc(5): fields 4 and 5 are root and mount point, blanks as \\040."""
    rows = [line.split(" ")[3:5] for line in text.splitlines()]
    points = {_plain(point): _plain(root) for root, point in rows}
    match = _HOSTS.search(points.get("/etc/hosts", ""))
    return Mounts(match[1] if match else "", tuple(points))


def _plain(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _inside(above: str, path: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")
