"""What is planned for each fact file of tests/golden/plan: the text that a person reads, and the objects in full."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.plan import build, plan_to_json, plans_from_json
from pvserve.plan.steps import ApplyObject, Load, PatchObject, Plan
from pvserve.render.scalars import dump
from pvserve.show.plan import plan_text

from .cases import DIRECTORY, Case

FILES = sorted(DIRECTORY.glob("*.yaml"))


def written(plan: Plan) -> str:
    """The plan as the golden file holds it."""
    objects: list[Any] = []
    for step in plan.steps:
        if isinstance(step, ApplyObject):
            objects.append(step.object)
        elif isinstance(step, PatchObject):
            objects.append({"patch": step.patch, "expect": [[".".join(path), value] for path, value in step.expect]})
        elif isinstance(step, Load):
            told = ("securityContext", "nodeSelector", "tolerations", "affinity")  # the rest: test_loader_pod.py
            objects.append({"loader": {key: step.pod["spec"][key] for key in told if key in step.pod["spec"]}})
    return plan_text(plan) + "".join(f"---\n{dump(item)}" for item in objects)


def planned(file: Any) -> Plan:
    case = Case(file)
    return build(case.spec, case.facts, case.listing, case.content, case.goals)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_plan_is_the_golden_one(file: Any, request: pytest.FixtureRequest) -> None:
    golden = file.with_suffix(".txt")
    plan = planned(file)
    if request.config.getoption("--update-goldens"):
        golden.write_text(written(plan))
    assert written(plan) == golden.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_plan_survives_its_file(file: Any) -> None:
    plan = planned(file)
    text = plan_to_json(plan)
    (again,) = plans_from_json(text, "plan.json")
    assert plan_to_json(again) == text
    assert written(again) == written(plan)


def test_every_golden_file_has_its_facts() -> None:
    assert {file.stem for file in DIRECTORY.glob("*.txt")} == {file.stem for file in FILES}
