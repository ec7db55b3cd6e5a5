"""Waiting for a clone or a snapshot; what a driver that cannot make one says is believed.

Owns the wait, and that a claim which was only tried goes again. Must not decide what is cloned.
"""

from __future__ import annotations

import threading

from pvserve.apply.until import events_on, until
from pvserve.cluster import Cluster
from pvserve.errors import Refused, TimedOut
from pvserve.events import Listener, StepState
from pvserve.facts import Object, annotations_of, known
from pvserve.plan.claim import is_bound
from pvserve.plan.lifecycle.cloning import CLONE_OF
from pvserve.plan.lifecycle.snapshotting import API, KIND
from pvserve.plan.volume_steps import WaitCloned, WaitSnapshot

CLAIM = ("v1", "PersistentVolumeClaim")
FAILED = "ProvisioningFailed"  # external-provisioner's reason
WAITS = "WaitForFirstConsumer"  # the volume controller's, of a class that binds so


def wait_cloned(cluster: Cluster, step: WaitCloned, listen: Listener, cancel: threading.Event) -> None:
    """Returns when the claim is bound, or waits for its first pod: whoever may not read the class learns it here.

    Raises TimedOut with the driver's words; Refused where it was a try.
    """

    def cloned() -> bool:
        claim = cluster.get(*CLAIM, step.claim, cluster.namespace)
        if is_bound(claim):
            return True
        if _said(cluster, claim, WAITS):
            listen(StepState(step.id, step.title, "ongoing", "the volume is made when a pod first mounts the claim"))
            return True
        said = _said(cluster, claim, FAILED) if step.attempt else ""
        if said and annotations_of(claim).get(CLONE_OF) == step.source and not claim["spec"].get("volumeName"):
            cluster.delete(*CLAIM, step.claim, cluster.namespace, uid=str(claim["metadata"]["uid"]))
            where = cluster.namespace
            raise Refused(
                "CannotClone",
                f"the driver of claim {step.source} makes no clone: {said}; claim {step.claim} is gone again",
                subject=f"PersistentVolumeClaim {where}/{step.source}",
                remedy=(f"copy: pvserve load pvc://{step.source}/PATH pvc://{step.claim}/PATH -n {where}",),
            )
        return False

    late = TimedOut(
        "NotClonedInTime",
        f"claim {step.claim} has no clone of claim {step.source} after {step.timeout_seconds} s; the request stays",
        subject=f"PersistentVolumeClaim {cluster.namespace}/{step.claim}",
        remedy=(f"kubectl describe pvc {step.claim} -n {cluster.namespace}",),
    )

    def said() -> str:
        return _said(cluster, cluster.get(*CLAIM, step.claim, cluster.namespace), FAILED)

    until(cloned, step.timeout_seconds, late, cancel, said)


def wait_snapshot(cluster: Cluster, step: WaitSnapshot, cancel: threading.Event) -> None:
    """Returns when the snapshot can be used. Raises TimedOut with the driver's words."""

    def status() -> Object:
        found: Object = cluster.get(API, KIND, step.snapshot, cluster.namespace).get("status") or {}
        return found

    late = TimedOut(
        "NoSnapshotInTime",
        f"snapshot {step.snapshot} of claim {step.source} is not taken after {step.timeout_seconds} s; it stays",
        subject=f"VolumeSnapshot {cluster.namespace}/{step.snapshot}",
        remedy=(f"kubectl describe volumesnapshot {step.snapshot} -n {cluster.namespace}",),
    )

    def said() -> str:
        return str((status().get("error") or {}).get("message") or "")

    until(lambda: status().get("readyToUse") is True, step.timeout_seconds, late, cancel, said)


def _said(cluster: Cluster, claim: Object, reason: str) -> str:
    """What an event of this reason says of the claim, where events may be read; "" where there is none."""
    return next(iter(known(events_on(cluster, claim, reason), ())), "")
