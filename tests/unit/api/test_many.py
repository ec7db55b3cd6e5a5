"""Several models in one run: which wait for which, what one's end means for the others, and who shares a claim."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pvserve.api import many, models
from pvserve.api.gathering import Gathered
from pvserve.api.many import Member, Result, Watching, apply_many
from pvserve.api.planned import Planned
from pvserve.apply.run import Applied
from pvserve.errors import SERIOUS, Interrupted, PvserveError, Refused, Temporary, most_serious
from pvserve.events import silent
from pvserve.facts import ClaimFacts, Facts, KServeFacts, NamespaceFacts
from pvserve.plan.ahead import forced, same_deed
from pvserve.plan.steps import SOME, ApplyObject, Plan, Refusal
from pvserve.spec import ModelSpec


@dataclass
class Place:
    """What a member needs of a cluster here."""

    namespace: str = "llm"


@dataclass
class Below:
    """Carrying out, as the rooms below would: who ran when, and who fails."""

    failing: dict[str, PvserveError] = field(default_factory=dict)
    seconds: float = 0.02
    ran: list[tuple[str, str]] = field(default_factory=list)
    planned_again: list[str] = field(default_factory=list)
    most: int = 0
    running: int = 0
    meet: int = 1  # so many are waited for before the first goes on
    lock: threading.Condition = field(default_factory=threading.Condition)
    anew: dict[str, Plan] = field(default_factory=dict)

    def apply(self, planned: Planned, _cluster: Any, **given: Any) -> models.Outcome:
        name = planned.plan.service
        with self.lock:
            self.ran.append(("begins", name))
            self.running += 1
            self.most = max(self.most, self.running)
            self.lock.notify_all()
            self.lock.wait_for(lambda: self.most >= self.meet, timeout=10)
        time.sleep(self.seconds)
        with self.lock:
            self.ran.append(("ends", name))
            self.running -= 1
        if name in self.failing:
            raise self.failing[name]
        return models.Outcome(planned.plan, Applied(("service",)), None)

    def plan(self, spec: ModelSpec, _cluster: Any, **_given: Any) -> Planned:
        self.planned_again.append(spec.name)
        return Planned(self.anew.get(spec.name, written(spec.name)), None)

    @property
    def order(self) -> list[str]:
        return [name for what, name in self.ran if what == "begins"]


@pytest.fixture
def below(monkeypatch: pytest.MonkeyPatch) -> Below:
    found = Below()
    monkeypatch.setattr(models, "apply", found.apply)
    monkeypatch.setattr(models, "plan", found.plan)
    return found


def written(name: str, image: str = "i:1") -> Plan:
    obj = {"apiVersion": "v1", "kind": "ServingRuntime", "metadata": {"name": name, "namespace": "llm"}, "i": image}
    return Plan("llm", name, "c", name, steps=(ApplyObject("runtime", "make", obj),))


def member(name: str, claim: str, *, saved: bool = False, plan: Plan | None = None) -> Member:
    spec = None if saved else ModelSpec.model_validate({"name": name, "claim": claim, "format": "f"})
    return Member(name, Place(), claim, Planned(plan or written(name), None), spec=spec)  # type: ignore[arg-type]


def carried_out(*members: Member, parallel: int = 4, cancel: threading.Event | None = None) -> dict[str, Result]:
    watching = Watching(lambda _: silent, lambda _: None, cancel or threading.Event())
    return {result.member.name: result for result in apply_many(members, watching, parallel=parallel)}


def test_models_of_one_claim_go_one_after_the_other_and_others_side_by_side(below: Below) -> None:
    below.meet = 2
    carried_out(member("a", "one"), member("b", "one"), member("c", "two"), member("d", "three"))
    assert below.most > 1
    assert below.ran.index(("ends", "a")) < below.ran.index(("begins", "b"))


@pytest.mark.parametrize("parallel", [1, 2])
def test_no_more_run_at_a_time_than_asked_for(below: Below, parallel: int) -> None:
    below.meet = parallel
    carried_out(*[member(name, name) for name in "abcdef"], parallel=parallel)
    assert below.most == parallel
    assert len(below.order) == 6


def test_a_failure_stops_neither_those_of_its_claim_nor_the_others(below: Below) -> None:
    below.failing["a"] = Temporary("Unreachable", "gone")
    results = carried_out(member("a", "one"), member("b", "one"), member("c", "two"))
    assert {name: result.exit_code for name, result in results.items()} == {"a": 5, "b": 0, "c": 0}


def test_an_error_of_pvserve_itself_is_one_model_s_failure(below: Below) -> None:
    below.failing["a"] = ZeroDivisionError("by us")  # type: ignore[assignment]
    results = carried_out(member("a", "one"), member("c", "two"))
    assert results["a"].error is not None
    assert results["a"].error.reason == "InternalError"
    assert results["c"].exit_code == 0


def test_what_was_stopped_begins_no_further_model(below: Below) -> None:
    cancel = threading.Event()
    cancel.set()
    results = carried_out(member("a", "one"), member("b", "two"), cancel=cancel)
    assert below.order == []
    assert all(isinstance(result.error, Interrupted) for result in results.values())


def test_the_next_model_of_a_claim_is_planned_again_and_a_saved_plan_is_not(below: Below) -> None:
    carried_out(member("a", "one"), member("b", "one"), member("c", "two"))
    assert below.planned_again == ["b"]
    carried_out(member("a", "one", saved=True), member("b", "one", saved=True))
    assert below.planned_again == ["b"]


def test_a_plan_made_again_may_not_write_what_was_not_shown(below: Below) -> None:
    below.anew["b"] = written("b", image="i:2")
    results = carried_out(member("a", "one"), member("b", "one"))
    assert results["b"].exit_code == 8
    assert below.order == ["a"]


def test_a_refused_model_is_left_out_with_its_code(below: Below) -> None:
    refused = replace(written("a"), refusals=(Refusal("NameTaken", "it is somebody else's"),))
    results = carried_out(member("a", "one", plan=refused), member("b", "one"))
    assert (results["a"].exit_code, results["b"].exit_code) == (3, 0)
    assert below.planned_again == []


def test_fields_are_taken_over_only_of_objects_that_are_there() -> None:
    (made,) = written("a").steps
    assert isinstance(made, ApplyObject)
    plan = Plan("llm", "a", "c", "a", steps=(made, replace(made, before={"metadata": {}})))
    assert [step.force for step in forced(plan).steps if isinstance(step, ApplyObject)] == [False, True]


def test_a_plan_made_again_may_leave_out_what_is_done_meanwhile() -> None:
    assert same_deed(written("a"), Plan("llm", "a", "c", "a"))
    assert not same_deed(Plan("llm", "a", "c", "a"), written("a"))


FAST = {
    "metadata": {"name": "fast", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "x",
    "reclaimPolicy": "Retain",
}


def gathered(name: str, **claim: Any) -> Gathered:
    spec = ModelSpec.model_validate({"name": name, "claim": {"name": "models", **claim}, "path": name, "format": "f"})
    facts = Facts("v1", NamespaceFacts("llm", {"metadata": {"name": "llm"}}), KServeFacts(True, "i:1"),
                  ClaimFacts("models", None), storage_classes=(FAST,))  # fmt: skip
    return Gathered(spec, frozenset({"load", "serve"}), facts, listing(name), None)


def listing(name: str) -> Any:
    from tests.unit.plan.cases import listing as made

    return made({f"{name}.bin": 3 << 30})


def test_the_first_model_makes_the_claim_for_all_and_the_next_takes_it_for_given() -> None:
    first, second = many._made([gathered("a"), gathered("b")])
    assert first is not None
    assert second is not None
    assert (first.refusals, second.refusals) == ((), ())
    (claim,) = [step.object for step in first.steps if isinstance(step, ApplyObject) and step.id == "claim"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "7128Mi"  # room for 6 GiB
    assert "claim" not in [step.id for step in second.steps]
    assert any("made by a model before this one" in words for words in second.unchanged)
    (assumed,) = [item for item in second.assumed if item.object.kind == "PersistentVolumeClaim"]
    assert assumed.uid == SOME


def test_a_model_whose_claim_nobody_makes_after_all_makes_it_itself() -> None:
    too_small, second = many._made([gathered("a", size="1Gi"), gathered("b")])
    assert too_small is not None
    assert second is not None
    assert [item.reason for item in too_small.refusals] == ["ClaimTooSmall"]
    assert "claim" in [step.id for step in second.steps]


def test_a_model_that_could_not_be_read_has_no_plan_and_stops_no_other() -> None:
    error = Refused("GgufDamaged", "cut off")
    assert [plan is None for plan in many._made([error, gathered("b")])] == [True, False]


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((), 0), ((0, 10), 10), ((10, 9), 9), ((0, 3, 5), 5), ((1, 6), 6), ((6, 130), 130), ((99, 3), 1)],
)
def test_the_most_serious_code_is_that_of_the_documented_order(codes: tuple[int, ...], worst: int) -> None:
    assert most_serious(codes) == worst
    assert len(set(SERIOUS)) == len(SERIOUS)
