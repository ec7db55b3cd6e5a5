"""How the data outlives its claim: by a class, on the bound volume, or by an administrator's command.

Owns this decision. Pure. Source: https://kubernetes.io/docs/tasks/administer-cluster/change-pv-reclaim-policy/
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field

from pvserve.facts import Facts, Object, Right, Unknown, known, name
from pvserve.facts.objects import ObjectKey
from pvserve.plan.claim import RETAIN, existing_copy, retain_class
from pvserve.plan.copies import content
from pvserve.plan.diff import changes
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import SOME, ApplyObject, Assumed, NotDone, RetainVolume
from pvserve.spec.model import ModelSpec

MAKE_CLASS = Right("create", "storage.k8s.io", "storageclasses")
PATCH_VOLUME = Right("patch", "", "persistentvolumes")
_POLICY = json.dumps({"spec": {"persistentVolumeReclaimPolicy": RETAIN}})


@dataclass(frozen=True)
class Keeping:
    """What is done before the load and after it, and the class that a new claim gets ("" = the cluster's default)."""

    before: Part = field(default_factory=Part)
    after: Part = field(default_factory=Part)
    storage_class: str = ""

    def __add__(self, other: Keeping) -> Keeping:
        return Keeping(self.before + other.before, self.after + other.after, self.storage_class or other.storage_class)


def keep_new(spec: ModelSpec, facts: Facts, chosen: Object | None) -> Keeping:
    """For a claim that is to be made in class `chosen` (None: the default class, which may not be read)."""
    asked, plain = spec.claim.retain, name(chosen) if chosen is not None else ""
    if asked == "no":
        return Keeping(Part(notes=(_lost_words(spec),)), storage_class=plain)
    if chosen is not None and chosen.get("reclaimPolicy") == RETAIN:
        return Keeping(Part(unchanged=(f"class {plain} retains data already",)), storage_class=plain)
    if asked in ("auto", "class") and chosen is not None and "provisioner" in chosen:
        by_class = _by_class(facts, chosen)
        if by_class is not None:
            return by_class
        if asked == "class":
            return Keeping(_class_refused(chosen))
    elif asked == "class":
        return Keeping(refused("Unreadable", "the class to copy could not be read", "use --retain volume", code=4))
    return Keeping(after=_by_volume(spec, facts), storage_class=plain)


def keep_existing(spec: ModelSpec, facts: Facts, claim: Object) -> Keeping:
    """For a claim that exists: its class cannot be changed any more, only its volume."""
    volume = facts.claim.volume
    if spec.claim.retain == "no":
        return Keeping()
    if isinstance(volume, dict):
        if volume["spec"].get("persistentVolumeReclaimPolicy") == RETAIN:
            return Keeping(Part(unchanged=(f"volume {name(volume)} is retained already",)))
    elif _class_policy(facts) == RETAIN:
        return Keeping(Part(unchanged=(f"class {claim['spec'].get('storageClassName')} retains data",)))
    if spec.claim.retain == "class":
        return Keeping(
            refused(
                "ClaimHasClass",
                f"claim {spec.claim.name} exists in class {claim['spec'].get('storageClassName') or 'none'}, "
                "and the class of a claim cannot be changed",
                "use --retain volume",
            )
        )
    return Keeping(after=_by_volume(spec, facts))


def _class_policy(facts: Facts) -> str:
    found = facts.claim.storage_class
    return str(found.get("reclaimPolicy", "")) if isinstance(found, dict) else ""


def _by_class(facts: Facts, chosen: Object) -> Keeping | None:
    """By a copy of the class that is there or may be made; None where it may not."""
    copy = retain_class(chosen)
    there = existing_copy(copy, known(facts.storage_classes, ()))
    if there is not None:
        words = f"class {name(there)} is a {RETAIN} copy of {name(chosen)} already"
        needed = Assumed(ObjectKey("storage.k8s.io/v1", "StorageClass", "", name(there)), SOME)
        return Keeping(Part(unchanged=(words,), assumed=(needed,)), storage_class=name(there))
    if facts.rights.get(MAKE_CLASS) is not True:
        return None
    return Keeping(Part(steps=(_copy_step(chosen, copy),)), storage_class=name(copy))


def _copy_step(chosen: Object, copy: Object) -> ApplyObject:
    return ApplyObject(
        "class",
        f"copy class {name(chosen)} to {name(copy)}, which retains data",
        copy,
        changes=changes(content(chosen), copy),
        why="a volume of class " + name(chosen) + " is deleted with its claim",
        rights=rights_of("retain-class", ""),
    )


def lost_copy(facts: Facts, wanted: str) -> ApplyObject | None:
    """Makes the copy called `wanted` again, which a claim waits for and somebody removed; None where it is no copy."""
    if facts.rights.get(MAKE_CLASS) is not True:
        return None
    copies = [(item, retain_class(item)) for item in known(facts.storage_classes, ())]
    return next((_copy_step(item, copy) for item, copy in copies if name(copy) == wanted), None)


def _class_refused(chosen: Object) -> Part:
    copy = json.dumps(retain_class(chosen), sort_keys=True)
    return refused(
        "MayNotMakeClass",
        f"you may not {MAKE_CLASS}, so class {name(chosen)} cannot be copied",
        f"an administrator can: echo {shlex.quote(copy)} | kubectl apply -f -",
        "or use --retain volume or --retain no",
        code=4,
    )


def _by_volume(spec: ModelSpec, facts: Facts) -> Part:
    """Retain on the volume, once it is bound."""
    allowed = facts.rights.get(PATCH_VOLUME)
    if allowed is True:
        step = RetainVolume(
            "retain",
            f"keep the volume of claim {spec.claim.name} when the claim goes",
            spec.claim.name,
            why="its reclaim policy would delete the data with the claim",
            rights=rights_of("retain-volume", ""),
        )
        return Part(steps=(step,))
    why = allowed.why if isinstance(allowed, Unknown) else f"you may not {PATCH_VOLUME}"
    command = volume_command(spec.claim.name, facts)
    if spec.claim.retain == "volume":
        message = f"the volume of claim {spec.claim.name} cannot be set to {RETAIN}: {why}"
        return refused("MayNotRetain", message, f"an administrator can: {command}", "or use --retain no", code=4)
    what = f"keep the volume of claim {spec.claim.name} when the claim goes"
    return Part(not_done=(NotDone(what, f"{why}; an administrator can, once the claim is bound", command),))


def volume_command(claim: str, facts: Facts) -> str:
    """What an administrator runs; the volume by name where it is known."""
    volume = facts.claim.volume
    found = facts.claim.object
    bound = str(found["spec"].get("volumeName") or "") if isinstance(found, dict) else ""
    named = name(volume) if isinstance(volume, dict) else bound
    where = named or f"$(kubectl get pvc {claim} -n {facts.namespace.name} -o jsonpath='{{.spec.volumeName}}')"
    return f"kubectl patch pv {where} -p '{_POLICY}'"


def _lost_words(spec: ModelSpec) -> str:
    return f"--retain no: where the class deletes volumes, the data goes with claim {spec.claim.name}"
