"""`adopt PV`: a Released volume becomes a claim again, in this or another namespace.

Owns this plan. Pure. The volume is first kept for exactly this claim: its claimRef names namespace and name without a
uid, so that the volume controller binds it to that claim and to no other, whoever asks first
(https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reserving-a-persistentvolume).
"""

from __future__ import annotations

import json
from typing import Any

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, name
from pvserve.plan.claim import MODELS, RETAIN, new_claim
from pvserve.plan.diff import changes
from pvserve.plan.lifecycle.checks import (
    BOUND_BY_CONTROLLER,
    POLICY,
    claim_key,
    keeping,
    lacking,
    patch_command,
    plan_of,
    volume_patch,
)
from pvserve.plan.lifecycle.same import SHARE_OF
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import ApplyObject, Plan
from pvserve.plan.volume_steps import WaitBound
from pvserve.spec.names import dns_label


def adopt_plan(volume: str, claim: str, facts: VolumeFacts) -> Plan:
    """Claim `claim` ("" = the one the volume had) in the namespace of the facts gets the volume."""
    found = facts.volume
    wanted = claim or (_holder(found)[1] if isinstance(found, dict) else "")
    part = _adopt(volume, wanted, facts)
    return plan_of(facts, part, wanted)


def _holder(volume: Object) -> tuple[str, str]:
    reference = volume["spec"].get("claimRef") or {}
    return str(reference.get("namespace") or ""), str(reference.get("name") or "")


def _adopt(volume: str, claim: str, facts: VolumeFacts) -> Part:
    found = facts.volume
    if isinstance(found, Unknown):
        return unreadable(f"volume {volume}", found)
    if found is None:
        return refused("NoSuchVolume", f"volume {volume} does not exist", "pvserve ls -A", "kubectl get pv")
    if facts.namespace.object is None:
        return refused("NoSuchNamespace", f"namespace {facts.namespace.name} does not exist", "name another with -n")
    bad = _unfit(found, claim, facts)
    if bad.refusals:
        return bad
    body = _reserve(found, claim, facts)
    denied = lacking(facts, "adopt", command=patch_command(found, body) if body else "")
    return denied if denied.refusals else _steps(found, claim, facts, body)


def _unfit(volume: Object, claim: str, facts: VolumeFacts) -> Part:
    namespace, holder = _holder(volume)
    phase = str((volume.get("status") or {}).get("phase", ""))
    title, where = f"volume {name(volume)}", facts.namespace.name
    if volume["metadata"].get("deletionTimestamp"):
        return refused("VolumeGoing", f"{title} is being deleted", f"kubectl describe pv {name(volume)}")
    if origin := annotations_of(volume).get(SHARE_OF, ""):
        message = f"{title} is a read-only share of volume {origin}"
        return refused("VolumeIsShare", message, f"pvserve unshare {namespace}/{holder}", "then share the data again")
    if phase == "Bound" and (namespace, holder) != (where, claim):
        return refused(
            "VolumeBound",
            f"{title} belongs to claim {holder} of namespace {namespace}",
            f"pvserve release {holder} -n {namespace}",
        )
    if phase == "Available" and holder and (namespace, holder) != (where, claim):
        return refused(
            "VolumeReserved",
            f"{title} is kept for claim {holder} of namespace {namespace}",
            f"pvserve adopt {name(volume)} --claim {holder} -n {namespace}",
        )
    if phase not in ("Released", "Available", "Bound"):
        return refused("VolumeFailed", f"{title} is {phase or 'in no phase'}", f"kubectl describe pv {name(volume)}")
    return _unfit_claim(volume, claim, facts)


def _unfit_claim(volume: Object, claim: str, facts: VolumeFacts) -> Part:
    if not claim:
        return refused("NoClaimName", f"volume {name(volume)} had no claim before", "name one: --claim CLAIM", code=2)
    try:
        dns_label(claim)
    except ValueError as error:
        return refused("NoClaimName", f"claim {claim} {error}", "name another: --claim CLAIM", code=2)
    if isinstance(facts.claim, Unknown):
        return unreadable(f"claim {claim}", facts.claim)
    if facts.claim is None or facts.claim["spec"].get("volumeName") == name(volume):
        return Part()
    bound = facts.claim["spec"].get("volumeName")
    has = f"is bound to volume {bound}" if bound else "waits for a volume of its own"
    return refused(
        "ClaimExists",
        f"claim {claim} exists in namespace {facts.namespace.name} and {has}",
        f"name another: pvserve adopt {name(volume)} --claim OTHER -n {facts.namespace.name}",
    )


def _reserve(volume: Object, claim: str, facts: VolumeFacts) -> dict[str, Any]:
    """The patch that keeps the volume for the claim and retains it; empty where it is so already."""
    where = facts.namespace.name
    if (volume.get("status") or {}).get("phase") == "Bound":
        return {}
    reference = volume["spec"].get("claimRef") or {}
    wanted: dict[str, Any] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": where, "name": claim}
    gone = {key: None for key in ("uid", "resourceVersion") if key in reference}
    body = keeping(volume, None)
    if gone or _holder(volume) != (where, claim):
        body.setdefault("spec", {})["claimRef"] = {**wanted, **gone}
    if BOUND_BY_CONTROLLER in annotations_of(volume):  # the controller would take such a binding for its own to undo
        body.setdefault("metadata", {}).setdefault("annotations", {})[BOUND_BY_CONTROLLER] = None
    return body


def _steps(volume: Object, claim: str, facts: VolumeFacts, body: dict[str, Any]) -> Part:
    where = facts.namespace.name
    part = Part()
    if body:
        was = "/".join(filter(None, _holder(volume))) or "nobody"
        title = f"keep volume {name(volume)} for claim {where}/{claim} and no other"
        why = f"it was of {was}; a claimRef without uid is bound by that claim alone"
        part += Part(steps=(volume_patch("reserve", title, volume, body, why, "adopt"),))
    if facts.claim is None:
        part += _claim(volume, claim, facts)
    if part.steps or (volume.get("status") or {}).get("phase") != "Bound":
        part += Part(
            steps=(WaitBound("bound", f"wait until claim {claim} has the volume", where, claim, name(volume)),)
        )
    else:
        part += Part(unchanged=(f"claim {claim} has volume {name(volume)}",))
    if volume["spec"].get(POLICY) != RETAIN:
        part += Part(notes=(f"volume {name(volume)} is retained from now on: pvserve retain {claim} --undo",))
    return part


def _claim(volume: Object, claim: str, facts: VolumeFacts) -> Part:
    made = claim_for(volume, claim, facts.namespace.name)
    step = ApplyObject(
        "claim",
        f"make claim {claim} for volume {name(volume)}",
        made,
        changes=changes({}, made),
        why="class, modes and size are the volume's; it is bound to this volume by name",
        rights=rights_of("adopt", facts.namespace.name),
    )
    return Part(steps=(step,)) + assume(None, claim_key(facts.namespace.name, claim), whole=False)


def claim_for(volume: Object, claim: str, namespace: str) -> dict[str, Any]:
    """A claim that only this volume can satisfy, with the record of the models on it."""
    spec = volume["spec"]
    made = new_claim(claim, namespace, "", spec["accessModes"][0], str(spec["capacity"]["storage"]))
    made["spec"]["accessModes"] = list(spec["accessModes"])
    made["spec"]["storageClassName"] = str(spec.get("storageClassName") or "")
    made["spec"]["volumeName"] = name(volume)
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        made["spec"]["volumeMode"] = spec["volumeMode"]
    models = annotations_of(volume).get(MODELS, "")
    if models and _is_json(models):
        made["metadata"]["annotations"][MODELS] = models
    return made


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
