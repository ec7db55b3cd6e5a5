"""Pods as users of claims.

Owns the reading of pod objects into facts. Pure: gets objects, asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pvserve.facts import Holder, Object, labels, name

ENDED = ("Succeeded", "Failed")
MANAGED_BY = "app.kubernetes.io/managed-by"


def holders(pods: Iterable[Object], claim: str) -> tuple[Holder, ...]:
    """The pods that mount `claim` and have not ended, in order of their names."""
    found = []
    for pod in pods:
        volumes = _volumes(pod, claim)
        if not volumes or _phase(pod) in ENDED:
            continue
        controller = _controller(pod)
        found.append(
            Holder(
                pod=name(pod),
                node=str(pod["spec"].get("nodeName") or ""),
                phase=_phase(pod),
                read_only=_read_only(pod, volumes),
                controller=controller,
                # KServe hands a service's labels on to its pods; ours stand alone
                made_by_pvserve=labels(pod).get(MANAGED_BY) == "pvserve" and not controller,
            )
        )
    return tuple(sorted(found, key=lambda holder: holder.pod))


def alive(pods: Iterable[Object]) -> tuple[Object, ...]:
    """The pods that have not ended and are not being deleted."""
    return tuple(pod for pod in pods if _phase(pod) not in ENDED and not pod["metadata"].get("deletionTimestamp"))


def _phase(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "Pending")


def _volumes(pod: Object, claim: str) -> dict[str, bool]:
    """Names of the pod's volumes that are the claim, and whether the volume itself is read-only."""
    out = {}
    for volume in pod["spec"].get("volumes") or ():
        source = volume.get("persistentVolumeClaim") or {}
        if source.get("claimName") == claim:
            out[str(volume["name"])] = bool(source.get("readOnly"))
    return out


def _read_only(pod: Object, volumes: Mapping[str, bool]) -> bool:
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    return all(volumes[m["name"]] or m.get("readOnly") for m in mounts if m["name"] in volumes)


def _controller(pod: Object) -> str:
    """`Deployment granite-predictor`; a ReplicaSet is named after its Deployment and the pods' template hash."""
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            suffix = f"-{labels(pod).get('pod-template-hash', '')}"
            if owner["kind"] == "ReplicaSet" and len(suffix) > 1 and owner["name"].endswith(suffix):
                return f"Deployment {owner['name'].removesuffix(suffix)}"
            return f"{owner['kind']} {owner['name']}"
    return ""
