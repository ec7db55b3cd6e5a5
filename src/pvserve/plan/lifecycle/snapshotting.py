"""The other way to a clone: a snapshot of the first claim, and a claim that is made of the snapshot.

Owns the choice of the snapshot's class and the steps. Pure. A snapshot takes the volume at one moment while it is in
use, and can become volumes on other nodes and in other zones than the first's.
Source: https://kubernetes.io/docs/concepts/storage/volume-snapshots/ and …/volume-snapshot-classes/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pvserve.facts import Object, Unknown, annotations_of, known, name
from pvserve.facts.objects import ObjectKey
from pvserve.plan.diff import changes
from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import ApplyObject
from pvserve.plan.volume_steps import WaitSnapshot

API, KIND = "snapshot.storage.k8s.io/v1", "VolumeSnapshot"
CLASS = "VolumeSnapshotClass"
SNAPSHOT_OF = "pvserve.io/snapshot-of"  # on the snapshot: the claim that it was taken of
DEFAULT = "snapshot.storage.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class SnapshotFacts:
    """The cluster's classes of snapshots, and the snapshot by the name of the claim to be, where there is one.

    `into` is the StorageClass that was named for that claim.
    """

    classes: tuple[Object, ...] | Unknown = ()
    snapshot: Object | Unknown | None = None
    into: Object | Unknown | None = None


def class_for(driver: str, found: SnapshotFacts) -> str:
    """The name of the class for volumes of this driver, the default one first; "" where there is none."""
    fitting = [item for item in known(found.classes, ()) if item.get("driver") == driver]
    fitting.sort(key=lambda item: (annotations_of(item).get(DEFAULT) != "true", name(item)))
    return name(fitting[0]) if fitting else ""


def no_class(claim: str, driver: str, found: SnapshotFacts) -> Part:
    """The refusal where the driver has no class."""
    if isinstance(found.classes, Unknown) and found.classes.cause != "no-such-api":
        return unreadable("the classes of snapshots", found.classes)
    message = f"no snapshot of claim {claim} can be taken: driver {driver or '(unknown)'} has no VolumeSnapshotClass"
    return refused("CannotSnapshot", message, "kubectl get volumesnapshotclasses")


def into_class(wanted: str, driver: str, found: SnapshotFacts) -> Part:
    """The refusal where no volume of class `wanted` can be made of a snapshot that `driver` takes."""
    into = found.into
    if isinstance(into, Unknown):
        return unreadable(f"class {wanted}", into)
    if into is None:
        return refused("NoSuchClass", f"class {wanted} does not exist", "kubectl get storageclass")
    other = into.get("provisioner")
    if other == driver:
        return Part()
    message = f"class {wanted} is of driver {other}, which makes no volumes of the snapshots of {driver or '(unknown)'}"
    return refused("CannotSnapshot", message, f"kubectl get storageclass; name one of driver {driver or '(unknown)'}")


def data_source(snapshot: str) -> Mapping[str, str]:
    """What a claim says that is made of a snapshot."""
    return {"apiGroup": API.partition("/")[0], "kind": KIND, "name": snapshot}


def snapshot_part(claim: str, wanted: str, where: str, storage: str, found: SnapshotFacts) -> Part:
    """The snapshot `wanted` of `claim` in class `storage`, and the wait for it."""
    wait = WaitSnapshot("snapshot-ready", f"wait until snapshot {wanted} is taken", wanted, claim)
    live = found.snapshot
    if isinstance(live, Unknown):
        return unreadable(f"snapshot {wanted}", live)
    kept = f"snapshot {wanted} stays; once claim {wanted} is bound: kubectl delete volumesnapshot {wanted} -n {where}"
    if live is not None:
        if annotations_of(live).get(SNAPSHOT_OF) != claim:
            message = f"snapshot {wanted} exists in namespace {where} and is none that pvserve took of claim {claim}"
            return refused("SnapshotExists", message, f"name another: pvserve clone {claim} OTHER -n {where}")
        return Part(steps=(wait,), unchanged=(f"snapshot {wanted} of claim {claim} is asked for",), notes=(kept,))
    made: dict[str, Any] = {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {
            "name": wanted,
            "namespace": where,
            "labels": {MANAGED_BY: "pvserve"},
            "annotations": {SNAPSHOT_OF: claim},
        },
        "spec": {"volumeSnapshotClassName": storage, "source": {"persistentVolumeClaimName": claim}},
    }
    step = ApplyObject(
        "snapshot",
        f"take snapshot {wanted} of claim {claim}",
        made,
        changes=changes({}, made),
        why=f"class {storage} is of the claim's driver",
        rights=rights_of("snapshot", where),
    )
    key = ObjectKey(API, KIND, where, wanted)
    return Part(steps=(step, wait), notes=(kept,)) + assume(None, key, whole=False)
