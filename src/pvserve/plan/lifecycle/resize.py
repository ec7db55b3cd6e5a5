"""`resize CLAIM SIZE`: more room on a claim.

Owns this plan. Pure. Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from __future__ import annotations

from pvserve.facts import Object, Unknown, VolumeFacts, name
from pvserve.plan.claim import is_bound
from pvserve.plan.copies import content
from pvserve.plan.diff import changes, merged
from pvserve.plan.lifecycle.checks import capacity, claim_key, lacking, plan_of, the_claim
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import PatchObject, Plan
from pvserve.plan.volume_steps import WaitResized
from pvserve.spec.quantity import format_quantity, parse_quantity


def resize_plan(claim: str, size: str, timeout_seconds: int, facts: VolumeFacts) -> Plan:
    """The claim asks for `size` (a quantity), and the plan waits until its file system has it."""
    return plan_of(facts, _resize(claim, size, timeout_seconds, facts), claim)


def _resize(claim: str, size: str, timeout_seconds: int, facts: VolumeFacts) -> Part:
    found = the_claim(facts, claim)
    if isinstance(found, Part):
        return found
    wanted, has = parse_quantity(size), capacity(found)
    if not is_bound(found):
        return refused(
            "ClaimUnbound",
            f"claim {claim} is not bound to a volume yet, and only a bound claim can grow",
            f"kubectl describe pvc {claim} -n {facts.namespace.name}",
        )
    if wanted < has:
        return refused(
            "CannotShrink",
            f"claim {claim} has {format_quantity(has)}, and no volume can be made smaller",
            f"load the models to a new claim of {size} instead, then: pvserve release {claim}",
        )
    asked = parse_quantity(str(found["spec"]["resources"]["requests"]["storage"]))
    wait = WaitResized("grown", f"wait until claim {claim} has {size}", claim, wanted, timeout_seconds)
    if wanted == asked:
        if has >= wanted and not resizing(found):
            return Part(unchanged=(f"claim {claim} has {format_quantity(has)}",))
        return Part(steps=(wait,), unchanged=(f"claim {claim} asks for {size} already",))
    refusal = _fixed(found, facts)
    denied = refusal if refusal.refusals else lacking(facts, "resize")
    if denied.refusals:
        return denied
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    before = content(found)
    step = PatchObject(
        "resize",
        f"grow claim {claim} from {format_quantity(has)} to {size}",
        claim_key(facts.namespace.name, claim),
        body,
        before,
        changes(before, merged(before, body)),
        ((("spec", "resources", "requests", "storage"), size),),
        why=f"class {found['spec'].get('storageClassName')} allows expansion; a size can never be taken back",
        rights=rights_of("resize", facts.namespace.name),
        version=str(found["metadata"]["resourceVersion"]),
    )
    return Part(steps=(step, wait))


def _fixed(claim: Object, facts: VolumeFacts) -> Part:
    """The refusal where the class does not let its volumes grow."""
    wanted = str(claim["spec"].get("storageClassName") or "")
    if not wanted:
        return refused(
            "NotExpandable",
            f"claim {name(claim)} has no class, and only claims of a class that allows it can grow",
            "load the models to a new, larger claim instead",
        )
    found = facts.storage_class
    if isinstance(found, Unknown):
        return Part(notes=(f"whether class {wanted} allows expansion could not be read; the cluster will say",))
    if found is not None and found.get("allowVolumeExpansion"):
        return Part()
    why = "does not exist any more" if found is None else "does not allow expansion"
    command = f"kubectl patch storageclass {wanted} -p '{{\"allowVolumeExpansion\": true}}'"
    return refused(
        "NotExpandable",
        f"class {wanted} of claim {name(claim)} {why}",
        *([] if found is None else [f"where its driver can, an administrator can: {command}"]),
        "or load the models to a new, larger claim",
    )


def resizing(claim: Object) -> str:
    """What of a resize is still to come, in the claim's own words; "" for nothing."""
    for condition in (claim.get("status") or {}).get("conditions") or ():
        if condition.get("type") in ("Resizing", "FileSystemResizePending") and condition.get("status") == "True":
            return str(condition["type"])
    return ""
