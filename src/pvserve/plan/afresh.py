"""A plan for files: they hold all of a model, also what the cluster has of it by now.

Owns which live objects belong to a model's files, so that rendering again drops nothing from them. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from pvserve.facts import Facts, Object, annotations_of, known, name
from pvserve.plan.claim import new_claim
from pvserve.plan.copies import content
from pvserve.plan.edit_service import made_by_pvserve
from pvserve.plan.part import Part
from pvserve.plan.retain import Keeping
from pvserve.plan.steps import ApplyObject, Change, PatchObject, Step
from pvserve.spec.model import ModelSpec

FILES = "files"  # among the goals of a plan
MADE_FOR = "pvserve.io/made-for"  # on a claim the service, on a class the namespace, in whose files it is
# Of a chart it is the service's own name (docs/rendering.md). Source: helm/pkg/action/validate.go
HELM_RELEASE = "meta.helm.sh/release-name"


def marked(keeping: Keeping, service: str, namespace: str) -> Keeping:
    """`keeping` whose claim and class are noted to be made for `service`."""
    owners = {"claim": service, "class": namespace}  # models of a run make the same class

    def noted(step: Step) -> Step:
        if not isinstance(step, ApplyObject) or step.id not in owners:
            return step
        change = Change("add", ("metadata", "annotations", MADE_FOR), None, owners[step.id])
        return replace(step, object=_marked(step.object, owners[step.id]), changes=(*step.changes, change))

    return replace(keeping, before=replace(keeping.before, steps=tuple(map(noted, keeping.before.steps))))


def without_own(spec: ModelSpec, facts: Facts) -> Facts:
    """`facts` as if the model's service and runtime were not there; what others made of that name stays in the way."""
    if spec.in_place or not (spec.origin or spec.runtime or spec.format):
        return facts  # the service is what the plan starts from
    service, runtime = facts.service, facts.runtime
    return replace(
        facts,
        service=None if isinstance(service, dict) and _own(service) else service,
        runtime=None if isinstance(runtime, dict) and _own(runtime) else runtime,
    )


def with_own_claim_written(spec: ModelSpec, facts: Facts, keeping: Keeping) -> Keeping:
    """`keeping` with the claim and the class that were made for the model, as they are."""
    live = facts.claim.object
    if keeping.before.refusals or not isinstance(live, dict) or annotations_of(live).get(MADE_FOR) != spec.name:
        return keeping
    wanted = live["spec"]
    storage_class = str(wanted.get("storageClassName") or "")
    size = str(wanted["resources"]["requests"]["storage"])
    claim = new_claim(name(live), facts.namespace.name, storage_class, str(wanted["accessModes"][0]), size)
    steps: tuple[ApplyObject, ...] = (_written("claim", _marked(claim, spec.name), live),)
    owner = facts.namespace.name
    for item in known(facts.storage_classes, ()):
        if name(item) == storage_class and annotations_of(item).get(MADE_FOR) == owner:
            steps = (_written("class", content(item), item), *steps)
    before = replace(keeping.before, unchanged=()) + Part(steps=steps)
    return replace(keeping, before=before)


def uncontested(part: Part) -> Part:
    """`part` whose objects are held against a server as if nobody else had written to them: files are no run."""
    steps = (replace(step, force=True) if isinstance(step, ApplyObject) else step for step in part.steps)
    return replace(part, steps=tuple(steps))


def with_own_service_written(facts: Facts, part: Part) -> Part:
    """`part` with the service that is changed in place, where it is as wanted already."""
    service = facts.service
    if any(isinstance(step, PatchObject) for step in part.steps) or not isinstance(service, dict):
        return part
    return replace(part, unchanged=()) + Part(steps=(_written("service", content(service), service),))


def _written(step: str, wanted: Object, live: Object) -> ApplyObject:
    """A step for files alone: nothing is to be done."""
    return ApplyObject(step, f"write {live['kind']} {name(live)}", wanted, live)


def _marked(obj: Object, owner: str) -> Object:
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), MADE_FOR: owner}}}


def _own(obj: Object) -> bool:
    return made_by_pvserve(obj) or annotations_of(obj).get(HELM_RELEASE) == name(obj)
