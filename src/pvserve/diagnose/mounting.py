"""Why a node cannot mount a pod's volumes.

Owns the reading of the kubelet's FailedMount and the attach controller's FailedAttachVolume.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pvserve.diagnose import pods as looking
from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import conditions, events_of, lasted, seen, text, when, with_reason
from pvserve.diagnose.values import Cause, PodEvidence, Seen
from pvserve.facts import Object, name

PATIENCE_SECONDS = 30.0  # a Secret that a controller makes beside the service comes within this time
_MISSING = re.compile(r'(secret|configmap) "([^"]+)" not found')
_DRIVER = re.compile(r"driver name (\S+) not found in the list of registered CSI drivers")
# Said every two minutes about volumes of which another event says why.
_SUMMARY = re.compile(r"^(Unable to attach or mount volumes|unmounted volumes=)")


def mounting_causes(evidence: PodEvidence, pods: tuple[Object, ...]) -> Iterator[Cause]:
    """The last reason that each waiting pod's node gives."""
    for pod in pods:
        waiting = looking.phase(pod) == "Pending" and looking.node(pod) and not looking.going(pod)
        if not waiting or any(item.status.get("state", {}).get("running") for item in looking.containers(pod)):
            continue
        yield from _twice(evidence, pod)
        failed = with_reason(events_of(evidence, "Pod", pod), "FailedMount", "FailedAttachVolume", "FailedMapVolume")
        failed = tuple(event for event in failed if "Multi-Attach" not in text(event))
        telling = [event for event in failed if not _SUMMARY.search(text(event))] or list(failed)
        if telling:
            yield _failed(evidence, pod, telling[-1])


def _twice(evidence: PodEvidence, pod: Object) -> Iterator[Cause]:
    """Claims that the pod has several volumes of: no event ever says so, but for volumes that are waited for.

    Images are pulled after volumes are mounted: a pod whose image is pulled has got past this.
    """
    if with_reason(events_of(evidence, "Pod", pod), "Pulling", "Pulled"):
        return
    by_claim: dict[str, list[str]] = {}
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            by_claim.setdefault(str(volume["persistentVolumeClaim"]["claimName"]), []).append(str(volume["name"]))
    since = str((conditions(pod).get("PodScheduled") or {}).get("lastTransitionTime") or "")
    late = lasted(since, evidence, PATIENCE_SECONDS)
    for claim, volumes in by_claim.items():
        if len(volumes) > 1 and late:
            named = " and ".join(volumes)
            told = Seen(f"Pod {name(pod)}", f"volumes {named} are of claim {claim}, and no container was made", since)
            words = {**looking.words(evidence, pod), "claim": claim, "volumes": named}
            yield cause("ClaimMountedTwice", told, hopeless=True, **words)


def _failed(evidence: PodEvidence, pod: Object, event: Object) -> Cause:
    said, words = text(event), looking.words(evidence, pod)
    since = str(event.get("firstTimestamp") or when(event))
    late = lasted(since, evidence, PATIENCE_SECONDS)
    missing, driver = _MISSING.search(said), _DRIVER.search(said)
    if missing:
        kind = "Secret" if missing[1] == "secret" else "ConfigMap"
        return cause("MountNeedsObject", seen(event), hopeless=late, missing=f"{kind} {missing[2]}", **words)
    if driver:
        return cause("DriverMissing", seen(event), hopeless=late, driver=driver[1], **words)
    return cause("MountFailed", seen(event), **words)
