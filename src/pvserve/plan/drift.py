"""How the cluster differs from a model file: what is missing, what was edited, which content lies at the path.

Owns which differences count: fields that pvserve writes or the file states, and never 0 where something is unknown.
Pure: made from the same plan that `deploy` would carry out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from pvserve.facts import Facts, Object, Unknown, name, ref
from pvserve.model import Listing
from pvserve.plan.claim import RETAIN, access_modes, existing_copy, recorded_models, retain_class
from pvserve.plan.diff import changes, merged
from pvserve.plan.in_place import BEFORE
from pvserve.plan.steps import ApplyObject, Change, Load, PatchObject, Plan, Refusal
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place
from pvserve.spec.quantity import parse_quantity
from pvserve.spec.remote import is_remote

DRIFT_EXIT, UNKNOWN_EXIT = 9, 10
OTHER_CONTENT, NO_CLAIM = "PathOccupied", "NoSuchClaim"
_NOTE = "before"  # id of the step that notes what `rollback` goes back to


@dataclass(frozen=True)
class Difference:
    """One object, or the content at a place; changes go from what the cluster has to what the file says."""

    subject: str
    kind: Literal["missing", "changed", "content"]
    changes: tuple[Change, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Drift:
    """All that differs, all that could not be compared, and what is as the file says."""

    namespace: str
    service: str
    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()  # why it cannot be said what the cluster should be like

    @property
    def exit_code(self) -> int:
        """9 where something differs, else 10 where something is unknown, else 0."""
        return DRIFT_EXIT if self.differences else UNKNOWN_EXIT if self.unknown else 0


def drift_of(spec: ModelSpec, facts: Facts, plan: Plan, listing: Listing | None) -> Drift:
    """The difference between the cluster and the spec, from the plan that would take it away.

    The plan must be made with all rights taken for given, and without a dry run.
    """
    content, unknown = _content(spec, facts, plan, listing)
    # A source that only a pod can list has no listing here, so that no plan makes its claim.
    gone = {NO_CLAIM} if is_remote(spec.model) and facts.claim.object is None else set()
    claim = (Difference(f"claim {spec.claim.name}", "missing"),) if gone else _claim(spec, facts)
    found = (*claim, *_objects(plan), *content)
    return Drift(
        plan.namespace,
        plan.service,
        found,
        (*unknown, *_unread(spec, facts)),
        plan.unchanged,
        tuple(item for item in plan.refusals if item.reason not in {OTHER_CONTENT, *gone}),
    )


def _objects(plan: Plan) -> Iterator[Difference]:
    """What the plan makes is missing; what it writes anew was edited."""
    patched: dict[Any, tuple[Object, Any]] = {}
    for step in plan.steps:
        if isinstance(step, ApplyObject) and step.id != _NOTE:
            subject = f"claim {name(step.object)}" if step.id == "claim" else ref(step.object)
            if step.before is None:
                yield Difference(subject, "missing", why=step.why if step.id == "class" else "")
            else:
                yield Difference(subject, "changed", _without_note(step.changes))
        elif isinstance(step, PatchObject):
            before, after = patched.get(step.target, (step.before or {}, step.before or {}))
            patched[step.target] = before, merged(after, step.patch)
    for target, (before, after) in patched.items():
        yield Difference(str(target), "changed", _without_note(changes(before, after)))


def _without_note(found: tuple[Change, ...]) -> tuple[Change, ...]:
    """That a way back is noted on the service is no difference."""
    return tuple(item for item in found if item.path[-1:] != (BEFORE,))


def _claim(spec: ModelSpec, facts: Facts) -> Iterator[Difference]:
    """What the file states of a claim that exists and plans leave as it is, and the fate of its data."""
    live = facts.claim.object
    if not isinstance(live, dict):
        return
    found = tuple(_stated(spec, facts, live))
    if found:
        yield Difference(f"claim {spec.claim.name}", "changed", found)
    volume = facts.claim.volume
    policy = volume["spec"].get("persistentVolumeReclaimPolicy") if isinstance(volume, dict) else RETAIN
    if spec.claim.retain != "no" and spec.model and policy != RETAIN and isinstance(volume, dict):
        path = ("spec", "persistentVolumeReclaimPolicy")
        yield Difference(
            f"PersistentVolume {name(volume)}", "changed", (Change("change", path, policy, RETAIN),),
            "the data would go with the claim",
        )  # fmt: skip


def _stated(spec: ModelSpec, facts: Facts, live: Object) -> Iterator[Change]:
    wanted, size = spec.claim, str(live["spec"]["resources"]["requests"]["storage"])
    if wanted.size and parse_quantity(wanted.size) != parse_quantity(size):
        yield Change("change", ("spec", "resources", "requests", "storage"), size, wanted.size)
    live_class = str(live["spec"].get("storageClassName") or "")
    if wanted.storage_class and live_class not in _classes(wanted.storage_class, facts):
        yield Change("change", ("spec", "storageClassName"), live_class, wanted.storage_class)
    modes = access_modes(live)
    if wanted.access_mode and wanted.access_mode not in modes:
        yield Change("change", ("spec", "accessModes"), list(modes), [wanted.access_mode])


def _classes(wanted: str, facts: Facts) -> set[str]:
    """The class itself, and the Retain copy that stands for it."""
    listed = () if isinstance(facts.storage_classes, Unknown) else facts.storage_classes
    origin = next((item for item in listed if name(item) == wanted), None)
    copy = retain_class(origin) if origin is not None else None
    there = existing_copy(copy, listed) if copy is not None else None
    return {wanted, f"{wanted}-retain"} | {name(item) for item in (copy, there) if item is not None}


def _content(
    spec: ModelSpec, facts: Facts, plan: Plan, listing: Listing | None
) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """The model at the path: as recorded on the claim, against the source."""
    place = Place(spec.claim.name, plan.path)
    live = facts.claim.object if isinstance(facts.claim.object, dict) else None
    recorded = recorded_models(live).get(plan.path, {})
    if not spec.model:
        unseen = f"what lies at {place}: pvserve loaded nothing there; pvserve verify {place} looks at the volume"
        return ((), (unseen,)) if live is not None and not recorded else ((), ())
    if is_remote(spec.model):
        if not recorded:
            return (Difference(str(place), "missing", why="no load to it is recorded on the claim"),), ()
        return (), (f"whether {spec.model} still holds what lies at {place}: only a pod can ask it; pvserve plan does",)
    occupied = next((item.message for item in plan.refusals if item.reason == OTHER_CONTENT), "")
    if occupied:
        return (Difference(str(place), "content", why=occupied),), ()
    load = next((step for step in plan.steps if isinstance(step, Load)), None)
    if load is None:
        return (), ()
    if not recorded:
        return (Difference(str(place), "missing", why="no load to it is recorded on the claim"),), ()
    if load.manifest_digest:
        change = Change("change", ("manifest",), recorded.get("manifest"), load.manifest_digest)
        return (Difference(str(place), "content", (change,)),), ()
    counted = (listing.bytes, len(listing.entries)) if listing is not None else None
    if counted is not None and counted != (recorded.get("bytes"), recorded.get("files")):
        sizes = tuple(
            Change("change", (key,), recorded.get(key), now)
            for key, now in zip(("bytes", "files"), counted, strict=True)
            if recorded.get(key) != now
        )
        return (Difference(str(place), "content", sizes),), ()
    how = "--checksum reads every byte of it" if listing is not None else "nothing is recorded of it"
    return (), (f"whether the content of {load.source} is that of {place}: its digests are not known here; {how}",)


def _unread(spec: ModelSpec, facts: Facts) -> Iterator[str]:
    """What the comparison leaves out because it could not be read."""
    if isinstance(facts.service, dict) and facts.service["metadata"].get("deletionTimestamp"):
        yield f"InferenceService {spec.name}: it is being deleted"
    if isinstance(facts.origin_runtime, Unknown):
        yield f"the runtime that {spec.name} is made from: {facts.origin_runtime.why}"
    volume = facts.claim.volume
    if (
        spec.claim.retain != "no"
        and spec.model
        and isinstance(facts.claim.object, dict)
        and isinstance(volume, Unknown)
    ):
        yield f"whether the volume of claim {spec.claim.name} is retained: {volume.why}"


def with_volume(drift: Drift, subject: str, evidence: str, result: Literal["passed", "failed", "unknown"]) -> Drift:
    """The drift with what was seen on the volume itself."""
    if result == "failed":
        return replace(drift, differences=(*drift.differences, Difference(subject, "content", why=evidence)))
    if result == "unknown":
        return replace(drift, unknown=(*drift.unknown, f"what lies at {subject}: {evidence}"))
    return replace(drift, same=(*drift.same, f"{subject}: {evidence}"))
