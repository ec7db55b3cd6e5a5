"""Planning again after a plan was carried out, or after it was cut off, plans only what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import Facts
from pvserve.model import manifest_digest
from pvserve.plan import build
from pvserve.plan.diff import merged
from pvserve.plan.retain import MAKE_CLASS
from pvserve.plan.steps import SOME, ApplyObject, Load, PatchObject, Plan, RetainVolume

from .cases import DIRECTORY, Case, manifest

CASES = [
    "ui-service-to-claim",
    "claim-bound",
    "in-place-connection-uri",
    "in-place-no-connection",
    "fresh-from-runtime",
]


def carried_out(case: Case, plan: Plan, facts: Facts, steps: int | None = None) -> Facts:
    """The facts after the first `steps` steps of the plan (all, when None), as a server would tell them."""
    for step in plan.steps[:steps]:
        facts = _after(case, step, facts)
    return facts


def _after(case: Case, step: Any, facts: Facts) -> Facts:
    if isinstance(step, ApplyObject):
        live = {**step.object, "metadata": {**step.object["metadata"], "uid": step.id}}
        if step.id == "class":
            return replace(facts, storage_classes=(*facts.storage_classes, live))
        if step.id == "claim":
            bound = {**live, "status": {"phase": "Bound", "capacity": {"storage": "20Gi"}}}
            volume = {"metadata": {"name": "pv", "uid": "pv"}, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}
            return replace(facts, claim=replace(facts.claim, object=bound, volume=volume))
        return replace(facts, **{step.id: live}) if step.id in ("service", "runtime") else facts
    if isinstance(step, PatchObject):
        after = merged(facts.service, step.patch)
        return replace(facts, service=after, origin_service=after)
    if isinstance(step, Load):
        models = json.dumps({step.path: {"manifest": manifest_digest(case.content)}})
        noted = merged(facts.claim.object, {"metadata": {"annotations": {"pvserve.io/models": models}}})
        return replace(facts, claim=replace(facts.claim, object=noted))
    if isinstance(step, RetainVolume):
        kept = merged(facts.claim.volume, {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
        return replace(facts, claim=replace(facts.claim, volume=kept))
    return facts


def _case(name: str) -> Case:
    case = Case(DIRECTORY / f"{name}.yaml")
    case.content = manifest({found.path: found.size for found in case.listing.entries})
    return case


def _plan(case: Case, facts: Facts) -> Plan:
    return build(case.spec, facts, case.listing, case.content, case.goals)


@pytest.mark.parametrize("name", CASES)
def test_second_plan_changes_nothing(name: str) -> None:
    case = _case(name)
    first = _plan(case, case.facts)
    assert first.changes_pending
    second = _plan(case, carried_out(case, first, case.facts))
    assert second.refusals == ()
    assert [step.id for step in second.steps] == ["ready", "prove"]
    assert not second.changes_pending


@pytest.mark.parametrize("name", CASES)
def test_plan_after_a_cut_holds_the_steps_that_are_missing(name: str) -> None:
    case = _case(name)
    first = _plan(case, case.facts)
    waiting = [step.id for step in first.steps].index("ready")
    for done in range(waiting + 1):
        rest = _plan(case, carried_out(case, first, case.facts, done))
        assert rest.refusals == ()
        ids = [step.id for step in rest.steps]
        missing = [step.id for step in first.steps[done:]]
        if "before" in missing[1:]:
            continue
        # what was noted of a service before its first change is noted again until that change is made
        again = ["before"] if ids[:1] == ["before"] and missing[:1] != ["before"] else []
        assert ids == again + missing


def test_a_class_copy_that_is_gone_by_then_makes_the_plan_stale_whoever_made_it() -> None:
    case = _case("ui-service-to-claim")
    first = _plan(case, case.facts)
    assert first.steps[0].id == "class"
    there = carried_out(case, first, case.facts, 1)
    plan = _plan(case, there)
    assert [step.id for step in plan.steps][:1] == ["claim"]
    [needed] = [item for item in plan.assumed if item.object.kind == "StorageClass"]
    assert (needed.object.name, needed.uid) == ("gp3-csi-retain", SOME)


def test_a_class_copy_that_another_run_took_from_a_waiting_claim_is_made_again() -> None:
    case = _case("ui-service-to-claim")
    first = _plan(case, case.facts)
    made = carried_out(case, first, case.facts, 2)
    waiting = {**made.claim.object, "status": {"phase": "Pending"}}
    facts = replace(case.facts, claim=replace(case.facts.claim, object=waiting, volume=None, storage_class=None))
    plan = _plan(case, facts)
    assert plan.refusals == ()
    assert plan.steps[0].object == {**first.steps[0].object, "metadata": plan.steps[0].object["metadata"]}
    assert [step.id for step in plan.steps] == ["class", *[step.id for step in first.steps[2:]]]


def test_without_the_right_to_make_it_again_the_class_is_missing() -> None:
    case = _case("ui-service-to-claim")
    made = carried_out(case, _plan(case, case.facts), case.facts, 2)
    waiting = {**made.claim.object, "status": {"phase": "Pending"}}
    claim = replace(case.facts.claim, object=waiting, volume=None, storage_class=None)
    facts = replace(case.facts, claim=claim, rights={**case.facts.rights, MAKE_CLASS: False})
    assert [item.reason for item in _plan(case, facts).refusals] == ["NoSuchClass"]
