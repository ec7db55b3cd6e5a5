"""`retain CLAIM`: the data outlives the claim; and back.

Owns these plans. Pure. Source: https://kubernetes.io/docs/tasks/administer-cluster/change-pv-reclaim-policy/
"""

from __future__ import annotations

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, name
from pvserve.plan.claim import RETAIN
from pvserve.plan.lifecycle.checks import (
    BEFORE_POLICY,
    POLICY,
    both,
    keeping,
    lacking,
    patch_command,
    plan_of,
    volume_patch,
)
from pvserve.plan.lifecycle.removing import still_shared
from pvserve.plan.part import Part, refused
from pvserve.plan.steps import Plan


def retain_plan(claim: str, facts: VolumeFacts) -> Plan:
    """Sets Retain on the volume that the claim is bound to; the policy it had is noted on it for `--undo`."""
    return plan_of(facts, _retain(claim, facts), claim)


def _retain(claim: str, facts: VolumeFacts) -> Part:
    pair = both(facts, claim, lambda found, part: _whose(part, found, facts))
    if isinstance(pair, Part):
        return pair
    found, volume = pair
    body = keeping(volume, found)
    if not body:
        return Part(unchanged=(f"volume {name(volume)} is retained already",))
    denied = lacking(facts, "retain", command=patch_command(volume, body))
    if denied.refusals:
        return denied
    title = f"keep volume {name(volume)} when claim {claim} goes"
    why = f"its policy {volume['spec'].get(POLICY)} would take the data with the claim"
    if volume["spec"].get(POLICY) == RETAIN:
        title, why = f"note on volume {name(volume)} which models it holds", "it is retained already, its claim may go"
    return Part(steps=(volume_patch("retain", title, volume, body, why),))


def _whose(part: Part, claim: Object, facts: VolumeFacts) -> Part:
    """Who may not look at volumes can still be told which one it is."""
    volume = str(claim["spec"].get("volumeName") or "")
    if not volume or not isinstance(facts.volume, Unknown):
        return part
    command = f'kubectl patch pv {volume} --type merge -p \'{{"spec":{{"{POLICY}":"{RETAIN}"}}}}\''
    message = f"volume {volume} of claim {name(claim)} cannot be set to {RETAIN}: {facts.volume.why}"
    return refused("MayNotRetain", message, f"an administrator can: {command}", code=4)


def undo_retain_plan(claim: str, facts: VolumeFacts) -> Plan:
    """Gives the volume the policy back that `retain` replaced."""
    return plan_of(facts, _undo(claim, facts), claim)


def _undo(claim: str, facts: VolumeFacts) -> Part:
    pair = both(facts, claim)
    if isinstance(pair, Part):
        return pair
    _, volume = pair
    shared = still_shared(volume, claim)
    if shared.refusals:
        return shared
    before = annotations_of(volume).get(BEFORE_POLICY, "")
    policy = str(volume["spec"].get(POLICY, ""))
    if not before:
        if policy != RETAIN:
            return Part(unchanged=(f"volume {name(volume)} has policy {policy}",))
        return refused(
            "NotRetainedByUs",
            f"volume {name(volume)} is retained, and not by pvserve: what its policy was before is not noted on it",
            f'kubectl patch pv {name(volume)} --type merge -p \'{{"spec":{{"{POLICY}":"Delete"}}}}\'',
        )
    body = {"metadata": {"annotations": {BEFORE_POLICY: None}}, "spec": {POLICY: before}}
    denied = lacking(facts, "retain", command=patch_command(volume, body))
    if denied.refusals:
        return denied
    title = f"give volume {name(volume)} its policy {before} back"
    note = f"when claim {claim} is deleted from now on, its data goes with it" if before == "Delete" else ""
    step = volume_patch("undo", title, volume, body, "it had this policy before pvserve retained it")
    return Part(steps=(step,), notes=(note,) if note else ())
