"""`gc`: what nobody refers to any more is listed, and what pvserve alone made of it goes.

Owns this plan. Pure. Models, claims, volumes and classes are only named: each goes by a command that names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pvserve.facts import (
    Contents,
    LeftoverFacts,
    Object,
    PartialRow,
    ReplacedRow,
    Unknown,
    annotations_of,
    known,
    labels,
    name,
)
from pvserve.facts.objects import ObjectKey
from pvserve.plan.claim import access_modes, is_bound, recorded_models
from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.in_place import record_name
from pvserve.plan.lifecycle.looking_in import image_for, tending_pod
from pvserve.plan.lifecycle.same import SHARE_OF, holder_of
from pvserve.plan.lifecycle.users import ENDED, OWN_PODS, users_of_place
from pvserve.plan.part import Part, refused
from pvserve.plan.rights import required, rights_of, role_text
from pvserve.plan.steps import NotDone, Plan
from pvserve.plan.volume_steps import DeleteObject, SweepVolume, Swept
from pvserve.spec.place import SCHEME, parse_place

STUCK = timedelta(minutes=10)  # a client waits 5 for its pod to start
PLACE = "pvserve.io/place"  # annotation of a Lease


def gc_plan(facts: LeftoverFacts, older_than: timedelta, image: str = "") -> Plan:
    """All leftovers of a namespace; partial transfers only once nothing was written to them for `older_than`."""
    part = _all(facts, older_than, image)
    return Plan(
        namespace=facts.namespace.name,
        service="",
        claim="",
        path="",
        steps=() if part.refusals else part.steps,
        unchanged=part.unchanged,
        refusals=part.refusals,
        not_done=part.not_done,
        notes=part.notes,
    )


def _all(facts: LeftoverFacts, older_than: timedelta, image: str) -> Part:
    where = facts.namespace.name
    if facts.namespace.object is None:
        return refused("NoSuchNamespace", f"namespace {where} does not exist", "name another with -n")
    part = Part()
    for claim in sorted(facts.claims, key=name):
        part += _claim(claim, facts, older_than, image)
    part += Part(steps=(*_pods(facts), *_leases(facts), *_records(facts)))
    part += Part(not_done=(*_volumes(facts), *_classes(facts)), notes=tuple(_unknown(facts)))
    wanted = required(("gc",), where)
    missing = [right for right in wanted if part.steps and facts.rights.get(right) is False]
    if missing:
        message = f"you may not {'; '.join(map(str, missing))}"
        give = f"give the rights with: kubectl apply -f - <<'EOF'\n{role_text(wanted)}\nEOF"
        return refused("MissingRights", message, give, code=4)
    return part


def worth_a_look(claim: Object, leases: tuple[Object, ...] | Unknown) -> bool:
    """Whether something of pvserve's may lie on the claim, and whether a pod can write there."""
    if not is_bound(claim) or SHARE_OF in annotations_of(claim) or access_modes(claim) == ("ReadOnlyMany",):
        return False
    return bool(recorded_models(claim)) or any(place_of(lease)[0] == name(claim) for lease in known(leases, ()))


def place_of(lease: Object) -> tuple[str, str]:
    """Claim and path that the Lease is about, "" where it does not say."""
    text = annotations_of(lease).get(PLACE, "")
    if not text.startswith(SCHEME):
        return "", ""
    place = parse_place(text)
    return place.claim, place.path


def _claim(claim: Object, facts: LeftoverFacts, older_than: timedelta, image: str) -> Part:
    found = facts.contents.get(name(claim))
    part = Part(not_done=tuple(_unused(claim, facts)))
    if isinstance(found, Unknown):
        why = f"what lies below .pvserve/ was not looked at: {found.why}"
        command = f"pvserve gc {name(claim)} -n {facts.namespace.name}"
        return part + Part(not_done=(NotDone(f"claim {name(claim)}", why, command),))
    if found is None:
        return part
    swept, kept = _sweepable(claim, found, facts, older_than)
    part += Part(unchanged=tuple(kept))
    if not swept:
        return part
    chosen = image_for(image, facts.loader_image, facts.users)
    if isinstance(chosen, Part):
        return part + chosen
    size = sum(item.bytes for item in swept)
    step = SweepVolume(
        f"sweep-{name(claim)}",
        f"remove {len(swept)} leftovers from claim {name(claim)}: {size} bytes",
        name(claim),
        tending_pod(claim, facts.namespace, facts.users, chosen, f"gc {name(claim)}", read_only=False),
        tuple(swept),
        why="no model needs them, and nobody writes there",
        rights=rights_of("gc", facts.namespace.name),
    )
    return part + Part(steps=(step,))


def _sweepable(
    claim: Object, found: Contents, facts: LeftoverFacts, older_than: timedelta
) -> tuple[list[Swept], list[str]]:
    """What goes of a claim, and what stays with the reason."""
    places = {
        hashlib.sha256(path.encode()).hexdigest()[:16]: (path, lease)
        for lease in known(facts.leases, ())
        for of, path in [place_of(lease)]
        if of == name(claim)
    }
    swept, kept = [], []
    for partial in found.partials:
        path, lease = places.get(partial.name.partition("-")[0], ("", None))
        why = _why_kept(partial, lease, facts, older_than)
        title = f"partial transfer to {SCHEME}{name(claim)}/{path or '(unknown)'}, {partial.bytes} bytes"
        if why:
            kept.append(f"{title}: {why}")
        else:
            swept.append(Swept("partial", title, path, partial.name, "", partial.bytes))
    swept += [
        Swept("replaced", _replaced_title(claim, row), row.path, row.name, row.key, row.bytes) for row in found.replaced
    ]
    return swept, kept


def _replaced_title(claim: Object, row: ReplacedRow) -> str:
    seconds = row.name.partition("-")[0]
    when = f" at {datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M}" if seconds.isdigit() else ""
    return f"what was replaced at {SCHEME}{name(claim)}/{row.path or row.key}{when}, {row.bytes} bytes"


def _why_kept(partial: PartialRow, lease: Object | None, facts: LeftoverFacts, older_than: timedelta) -> str:
    if isinstance(facts.leases, Unknown):
        return f"whether somebody writes to it could not be read: {facts.leases.why}"
    if lease is not None and held(lease, facts.now):
        return f"{lease['spec']['holderIdentity']} writes to it"
    if partial.age_seconds < older_than.total_seconds():
        hours = older_than.total_seconds() / 3600
        return f"last written to {partial.age_seconds} s ago, and kept for {hours:g} h: the same load goes on from it"
    return ""


def held(lease: Object, now: datetime) -> bool:
    """Whether a writer may live; one whose Lease has expired is watched once more before anything goes."""
    spec = lease["spec"]
    if not spec.get("holderIdentity"):
        return False
    renewed = datetime.fromisoformat(str(spec["renewTime"]).replace("Z", "+00:00"))
    return now - renewed <= timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0))


def _unused(claim: Object, facts: LeftoverFacts) -> Iterator[NotDone]:
    for path in sorted(recorded_models(claim)):
        used = users_of_place(name(claim), path, facts.users)
        if isinstance(used, tuple) and not used and SHARE_OF not in annotations_of(claim):
            place = f"{SCHEME}{name(claim)}/{path}"
            why = "no service and no pod uses it; a model goes only by its name"
            yield NotDone(f"model {place}", why, f"pvserve rm {place} -n {facts.namespace.name}")


def _pods(facts: LeftoverFacts) -> Iterator[DeleteObject]:
    for pod in known(facts.users.pods, ()):
        if not any(word in labels(pod) for word in OWN_PODS) or pod["metadata"].get("deletionTimestamp"):
            continue
        phase = str((pod.get("status") or {}).get("phase") or "Pending")
        age = facts.now - datetime.fromisoformat(str(pod["metadata"]["creationTimestamp"]).replace("Z", "+00:00"))
        if phase in ENDED:
            yield _delete(pod, "v1", "Pod", facts, f"it has ended ({phase})")
        elif phase == "Pending" and age > STUCK:
            yield _delete(pod, "v1", "Pod", facts, f"it has not started in {int(age.total_seconds() // 60)} minutes")


def _leases(facts: LeftoverFacts) -> Iterator[DeleteObject]:
    """Of claims that are gone. While a Released volume may become that claim again, its Lease counts its writers."""
    if isinstance(facts.volumes, Unknown):
        return
    claims = {name(claim) for claim in facts.claims}
    waiting = {holder_of(volume) for volume in facts.volumes}
    for lease in known(facts.leases, ()):
        claim = place_of(lease)[0]
        if not claim or claim in claims or (facts.namespace.name, claim) in waiting or held(lease, facts.now):
            continue
        yield _delete(lease, "coordination.k8s.io/v1", "Lease", facts, f"claim {claim} does not exist any more")


def _records(facts: LeftoverFacts) -> Iterator[DeleteObject]:
    if isinstance(facts.users.services, Unknown):
        return
    wanted = {record_name(name(service)) for service in facts.users.services}
    for record in known(facts.records, ()):
        if name(record).startswith(record_name("")) and name(record) not in wanted:
            service = name(record).removeprefix(record_name(""))
            yield _delete(record, "v1", "ConfigMap", facts, f"service {service} does not exist any more")


def _delete(found: Object, api: str, kind: str, facts: LeftoverFacts, why: str) -> DeleteObject:
    key = ObjectKey(api, kind, facts.namespace.name, name(found))
    rights = rights_of("gc", facts.namespace.name)
    return DeleteObject(f"{kind}-{key.name}", f"delete {key}", key, str(found["metadata"]["uid"]), why, rights)


def _volumes(facts: LeftoverFacts) -> Iterator[NotDone]:
    for volume in known(facts.volumes, ()):
        where, claim = holder_of(volume)
        if (volume.get("status") or {}).get("phase") != "Released" or where != facts.namespace.name:
            continue
        if SHARE_OF in annotations_of(volume):
            why = "the claim of this share was deleted, and it is still counted"
            yield NotDone(f"volume {name(volume)}", why, f"pvserve unshare {where}/{claim}")
        elif models := recorded_models(volume):
            why = f"it is Released and holds {', '.join(sorted(models))}"
            yield NotDone(f"volume {name(volume)}", why, f"pvserve adopt {name(volume)} --claim {claim} -n {where}")


def _classes(facts: LeftoverFacts) -> Iterator[NotDone]:
    if isinstance(facts.volumes, Unknown):
        return
    used = {str(item["spec"].get("storageClassName") or "") for item in (*facts.volumes, *facts.claims)}
    for item in known(facts.classes, ()):
        if labels(item).get(MANAGED_BY) == "pvserve" and name(item) not in used:
            why = "pvserve made it, and no volume has it"
            yield NotDone(f"class {name(item)}", why, f"kubectl delete storageclass {name(item)}")


def _unknown(facts: LeftoverFacts) -> Iterator[str]:
    for what, found in (
        ("pods that are left", facts.users.pods),
        ("services, and so models without a user", facts.users.services),
        ("Leases", facts.leases),
        ("records of services", facts.records),
        ("Released volumes, classes and Leases of claims that are gone", facts.volumes),
    ):
        if isinstance(found, Unknown):
            yield f"{what} were not looked for: {found.why}"
