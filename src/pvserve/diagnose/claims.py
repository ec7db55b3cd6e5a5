"""Why a claim has no volume.

Owns the reading of claims, their classes and their events. Must not look at pods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import events_of, lasted, seconds_between, seen, text, when, with_reason
from pvserve.diagnose.values import Cause, PodEvidence, Seen, Words
from pvserve.facts import Object, Unknown, annotations_of, known, name

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
SILENT_SECONDS = 60.0
# https://github.com/container-storage-interface/spec/blob/master/spec.md#createvolume-errors
_FULL = re.compile(
    r"ResourceExhausted|OutOfRange|exceed\w* (the )?quota|quota exceeded|insufficient (free )?(space|capacity)", re.I
)
_CLASS_GONE = re.compile(r'storageclass\S* "[^"]*" not found')
_TERMINAL = re.compile(
    r"code = (InvalidArgument|PermissionDenied|Unauthenticated|Unimplemented|AlreadyExists|NotFound|FailedPrecondition)"
)


def claim_causes(evidence: PodEvidence) -> Iterator[Cause]:
    """What is wrong with each claim that the pods mount."""
    for claim, known_of in sorted(evidence.claims.items()):
        words = {"claim": claim, "namespace": evidence.namespace}
        if known_of.object is None:
            absent = Seen(f"PersistentVolumeClaim {claim}", "not found")
            yield cause("ClaimMissing", absent, *_full_quotas(evidence), hopeless=True, **words)
        elif isinstance(known_of.object, dict):
            yield from _of_claim(evidence, known_of.object, words)


def _full_quotas(evidence: PodEvidence) -> Iterator[Seen]:
    """What limits storage in the namespace: a claim beyond it is refused, and then is not there."""
    for quota in known(evidence.quotas, ()):
        status: dict[str, Any] = quota.get("status") or {}
        used = status.get("used") or {}
        for resource, hard in sorted((status.get("hard") or {}).items()):
            if "storage" in resource or "persistentvolumeclaims" in resource:
                yield Seen(f"ResourceQuota {name(quota)}", f"{resource}: {used.get(resource, '?')} of {hard} used")


def _of_claim(evidence: PodEvidence, claim: Object, words: Words) -> Iterator[Cause]:
    phase = (claim.get("status") or {}).get("phase")
    subject = f"PersistentVolumeClaim {name(claim)}"
    volume = str(claim["spec"].get("volumeName") or "")
    going = claim["metadata"].get("deletionTimestamp")
    if going:
        said = Seen(subject, "is being deleted", str(going))
        yield cause("ClaimTerminating", said, hopeless=True, volume=volume or "VOLUME", **words)
    if phase == "Lost":
        yield cause("ClaimLost", Seen(subject, "phase Lost"), hopeless=True, volume=volume, **words)
    if phase == "Pending" and not going:
        yield _pending(evidence, claim, words)


def _pending(evidence: PodEvidence, claim: Object, words: Words) -> Cause:
    """By what is there first, then by the claim's last event: events are gone after an hour."""
    wanted = claim["spec"].get("storageClassName")
    there = wanted in {name(item) for item in known(evidence.classes, ())}
    told_of = events_of(evidence, "PersistentVolumeClaim", claim)
    events = tuple(event for event in told_of if not (there and _CLASS_GONE.search(text(event))))  # it has come since
    told = tuple(seen(event) for event in events[-1:])
    state = Seen(f"PersistentVolumeClaim {name(claim)}", "phase Pending", _created(claim))
    words = {"storage_class": str(wanted or "(none)"), **words}
    classes = known(evidence.classes, ())
    by_default = wanted is None and any(_default(item) for item in classes)
    told_so = not isinstance(evidence.classes, Unknown) or with_reason(events, "FailedBinding")
    if not wanted and not by_default and told_so:
        return cause("ClaimNoClass", state, *told, hopeless=True, **words)
    failed = with_reason(events, "ProvisioningFailed")
    if wanted and not isinstance(evidence.classes, Unknown) and wanted not in {name(item) for item in classes}:
        return cause("ClaimClassUnknown", state, *told, hopeless=True, **words)
    if failed and failed[-1] == (with_reason(events, "ProvisioningFailed", "Provisioning") or failed)[-1]:
        return _failed(failed[-1], words)
    if failed and not with_reason(events[-1:], "WaitForFirstConsumer"):
        return _failed(failed[-1], words)
    return _ongoing(evidence, claim, events, words)


def _failed(event: Object, words: Words) -> Cause:
    said = text(event)
    if _CLASS_GONE.search(said):
        return cause("ClaimClassUnknown", seen(event), hopeless=True, **words)
    if _FULL.search(said):
        return cause("ClaimNoSpace", seen(event), hopeless=True, **words)
    return cause("ClaimNotProvisioned", seen(event), hopeless=bool(_TERMINAL.search(said)), **words)


def _ongoing(evidence: PodEvidence, claim: Object, events: tuple[Object, ...], words: Words) -> Cause:
    """Waiting for a pod, or for a provisioner that says nothing."""
    waiting = with_reason(events, "ExternalProvisioning")
    provisioner = annotations_of(claim).get(PROVISIONER, "")
    since = _created(claim)
    chosen = annotations_of(claim).get(SELECTED_NODE) or _mode(evidence, claim) == "Immediate"
    if waiting and chosen and lasted(since, evidence, SILENT_SECONDS):
        age = seconds_between(since, evidence.now)
        seconds = "some" if age is None else f"{age:.0f}"
        return cause(
            "ProvisionerSilent", seen(waiting[-1]), seconds=seconds, provisioner=provisioner or "(unknown)", **words
        )
    told = tuple(seen(event) for event in sorted(events, key=when)[-1:])
    state = Seen(f"PersistentVolumeClaim {name(claim)}", "phase Pending", since)
    return cause("ClaimProvisioning" if chosen else "ClaimWaitsForPod", *(told or (state,)), **words)


def _mode(evidence: PodEvidence, claim: Object) -> str:
    wanted = claim["spec"].get("storageClassName")
    found: list[Any] = [item for item in known(evidence.classes, ()) if name(item) == wanted]
    return str(found[0].get("volumeBindingMode") or "Immediate") if found else ""


def _default(storage_class: Object) -> bool:
    return annotations_of(storage_class).get(DEFAULT_CLASS) == "true"


def _created(obj: Object) -> str:
    return str(obj["metadata"].get("creationTimestamp") or "")
