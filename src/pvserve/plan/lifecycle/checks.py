"""What the plans of all commands on volumes begin and end with.

Owns the checks of claim and rights, and the joining into a plan. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, name
from pvserve.facts.objects import ObjectKey
from pvserve.plan.claim import MODELS, RETAIN
from pvserve.plan.copies import content
from pvserve.plan.diff import changes, merged
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import Use, required, rights_of, role_text
from pvserve.plan.steps import PatchObject, Plan
from pvserve.spec.quantity import parse_quantity

BEFORE_POLICY = "pvserve.io/reclaim-policy-before"  # on a volume: what Retain replaced
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
POLICY = "persistentVolumeReclaimPolicy"


def claim_key(namespace: str, claim: str) -> ObjectKey:
    """The claim's key."""
    return ObjectKey("v1", "PersistentVolumeClaim", namespace, claim)


def volume_key(volume: Object) -> ObjectKey:
    """The volume's key."""
    return ObjectKey("v1", "PersistentVolume", "", name(volume))


def the_claim(facts: VolumeFacts, claim: str) -> Object | Part:
    """The claim, or the refusal that it is not there, going, or unreadable."""
    where = facts.namespace.name
    if facts.namespace.object is None:
        message = f"namespace {where} does not exist"
        return refused("NoSuchNamespace", message, "name another with -n")
    if isinstance(facts.claim, Unknown):
        return unreadable(f"claim {claim}", facts.claim)
    if facts.claim is None:
        message = f"claim {claim} does not exist in namespace {where}"
        return refused("NoSuchClaim", message, f"kubectl get pvc -n {where}")
    if facts.claim["metadata"].get("deletionTimestamp"):
        return refused("ClaimGoing", f"claim {claim} is being deleted", f"kubectl describe pvc {claim} -n {where}")
    return facts.claim


def the_volume(facts: VolumeFacts, claim: str) -> Object | Part:
    """The volume that the claim is bound to, or why there is none."""
    where = facts.namespace.name
    if isinstance(facts.volume, Unknown):
        return unreadable(f"the volume of claim {claim}", facts.volume)
    if facts.volume is None:
        return refused(
            "ClaimUnbound",
            f"claim {claim} is not bound to a volume yet",
            f"kubectl describe pvc {claim} -n {where}",
        )
    return facts.volume


def both(
    facts: VolumeFacts, claim: str, unseen: Callable[[Object, Part], Part] = lambda _claim, part: part
) -> tuple[Object, Object] | Part:
    """The claim and its volume; `unseen` says more of a claim whose volume is not there or may not be read."""
    found = the_claim(facts, claim)
    if isinstance(found, Part):
        return found
    volume = the_volume(facts, claim)
    return unseen(found, volume) if isinstance(volume, Part) else (found, volume)


def lacking(facts: VolumeFacts, *uses: Use, command: str = "") -> Part:
    """The refusal where a right that is needed is known to be missing; `command` is what an administrator can run."""
    wanted = required(uses, facts.namespace.name)
    missing = [right for right in wanted if facts.rights.get(right) is False]
    if not missing:
        return Part()
    shown = "; ".join(str(right) for right in missing)
    remedy = [f"an administrator can: {command}"] if command else []
    remedy.append(
        f"{'or ' if command else ''}give the rights with: kubectl apply -f - <<'EOF'\n{role_text(wanted)}\nEOF"
    )
    return refused("MissingRights", f"you may not {shown}", *remedy, code=4)


def volume_patch(
    step: str, title: str, volume: Object, body: Mapping[str, Any], why: str, use: Use = "retain"
) -> PatchObject:
    """A patch of the volume as it was read; refused by the server where it was changed since."""
    before = content(volume)
    return PatchObject(
        step,
        title,
        volume_key(volume),
        body,
        before,
        changes(before, merged(before, body)),
        why=why,
        rights=rights_of(use, ""),
        version=str(volume["metadata"]["resourceVersion"]),
    )


def keeping(volume: Object, claim: Object | None) -> dict[str, Any]:
    """The patch that sets Retain, remembers what it replaced, and notes which models the claim's record names."""
    notes: dict[str, Any] = {}
    patch: dict[str, Any] = {}
    policy = str(volume["spec"].get(POLICY, ""))
    if policy != RETAIN:
        notes[BEFORE_POLICY] = policy
        patch["spec"] = {POLICY: RETAIN}
    models = annotations_of(claim).get(MODELS, "") if claim is not None else ""
    if models and annotations_of(volume).get(MODELS) != models:
        notes[MODELS] = models
    return {"metadata": {"annotations": notes}, **patch} if notes else patch


def patch_command(volume: Object, body: Mapping[str, Any]) -> str:
    """The same patch as a command."""
    return f"kubectl patch pv {name(volume)} --type merge -p '{json.dumps(body, sort_keys=True)}'"


def capacity(found: Object) -> int:
    """Bytes of a bound claim or a volume, 0 where it does not say."""
    size = (found.get("status") or {}).get("capacity") or found["spec"].get("capacity") or {}
    return parse_quantity(str(size.get("storage", "0")))


def plan_of(facts: VolumeFacts, part: Part, claim: str, *afterwards: str) -> Plan:
    """The part as a plan; what was decided of claim and volume holds only while they are the same."""
    found = Part()
    if isinstance(facts.claim, dict):
        found += assume(facts.claim, claim_key(facts.namespace.name, name(facts.claim)), whole=False)
    if isinstance(facts.volume, dict):
        found += assume(facts.volume, volume_key(facts.volume), whole=False)
    return Plan(
        namespace=facts.namespace.name,
        service="",
        claim=claim,
        path="",
        steps=() if part.refusals else part.steps,
        unchanged=part.unchanged,
        refusals=part.refusals,
        not_done=part.not_done,
        notes=part.notes,
        assumed=() if part.refusals else tuple(dict.fromkeys(found.assumed + part.assumed)),
        afterwards=() if part.refusals else afterwards,
    )
