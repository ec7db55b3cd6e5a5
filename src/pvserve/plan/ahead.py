"""A plan and what it may take for given that the cluster does not have yet; whether it is the one that was shown.

Owns that a plan before it makes its claim, that the service to start from lies in a file, and that a plan may take over
what others edited. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pvserve.facts import Facts, Object, Unknown, name, namespace
from pvserve.plan.edit_service import runtime_name
from pvserve.plan.steps import ApplyObject, PatchObject, Plan
from pvserve.plan.template import KIND, runtime_of, template_of
from pvserve.spec.start import Start

CLAIM, STORAGE_CLASS = "PersistentVolumeClaim", "StorageClass"
_OF_THE_CLAIM = ("claim", "class")  # ids of steps that the plan before may have done


def ahead(facts: Facts, before: Sequence[Plan]) -> Facts:
    """`facts` with the claim, where it does not exist and a plan of `before` makes it."""
    if facts.claim.object is not None:
        return facts
    for plan in before:
        made = list(_made(plan)) if plan.namespace == facts.namespace.name and not plan.refusals else []
        claim = next((item for item in made if item["kind"] == CLAIM and name(item) == facts.claim.name), None)
        if claim is not None:
            here = Unknown("the claim is made in this run, so nobody looked elsewhere")
            found = _class(facts, claim, made)
            return replace(facts, claim=replace(facts.claim, object=claim, storage_class=found, elsewhere=here))
    return facts


def _made(plan: Plan) -> Iterator[Object]:
    return (step.object for step in plan.steps if isinstance(step, ApplyObject))


def _class(facts: Facts, claim: Object, made: Sequence[Object]) -> Object | Unknown | None:
    wanted = claim["spec"].get("storageClassName")
    copied = [item for item in made if item["kind"] == STORAGE_CLASS]
    if isinstance(facts.storage_classes, Unknown):
        return next((item for item in copied if name(item) == wanted), facts.storage_classes)
    return next((item for item in (*facts.storage_classes, *copied) if name(item) == wanted), None)


def with_start(facts: Facts, start: Start) -> Facts:
    """`facts` with the service of a file as the one to start from, and its runtime where the file has that too."""
    wanted = runtime_name(start.service)
    runtimes = [item for item in start.runtimes if item["kind"] != KIND and name(item) == wanted]
    template = template_of([item for item in start.runtimes if item["kind"] == KIND], wanted) if wanted else None
    if runtimes:
        return replace(facts, origin_service=start.service, origin_runtime=runtimes[0], runtime_template=None)
    if template is not None:
        made = runtime_of(template, wanted)
        return replace(facts, origin_service=start.service, origin_runtime=made, runtime_template=template)
    return replace(facts, origin_service=start.service)


def forced(plan: Plan) -> Plan:
    """`plan` that takes over what others edited of the objects that it changes."""
    steps = (
        replace(step, force=True) if isinstance(step, ApplyObject) and step.before is not None else step
        for step in plan.steps
    )
    return replace(plan, steps=tuple(steps))


def same_deed(shown: Plan, again: Plan) -> bool:
    """Whether `again` writes nothing to services and runtimes that `shown` does not: claims may have come meanwhile."""
    written = _written(shown)
    return all(written.get(key) == value for key, value in _written(again).items())


def _written(plan: Plan) -> dict[tuple[str, str, str], Any]:
    out: dict[tuple[str, str, str], Any] = {}
    for step in plan.steps:
        if isinstance(step, ApplyObject) and step.id not in _OF_THE_CLAIM:
            out[step.object["kind"], namespace(step.object), name(step.object)] = step.object
        elif isinstance(step, PatchObject):
            out[step.id, step.target.namespace, step.target.name] = step.patch
    return out
