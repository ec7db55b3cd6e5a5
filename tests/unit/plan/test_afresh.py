"""A plan for files holds all of its model, whatever the cluster has of it by now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from pvserve.facts import Facts
from pvserve.plan import build
from pvserve.plan.afresh import FILES, HELM_RELEASE, MADE_FOR
from pvserve.plan.diff import merged
from pvserve.plan.steps import Load, Plan
from pvserve.render import render

from .cases import DIRECTORY, Case
from .test_again import CASES, carried_out

BOTH = frozenset({"load", "serve", FILES})


def planned(case: Case, facts: Facts) -> Plan:
    return build(case.spec, facts, case.listing, case.content, BOTH)


def objects(plan: Plan) -> list[dict[str, Any]]:
    assert plan.refusals == ()
    (text,) = render(plan, "yaml").values()
    return [item for item in yaml.safe_load_all(text) if item]


@pytest.mark.parametrize("name", CASES)
def test_files_are_the_same_before_and_after_they_were_applied(name: str) -> None:
    case = Case(DIRECTORY / f"{name}.yaml")
    case.content = case.content or Case(DIRECTORY / "claim-bound.yaml").content
    first = planned(case, case.facts)
    steps = tuple(step for step in first.steps if not isinstance(step, Load))  # nobody noted the load on the claim
    after = carried_out(case, replace(first, steps=steps), case.facts)
    second = planned(case, after)
    wanted = [item for item in objects(first) if item["kind"] != "ConfigMap"]  # of a service changed in place: its note
    assert [item for item in objects(second) if item["kind"] != "ConfigMap"] == wanted
    assert any(isinstance(step, Load) for step in second.steps) == any(isinstance(step, Load) for step in first.steps)


def converted() -> tuple[Case, Facts]:
    """A case, and the cluster after it was carried out."""
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    first = planned(case, case.facts)
    steps = tuple(step for step in first.steps if not isinstance(step, Load))
    return case, carried_out(case, replace(first, steps=steps), case.facts)


def test_what_somebody_edited_is_written_as_it_should_be() -> None:
    case, after = converted()
    edited = merged(after.service, {"spec": {"predictor": {"timeout": 5, "minReplicas": 7}}})
    assert objects(planned(case, replace(after, service=edited))) == objects(planned(case, after))


def test_a_claim_that_was_made_for_another_service_is_in_the_files_of_that_one() -> None:
    case, after = converted()
    other = merged(after.claim.object, {"metadata": {"annotations": {MADE_FOR: "phi"}}})
    plan = planned(case, replace(after, claim=replace(after.claim, object=other)))
    assert [item["kind"] for item in objects(plan)] == ["ServingRuntime", "InferenceService"]
    assert any(item.startswith("claim ") for item in plan.unchanged)


@pytest.mark.parametrize(("release", "refused"), [("granite-pvc", False), ("other", True)])
def test_a_chart_s_own_objects_are_written_and_others_are_not_taken_over(release: str, refused: bool) -> None:
    case, after = converted()
    helms = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {HELM_RELEASE: release}}
    taken = {kind: merged(getattr(after, kind), {"metadata": helms}) for kind in ("service", "runtime")}
    plan = planned(case, replace(after, **taken))
    assert {item.reason for item in plan.refusals} == ({"NameTaken"} if refused else set())


def test_a_live_run_marks_what_it_makes_and_a_load_alone_does_not() -> None:
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    for goals, marks in (({"load", "serve"}, ["llm", "granite-pvc"]), ({"load"}, [])):
        plan = build(case.spec, case.facts, case.listing, case.content, goals)
        made = [step.object for step in plan.steps if getattr(step, "id", "") in ("class", "claim")]
        found = [item["metadata"].get("annotations", {}).get(MADE_FOR) for item in made]
        assert [item for item in found if item] == marks
