"""What lies on the volume, read again by a pod of the serving pod's identity.

Owns the digest checks. Must not write to the volume: the reader pod mounts the claim read-only.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pvserve.cluster import Cluster
from pvserve.errors import PvserveError
from pvserve.events import Listener, Note
from pvserve.facts import Object, name
from pvserve.model import Manifest, manifest_digest
from pvserve.mount import mounted
from pvserve.plan.edit_runtime import SERVING_CONTAINER
from pvserve.plan.llm_service import SERVING
from pvserve.plan.loader import identity_of, loader_pod
from pvserve.spec.place import Place
from pvserve.transfer import VolumeReport, inspect
from pvserve.verify.imported import import_at, unlisted
from pvserve.verify.proof import DIGESTS, Check

READABLE = "the serving identity can read every file"
NAMED = 5  # differing files named in the evidence


@dataclass(frozen=True)
class Digests:
    """The checks, and the model's bytes as the manifest says (0 where there is none)."""

    checks: tuple[Check, ...]
    bytes: int = 0


def check_digests(
    cluster: Cluster,
    place: Place,
    pods: Sequence[Object],
    listen: Listener,
    *,
    level: Literal["full", "quick"],
    expected: str,
) -> Digests:
    """Starts a reader pod beside `pods`, which mount the claim, and compares the volume with its manifest.

    `expected` is the manifest digest that the volume must hold, "" if the caller knows none.
    """
    try:
        report = _read(cluster, place, pods, listen, level)
    except PvserveError as error:
        evidence = f"no reader pod could look: {error.message}"
        return Digests(
            (
                Check("digests", DIGESTS, "unknown", evidence, error.remedy),
                Check("readable", READABLE, "unknown", evidence),
            )
        )
    if report.manifest is None:
        return Digests((unlisted(report, place, import_at(cluster, place)), _readable(report)))
    return Digests((_judge(report, report.manifest, level, expected), _readable(report)), report.manifest.bytes)


def _read(
    cluster: Cluster, place: Place, pods: Sequence[Object], listen: Listener, level: Literal["full", "quick"]
) -> VolumeReport:
    beside = pods[0] if pods else None
    pod = loader_pod(
        name_prefix="pvserve-reader",
        namespace=cluster.namespace,
        claim=place.claim,
        image=_image(cluster, pods),
        read_only=True,
        identity=identity_of(beside),
        node_name=(str(beside["spec"].get("nodeName") or "") or None) if beside else None,
        node_selector={},
        tolerations=list(beside["spec"].get("tolerations") or ()) if beside else [],
        labels={"pvserve.io/reader": secrets.token_hex(6)},
    )
    with mounted(cluster, pod, lambda detail: listen(Note(detail))) as live:
        container = str(live["spec"]["containers"][0]["name"])
        return inspect(cluster.reach(name(live), cluster.namespace, container), place.path, level)


def _image(cluster: Cluster, pods: Sequence[Object]) -> str:
    """The serving container's own image: it is on the node already."""
    for pod in pods:
        for container in pod["spec"]["containers"]:
            if container["name"] in (SERVING_CONTAINER, SERVING):
                return str(container["image"])
    return cluster.storage_initializer_image()


def _judge(report: VolumeReport, manifest: Manifest, level: str, expected: str) -> Check:
    digest = manifest_digest(manifest)
    wrong = [f"{what} {path}" for what in ("changed", "missing", "extra") for path in getattr(report, what)]
    count = f"{len(manifest.entries)} files, {manifest.bytes} bytes, manifest {digest}"
    if expected and digest != expected:
        return Check("digests", DIGESTS, "failed", f"{count}; the source's is {expected}")
    if wrong:
        more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
        return Check("digests", DIGESTS, "failed", ", ".join(wrong[:NAMED]) + more + f" ({count})")
    if report.unreadable:
        return Check("digests", DIGESTS, "unknown", f"{len(report.unreadable)} files could not be read ({count})")
    how = "sha256 of every byte read again" if level == "full" else "names and sizes compared; sha256 as of the load"
    return Check("digests", DIGESTS, "passed", f"{how}: {count}")


def _readable(report: VolumeReport) -> Check:
    who = f"uid {report.uid}, groups {', '.join(map(str, report.gids))}"
    if report.unreadable:
        named = ", ".join(report.unreadable[:NAMED])
        return Check("readable", READABLE, "failed", f"{who} cannot read {named}")
    return Check("readable", READABLE, "passed", f"read as {who}")
