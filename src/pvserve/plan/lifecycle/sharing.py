"""`share CLAIM --to NAMESPACE` and `unshare NAMESPACE/CLAIM`: one volume's data in several namespaces.

Owns these plans. Pure. The volume that is shared carries the list of its shares: written before a share is made and
cleared after it is gone, so that a stopped run never leaves a share that is not counted.
"""

from __future__ import annotations

import json
from typing import Any

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, name
from pvserve.facts.objects import ObjectKey
from pvserve.plan.claim import is_bound
from pvserve.plan.diff import changes
from pvserve.plan.lifecycle.checks import (
    claim_key,
    keeping,
    lacking,
    patch_command,
    plan_of,
    the_claim,
    the_volume,
    volume_key,
    volume_patch,
)
from pvserve.plan.lifecycle.derived import derived_claim, derived_volume, unshareable
from pvserve.plan.lifecycle.same import SHARE_OF, SHARES, shares_of
from pvserve.plan.lifecycle.users import users_of
from pvserve.plan.part import Part, assume, refused, unreadable
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import ApplyObject, Plan
from pvserve.plan.volume_steps import DeleteObject, WaitBound

MCS = "openshift.io/sa.scc.mcs"  # the SELinux level that a namespace's pods run with


def share_plan(claim: str, here: VolumeFacts, wanted: str, there: VolumeFacts) -> Plan:
    """Claim `wanted` of the namespace of `there` gets the data of `claim`, read-only.

    `there.volume` is the derived volume, `there.claim` the claim, where they exist already.
    """
    where = there.namespace.name
    return plan_of(here, _share(claim, here, wanted, there), claim, f"pvserve ls -n {where}")


def _share(claim: str, here: VolumeFacts, wanted: str, there: VolumeFacts) -> Part:
    found = the_claim(here, claim)
    if isinstance(found, Part):
        return found
    volume = the_volume(here, claim)
    if isinstance(volume, Part):
        return _unseen(claim, found, here, there) if isinstance(here.volume, Unknown) else volume
    for bad in (_unfit(claim, found, volume, here, there), unshareable(volume)):
        if bad.refusals:
            return bad
    made = derived_volume(volume, found, there.namespace.name, wanted)
    body = _counted(volume, found, f"{there.namespace.name}/{wanted}")
    command = _command(volume, made, body, there)
    for bad in (lacking(here, "share", command=command), lacking(there, "share-to"), _taken(wanted, there)):
        if bad.refusals:
            return bad
    return _steps(claim, found, volume, body, made, wanted, there)


def _unseen(claim: str, found: Object, here: VolumeFacts, there: VolumeFacts) -> Part:
    why = here.volume.why if isinstance(here.volume, Unknown) else ""
    message = f"volume {found['spec'].get('volumeName')} of claim {claim} may not be looked at: {why}"
    command = f"pvserve share {claim} --to {there.namespace.name} -n {here.namespace.name}"
    return refused("MissingRights", message, f"an administrator can: {command}", code=4)


def _unfit(claim: str, found: Object, volume: Object, here: VolumeFacts, there: VolumeFacts) -> Part:
    where = there.namespace.name
    if there.namespace.object is None:
        return refused("NoSuchNamespace", f"namespace {where} does not exist", "name another with --to")
    if where == here.namespace.name:
        message = f"claim {claim} is in namespace {where} already: pods of it can mount the claim itself"
        return refused("SharedWithItself", message, f"storageUri: pvc://{claim}/PATH", code=2)
    if origin := annotations_of(volume).get(SHARE_OF, ""):
        of = annotations_of(found).get(SHARE_OF, "") or f"the claim of volume {origin}"
        namespace, _, first = of.partition("/")
        message = f"claim {claim} is itself a share of {of}"
        return refused("ClaimIsShare", message, f"pvserve share {first or 'CLAIM'} --to {where} -n {namespace}")
    return Part()


def _taken(wanted: str, there: VolumeFacts) -> Part:
    """The refusal where the claim to be exists and is none of this share."""
    if isinstance(there.claim, Unknown):
        return unreadable(f"claim {wanted}", there.claim)
    derived = there.volume if isinstance(there.volume, dict) else None
    if there.claim is None or (derived is not None and there.claim["spec"].get("volumeName") == name(derived)):
        return Part()
    bound = there.claim["spec"].get("volumeName")
    message = f"claim {wanted} exists in namespace {there.namespace.name} and " + (
        f"has volume {bound}: a second claim of a class is a new, empty volume" if bound else "waits for a volume"
    )
    return refused("ClaimExists", message, f"name another: --name OTHER, or kubectl delete pvc {wanted} if it is empty")


def _counted(volume: Object, claim: Object, share: str) -> dict[str, Any]:
    """The patch that retains the volume and counts the share; empty where it is so already."""
    body = keeping(volume, claim)
    shares = shares_of(volume)
    if share not in shares:
        notes = body.setdefault("metadata", {}).setdefault("annotations", {})
        notes[SHARES] = json.dumps(sorted({*shares, share}))
    return body


def _command(volume: Object, made: Object, body: dict[str, Any], there: VolumeFacts) -> str:
    """What an administrator runs; the claim can then be made by whoever may make claims."""
    parts = [patch_command(volume, body)] if body else []
    if not isinstance(there.volume, dict):
        parts.append(f"kubectl apply -f - <<'EOF'\n{json.dumps(made, indent=1)}\nEOF")
    return "\n".join(parts)


def _steps(
    claim: str, found: Object, volume: Object, body: dict[str, Any], made: Object, wanted: str, there: VolumeFacts
) -> Part:
    where = there.namespace.name
    share = f"{where}/{wanted}"
    part = Part(notes=tuple(_notes(found, volume, there)))
    if body:
        title = f"count {share} as a share on volume {name(volume)}, which is retained"
        why = "the data of several namespaces must not go with one claim"
        part += Part(steps=(volume_patch("count", title, volume, body, why, "share"),))
    derived = there.volume if isinstance(there.volume, dict) else None
    part += _volume(derived, made, share)
    if there.claim is None:
        part += _claim(volume, found, wanted, where)
    elif derived is not None and isinstance(there.claim, dict) and is_bound(there.claim):
        return part + Part(unchanged=(f"claim {share} has the data of claim {claim}, read-only",))
    wait = WaitBound("bound", f"wait until claim {share} has the volume", where, wanted, str(made["metadata"]["name"]))
    return part + Part(steps=(wait,))


def _volume(derived: Object | None, made: Object, share: str) -> Part:
    key = ObjectKey("v1", "PersistentVolume", "", str(made["metadata"]["name"]))
    if derived is None:
        step = ApplyObject(
            "volume",
            f"make volume {key.name} with the same data for claim {share} alone, read-only",
            made,
            changes=changes({}, made),
            why="a claim of the same class would be a new, empty volume",
            rights=rights_of("share", ""),
        )
        return Part(steps=(step,)) + assume(None, key, whole=False)
    reference = derived["spec"].get("claimRef") or {}
    if (derived.get("status") or {}).get("phase") != "Released":
        return Part()
    body = {"spec": {"claimRef": {key: None for key in ("uid", "resourceVersion") if key in reference}}}
    title = f"keep volume {name(derived)} for a new claim {share}"
    return Part(steps=(volume_patch("again", title, derived, body, "the claim that it had was deleted", "share"),))


def _claim(volume: Object, found: Object, wanted: str, where: str) -> Part:
    made = derived_claim(volume, found, where, wanted)
    step = ApplyObject(
        "claim",
        f"make claim {where}/{wanted} for it",
        made,
        changes=changes({}, made),
        why="without a class, and bound to that volume by name",
        rights=rights_of("share-to", where),
    )
    return Part(steps=(step,)) + assume(None, claim_key(where, wanted), whole=False)


def _notes(claim: Object, volume: Object, there: VolumeFacts) -> list[str]:
    notes = []
    if "hostPath" in volume["spec"]:
        notes.append("a hostPath volume cannot be made read-only: KServe mounts models read-only, other pods must too")
    level = annotations_of(there.namespace.object).get(MCS) if isinstance(there.namespace.object, dict) else None
    if level:
        notes.append(
            f"pods of namespace {there.namespace.name} run with SELinux level {level}: files that carry the level of "
            f"namespace {claim['metadata']['namespace']} cannot be read there unless the driver mounts with a context"
        )
    return notes


def unshare_plan(claim: str, there: VolumeFacts, origin: Object | Unknown | None) -> Plan:
    """The share `claim` of the namespace goes: claim, derived volume (`there.volume`), and its count on `origin`."""
    return plan_of(there, _unshare(claim, there, origin), claim)


def _unshare(claim: str, there: VolumeFacts, origin: Object | Unknown | None) -> Part:
    where, derived = there.namespace.name, there.volume
    if isinstance(there.claim, Unknown):
        return unreadable(f"claim {claim}", there.claim)
    if isinstance(derived, Unknown):
        return unreadable(f"the volume of claim {claim}", derived)
    if isinstance(origin, Unknown):
        return unreadable("the volume that is shared", origin)
    if derived is not None and SHARE_OF not in annotations_of(derived):
        return _no_share(claim, where)
    if derived is None and there.claim is not None:
        return _no_share(claim, where)
    used = users_of(claim, there.users) if there.claim is not None else ()
    if isinstance(used, Part):
        return used
    if used:
        message = f"claim {claim} is used by {'; '.join(used)}"
        return refused("ClaimInUse", message, "delete or repoint what uses it, then run the same command again")
    denied = lacking(there, "unshare")
    return denied if denied.refusals else _undone(f"{where}/{claim}", there, derived, origin)


def _no_share(claim: str, where: str) -> Part:
    message = f"claim {claim} of namespace {where} is no share"
    return refused("NotAShare", message, f"to give up a claim and keep its data: pvserve release {claim} -n {where}")


def _undone(share: str, there: VolumeFacts, derived: Object | None, origin: Object | None) -> Part:
    where, _, claim = share.partition("/")
    part, rights = Part(), rights_of("unshare", where)
    if isinstance(there.claim, dict):
        uid = str(there.claim["metadata"]["uid"])
        why = "nothing uses it; the data is another claim's"
        part += Part(steps=(DeleteObject("claim", f"delete claim {share}", claim_key(where, claim), uid, why, rights),))
    if derived is not None:
        uid = str(derived["metadata"]["uid"])
        title, why = (
            f"delete volume {name(derived)}",
            "it only points to the data, and is retained: no byte goes with it",
        )
        part += Part(steps=(DeleteObject("volume", title, volume_key(derived), uid, why, rights),))
    if origin is not None and share in shares_of(origin):
        left = [item for item in shares_of(origin) if item != share]
        body = {"metadata": {"annotations": {SHARES: json.dumps(left) if left else None}}}
        title = f"count {share} no longer on volume {name(origin)}"
        part += Part(steps=(volume_patch("count", title, origin, body, "the share is gone", "unshare"),))
    return part if part.steps else Part(unchanged=(f"namespace {where} has no share {claim}",))
