"""`rm pvc://CLAIM/PATH`: a model that nobody uses goes from its claim.

Owns this plan, and who keeps a model. Pure. Whether pvserve put there what lies at the path is decided by the manifest
on the volume, in the pod that removes it.
"""

from __future__ import annotations

from pvserve.facts import Object, Unknown, VolumeFacts, annotations_of, known, name
from pvserve.plan.claim import access_modes, recorded_models
from pvserve.plan.lifecycle.checks import lacking, plan_of, the_claim
from pvserve.plan.lifecycle.looking_in import image_for, tending_pod
from pvserve.plan.lifecycle.same import SHARE_OF, holder_of, shares_of
from pvserve.plan.lifecycle.users import users_of_place
from pvserve.plan.part import Part, refused, unreadable
from pvserve.plan.rights import rights_of
from pvserve.plan.steps import Plan
from pvserve.plan.volume_steps import RemoveModel
from pvserve.spec.place import Place, overlap


def remove_plan(
    place: Place, facts: VolumeFacts, *, typed: str = "", everything: bool = False, image: str = ""
) -> Plan:
    """What lies at the place goes, with its records; with `everything` also what was replaced there.

    `typed` is the path as `--name` gave it, "" where it did not.
    """
    return plan_of(facts, _remove(place, facts, typed, everything, image), place.claim)


def _remove(place: Place, facts: VolumeFacts, typed: str, everything: bool, image: str) -> Part:
    if typed and typed != place.path:
        message = f"--name says {typed}, and the path is {place.path}"
        return refused("NameDiffers", message, f"pvserve rm {place} --name {place.path} -n {facts.namespace.name}")
    claim = the_claim(facts, place.claim)
    if isinstance(claim, Part):
        return claim
    for bad in (_unfit(place, claim, facts), kept_by(place, facts), lacking(facts, "rm")):
        if bad.refusals:
            return bad
    chosen = image_for(image, facts.loader_image, facts.users)
    if isinstance(chosen, Part):
        return chosen
    step = RemoveModel(
        "rm",
        f"remove {place}" + (" and what was replaced there" if everything else ""),
        place.claim,
        str(claim["metadata"]["uid"]),
        place.path,
        tending_pod(claim, facts.namespace, facts.users, chosen, str(place), read_only=False),
        named=bool(typed),
        everything=everything,
        why="no pod and no service uses it",
        rights=rights_of("rm", facts.namespace.name),
    )
    return Part(steps=(step,), notes=tuple(_notes(place, claim, facts, typed)))


def _notes(place: Place, claim: Object, facts: VolumeFacts, typed: str) -> list[str]:
    notes = []
    if isinstance(facts.neighbours, Unknown):
        notes.append(f"users in other namespaces were not looked for: {facts.neighbours.why}")
    if place.path not in recorded_models(claim) and not typed:
        notes.append(f"the record on claim {place.claim} does not name it: it goes if a manifest on the volume does")
    return notes


def _unfit(place: Place, claim: Object, facts: VolumeFacts) -> Part:
    volume = facts.volume if isinstance(facts.volume, dict) else None
    origin = annotations_of(claim).get(SHARE_OF, "")
    if origin:
        where, _, of = origin.partition("/")
        message = f"claim {place.claim} is a read-only share of claim {origin}"
        return refused("ClaimIsShare", message, f"pvserve rm pvc://{of}/{place.path} -n {where}")
    if not claim["spec"].get("volumeName"):
        message = f"claim {place.claim} is not bound to a volume yet, so nothing lies on it"
        return refused("ClaimUnbound", message, f"kubectl describe pvc {place.claim} -n {facts.namespace.name}")
    if access_modes(claim) == ("ReadOnlyMany",):
        return refused("ClaimReadOnly", f"claim {place.claim} can only be read", "name the claim that it is a copy of")
    shared = still_shared(volume, place.claim) if volume is not None else Part()
    if shared.refusals:
        return shared
    recorded = recorded_models(claim)
    inside = [path for path in recorded if path != place.path and overlap(path, place.path)]
    if place.path in recorded:  # a model that came to lie inside another one may leave it
        inside = [path for path in inside if path.startswith(f"{place.path}/")]
    if inside:
        return refused(
            "PathHoldsModels",
            f"{place} cannot go alone: model {', '.join(sorted(inside))} lies above or below it",
            *(f"pvserve rm {Place(place.claim, path)} -n {facts.namespace.name}" for path in sorted(inside)),
        )
    return Part()


def still_shared(volume: Object, claim: str) -> Part:
    """The refusal where other namespaces read the same data through shares."""
    shares = shares_of(volume)
    if not shares:
        return Part()
    return refused(
        "ClaimShared",
        f"the data of claim {claim} is shared with {', '.join(shares)}",
        *(f"pvserve unshare {share}" for share in shares),
    )


def kept_by(place: Place, facts: VolumeFacts) -> Part:
    """The refusal where somebody uses what lies at the place, also through another volume with the same data."""
    used = users_of_place(place.claim, place.path, facts.users)
    if isinstance(used, Part):
        return used
    for neighbour in known(facts.neighbours, ()):
        where, claim = holder_of(neighbour.volume)
        if not claim:
            continue
        for seen in (neighbour.users.pods, neighbour.users.services):
            if isinstance(seen, Unknown):
                return unreadable(
                    f"who uses the same data in namespace {where} (volume {name(neighbour.volume)})", seen
                )
        there = users_of_place(claim, place.path, neighbour.users)
        used += there if not isinstance(there, Part) else ()
    if not used:
        return Part()
    return refused(
        "ModelInUse",
        f"{place} is used by {'; '.join(used)}",
        "delete or repoint what uses it, then run the same command again",
    )
