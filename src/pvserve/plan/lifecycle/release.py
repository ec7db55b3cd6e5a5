"""`release CLAIM`: the claim goes, its volume and the data on it stay.

Owns this plan. Pure. Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retain
"""

from __future__ import annotations

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, name
from pvserve.plan.claim import RETAIN
from pvserve.plan.lifecycle.checks import (
    POLICY,
    both,
    keeping,
    lacking,
    patch_command,
    plan_of,
    volume_patch,
)
from pvserve.plan.lifecycle.removing import still_shared
from pvserve.plan.lifecycle.same import SHARE_OF
from pvserve.plan.lifecycle.users import users_of
from pvserve.plan.part import Part, refused
from pvserve.plan.retain import PATCH_VOLUME
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import NotDone, Plan
from pvserve.plan.volume_steps import ReleaseClaim


def release_plan(claim: str, facts: VolumeFacts) -> Plan:
    """Retain where it is not set, then the claim is deleted; afterwards the volume waits to be adopted."""
    part = _release(claim, facts)
    volume = name(facts.volume) if isinstance(facts.volume, dict) else "VOLUME"
    return plan_of(facts, part, claim, f"pvserve adopt {volume} --claim {claim} -n {facts.namespace.name}")


def _release(claim: str, facts: VolumeFacts) -> Part:
    pair = both(facts, claim, lambda _found, _part: _unseen(claim, facts))
    if isinstance(pair, Part):
        return pair
    found, volume = pair
    shared = apart(found, volume)
    if shared.refusals:
        return shared
    used = in_use(claim, facts)
    denied = used if used.refusals else lacking(facts, "release")
    if denied.refusals:
        return denied
    kept = _keep(found, volume, facts)
    if kept.refusals:
        return kept
    step = ReleaseClaim(
        "release",
        f"delete claim {claim}; volume {name(volume)} stays with its data",
        claim,
        str(found["metadata"]["uid"]),
        name(volume),
        why=f"nothing uses it, and volume {name(volume)} is retained",
        rights=rights_of("release", facts.namespace.name),
    )
    return kept + Part(steps=(step,))


def _unseen(claim: str, facts: VolumeFacts) -> Part:
    """A claim that was never bound has no data to keep, and needs no pvserve; one whose volume is unseen has."""
    if facts.volume is None:
        return refused(
            "ClaimUnbound",
            f"claim {claim} is not bound to a volume yet, so there is no data to keep",
            f"kubectl delete pvc {claim} -n {facts.namespace.name}",
        )
    volume = str(facts.claim["spec"].get("volumeName") or "") if isinstance(facts.claim, dict) else ""
    why = facts.volume.why if isinstance(facts.volume, Unknown) else ""
    return refused(
        "Unreadable",
        f"whether volume {volume} keeps its data could not be read: {why}",
        f'an administrator can: kubectl patch pv {volume} --type merge -p \'{{"spec":{{"{POLICY}":"{RETAIN}"}}}}\'',
        f"and then: kubectl delete pvc {claim} -n {facts.namespace.name}",
        code=4,
    )


def _keep(claim: Object, volume: Object, facts: VolumeFacts) -> Part:
    """Retain first; the note of what the volume holds is wanted, not needed."""
    body = keeping(volume, claim)
    if not body:
        return Part(unchanged=(f"volume {name(volume)} is retained already",))
    if facts.rights.get(PATCH_VOLUME) is False:
        if "spec" in body:
            return lacking(facts, "retain", command=patch_command(volume, body))
        what = f"note on volume {name(volume)} which models it holds"
        return Part(not_done=(NotDone(what, f"you may not {PATCH_VOLUME}", patch_command(volume, body)),))
    title = f"keep volume {name(volume)} when claim {name(claim)} goes"
    why = f"its policy {volume['spec'].get(POLICY)} would take the data with the claim"
    if "spec" not in body:
        title, why = f"note on volume {name(volume)} which models it holds", "the claim's own record goes with it"
    return Part(steps=(volume_patch("retain", title, volume, body, why),))


def apart(claim: Object, volume: Object) -> Part:
    """The refusal of a share, and of a claim whose data other namespaces read."""
    where, origin = claim["metadata"]["namespace"], annotations_of(claim).get(SHARE_OF, "")
    if origin:
        message = f"claim {name(claim)} is a read-only share of claim {origin}"
        return refused("ClaimIsShare", message, f"pvserve unshare {where}/{name(claim)}")
    return still_shared(volume, name(claim))


def in_use(claim: str, facts: VolumeFacts) -> Part:
    """The refusal where somebody uses the claim."""
    used = users_of(claim, facts.users)
    if isinstance(used, Part):
        return used
    if not used:
        return Part()
    return refused(
        "ClaimInUse",
        f"claim {claim} is used by {'; '.join(used)}",
        "delete or repoint what uses it, then run the same command again",
    )
