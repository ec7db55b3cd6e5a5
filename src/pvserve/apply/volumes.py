"""Steps on claims and volumes: a claim given up, a volume bound again, a file system grown.

Owns how each is carried out and waited for. Must not decide which claim or volume.
"""

from __future__ import annotations

import threading

from pvserve.apply.clone import wait_cloned, wait_snapshot
from pvserve.apply.until import events_on, until
from pvserve.cluster import Cluster
from pvserve.errors import PvserveError, Refused, StalePlan, TimedOut
from pvserve.events import Listener, StepState
from pvserve.facts import Object, Unknown
from pvserve.plan.claim import RETAIN
from pvserve.plan.lifecycle.checks import POLICY, capacity
from pvserve.plan.lifecycle.resize import resizing
from pvserve.plan.volume_steps import (
    DeleteObject,
    ReleaseClaim,
    WaitBound,
    WaitCloned,
    WaitResized,
    WaitSnapshot,
)
from pvserve.spec.quantity import format_quantity

CLAIM = ("v1", "PersistentVolumeClaim")
VOLUME = ("v1", "PersistentVolume")


def run_volume_step(
    cluster: Cluster,
    step: ReleaseClaim | DeleteObject | WaitBound | WaitCloned | WaitSnapshot | WaitResized,
    listen: Listener,
    cancel: threading.Event,
) -> None:
    """Carries out the step."""
    match step:
        case ReleaseClaim():
            _release_claim(cluster, step, cancel)
        case DeleteObject():
            _delete(cluster, step, cancel)
        case WaitBound():
            _wait_bound(cluster, step, cancel)
        case WaitCloned():
            wait_cloned(cluster, step, listen, cancel)
        case WaitSnapshot():
            wait_snapshot(cluster, step, cancel)
        case WaitResized():
            _wait_resized(cluster, step, listen, cancel)


def _release_claim(cluster: Cluster, step: ReleaseClaim, cancel: threading.Event) -> None:
    """Deletes the claim, after a last look that its volume is retained; returns when the volume is Released.

    Raises Refused when the volume is not retained now, StalePlan when the claim is another by now, TimedOut when
    somebody began to use it.
    """
    claim = cluster.get(*CLAIM, step.claim, cluster.namespace)
    volume = cluster.get(*VOLUME, step.volume)
    if claim["metadata"]["uid"] != step.uid or claim["spec"].get("volumeName") != step.volume:
        raise StalePlan("PlanIsStale", f"claim {step.claim} is another since the plan was made", subject=step.claim)
    if volume["spec"].get(POLICY) != RETAIN:
        raise Refused(
            "NotRetained",
            f"volume {step.volume} has policy {volume['spec'].get(POLICY)}: its data would go with claim {step.claim}",
            subject=f"PersistentVolume {step.volume}",
            remedy=(f"pvserve retain {step.claim} -n {cluster.namespace}",),
        )
    cluster.delete(*CLAIM, step.claim, cluster.namespace, uid=step.uid)

    def released() -> bool:
        now = cluster.get(*VOLUME, step.volume)
        return bool((now.get("status") or {}).get("phase") == "Released")

    late = TimedOut(
        "NotReleasedInTime",
        f"claim {step.claim} was deleted, and volume {step.volume} is not Released after {step.timeout_seconds} s: "
        "a pod may have begun to use it",
        subject=f"PersistentVolumeClaim {step.claim}",
        remedy=(f"kubectl describe pvc {step.claim} -n {cluster.namespace}",),
    )
    until(released, step.timeout_seconds, late, cancel)


def _delete(cluster: Cluster, step: DeleteObject, cancel: threading.Event) -> None:
    """Returns when the object of this uid is gone. Raises TimedOut."""
    key = step.target
    cluster.delete(key.api_version, key.kind, key.name, key.namespace, uid=step.uid)

    def gone() -> bool:
        now = cluster.find(key.api_version, key.kind, key.name, key.namespace)
        return not isinstance(now, dict) or now["metadata"]["uid"] != step.uid

    where = f" -n {key.namespace}" if key.namespace else ""
    late = TimedOut(
        "NotDeletedInTime",
        f"{key} was deleted and is still there after {step.timeout_seconds} s: something holds it",
        subject=str(key),
        remedy=(f"kubectl describe {key.kind.lower()} {key.name}{where}",),
    )
    until(gone, step.timeout_seconds, late, cancel)


def _wait_bound(cluster: Cluster, step: WaitBound, cancel: threading.Event) -> None:
    """Returns when the claim is bound to the volume. Raises Refused when it got another, TimedOut."""

    def bound() -> bool:
        claim = cluster.get(*CLAIM, step.claim, step.namespace)
        got = str(claim["spec"].get("volumeName") or "")
        if got and got != step.volume:
            raise Refused("ClaimExists", f"claim {step.claim} is bound to volume {got}, not {step.volume}")
        return bool((claim.get("status") or {}).get("phase") == "Bound")

    late = TimedOut(
        "NotBoundInTime",
        f"claim {step.claim} is not bound to volume {step.volume} after {step.timeout_seconds} s",
        subject=f"PersistentVolumeClaim {step.namespace}/{step.claim}",
        remedy=(f"kubectl describe pvc {step.claim} -n {step.namespace}", f"kubectl describe pv {step.volume}"),
    )
    until(bound, step.timeout_seconds, late, cancel)


def _wait_resized(cluster: Cluster, step: WaitResized, listen: Listener, cancel: threading.Event) -> None:
    """Returns when the claim's file system has the size; or when it only waits for a pod to mount it, and says so.

    Raises PvserveError with the driver's words when it cannot grow, TimedOut.
    """

    def resized() -> bool:
        claim = cluster.get(*CLAIM, step.claim, cluster.namespace)
        if capacity(claim) >= step.bytes and not resizing(claim):
            return True
        if resizing(claim) == "FileSystemResizePending":
            listen(StepState(step.id, step.title, "ongoing", "the file system grows when a pod mounts the claim"))
            return True
        if failed := _infeasible(claim):
            raise PvserveError("ResizeFailed", f"claim {step.claim} cannot grow: {failed}", remedy=late.remedy)
        return False

    late = TimedOut(
        "NotResizedInTime",
        f"claim {step.claim} has not {format_quantity(step.bytes)} after {step.timeout_seconds} s; the request stays",
        subject=f"PersistentVolumeClaim {step.claim}",
        remedy=(f"kubectl describe pvc {step.claim} -n {cluster.namespace}",),
    )

    def said() -> str:
        found = events_on(cluster, cluster.get(*CLAIM, step.claim, cluster.namespace), "esize")
        return f"events could not be read: {found.why}" if isinstance(found, Unknown) else "\n".join(found)

    until(resized, step.timeout_seconds, late, cancel, said)


def _infeasible(claim: Object) -> str:
    """Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#recovering-from-failure-when-expanding-volumes"""
    states = (claim.get("status") or {}).get("allocatedResourceStatuses") or {}
    return next((str(state) for state in states.values() if str(state).endswith("Infeasible")), "")
