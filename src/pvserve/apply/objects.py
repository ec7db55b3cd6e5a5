"""Steps that write Kubernetes objects: server-side apply, guarded patches, Retain on a bound volume.

Owns how each is carried out and checked against what the server stored. Must not decide what to write.
"""

from __future__ import annotations

from pvserve.cluster import Cluster
from pvserve.errors import Refused, StalePlan, Temporary
from pvserve.facts import Object, Unknown
from pvserve.plan.copies import content_digest
from pvserve.plan.diff import at
from pvserve.plan.steps import SOME, ApplyObject, Assumed, PatchObject, RetainVolume


def apply_object(cluster: Cluster, step: ApplyObject) -> Object:
    """Server-side applies the object; a conflict with another manager is an error, but where the step says force."""
    return cluster.apply(step.object, force=step.force)


def patch_object(cluster: Cluster, step: PatchObject) -> Object:
    """Patches, then looks whether the server kept what was meant: admission may undo an edit.

    Raises Refused naming the field and what became of it.
    """
    target = step.target
    stored = cluster.patch(
        target.api_version, target.kind, target.name, target.namespace, step.patch, resource_version=step.version
    )
    for path, wanted in step.expect:
        seen = at(stored, path)
        if seen != wanted:
            field = ".".join(path)
            raise Refused(
                "AdmissionUndidEdit",
                f"the cluster's admission turned {field} of {target} into {seen!r}; pvserve had written {wanted!r}",
                subject=str(target),
                remedy=(f"pvserve rollback {target.name} -n {target.namespace}",) if target.namespace else (),
            )
    return stored


def retain_volume(cluster: Cluster, step: RetainVolume) -> Object:
    """Sets Retain on the volume that the claim is bound to.

    Source: https://kubernetes.io/docs/tasks/administer-cluster/change-pv-reclaim-policy/
    """
    claim = cluster.get("v1", "PersistentVolumeClaim", step.claim, cluster.namespace)
    volume = str(claim["spec"].get("volumeName") or "")
    if not volume:
        raise Temporary(
            "ClaimNotBound",
            f"claim {step.claim} is not bound to a volume yet, so its reclaim policy cannot be set",
            remedy=("run the same command again once it is bound",),
        )
    return cluster.patch("v1", "PersistentVolume", volume, "", {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})


def check_assumed(cluster: Cluster, assumed: tuple[Assumed, ...]) -> None:
    """Raises StalePlan when an object is not the one the plan was made for."""
    for item in assumed:
        target = item.object
        now = cluster.find(target.api_version, target.kind, target.name, target.namespace)
        if isinstance(now, Unknown):
            continue  # what could not be read at planning time either was not assumed
        uid = "" if now is None else str(now["metadata"]["uid"])
        if item.uid == SOME and uid:
            continue
        if uid != item.uid or (now is not None and item.content and content_digest(now) != item.content):
            raise StalePlan(
                "PlanIsStale",
                f"{target} {'is gone' if now is None else 'changed'} since the plan was made",
                subject=str(target),
                remedy=("run the same command again", "or make the plan again: pvserve plan … --out plan.json"),
            )
