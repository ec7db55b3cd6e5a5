"""What `gc` takes for left over, and what it never touches, from facts alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pvserve.facts import (
    Contents,
    LeftoverFacts,
    NamespaceFacts,
    Object,
    PartialRow,
    ReplacedRow,
    Right,
    Unknown,
    Users,
)
from pvserve.plan.lifecycle import gc_plan
from pvserve.plan.lifecycle.collecting import worth_a_look
from pvserve.plan.saved import plan_to_json, plans_from_json
from pvserve.plan.steps import Plan
from pvserve.plan.volume_steps import DeleteObject, SweepVolume

from .volume_facts import FORBIDDEN, a_claim, a_service, a_volume, refusal

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
NAME = hashlib.sha256(b"granite").hexdigest()[:16] + "-" + "b" * 16
OLD = PartialRow(NAME, 1000, 2, 90_000)
REPLACED = ReplacedRow("granite", "granite", "1764000000-abcdef012345", 500, 1)


def at(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_lease(place: str = "pvc://a/granite", holder: str = "", minutes: float = 0) -> Object:
    metadata = {"name": "pvserve-x", "namespace": "llm", "uid": "l", "annotations": {"pvserve.io/place": place}}
    return {
        "metadata": metadata,
        "spec": {"holderIdentity": holder, "renewTime": at(minutes), "leaseDurationSeconds": 60},
    }


def an_own_pod(phase: str, minutes: float, **labels: str) -> Object:
    metadata = {"name": "pvserve-load-x", "namespace": "llm", "uid": "p", "creationTimestamp": at(minutes)}
    return {
        "metadata": {**metadata, "labels": labels or {"pvserve.io/loader": "x"}},
        "spec": {},
        "status": {"phase": phase},
    }


def facts(*partials: PartialRow, replaced: tuple[ReplacedRow, ...] = (), **changed: Any) -> LeftoverFacts:
    found = LeftoverFacts(
        NamespaceFacts("llm", {"metadata": {"name": "llm"}}),
        NOW,
        (a_claim(),),
        Users(),
        leases=(a_lease(),),
        contents={"a": Contents(partials, replaced, ("granite",))},
        loader_image="image",
    )
    return replace(found, **changed)


def gc(found: LeftoverFacts) -> Plan:
    return gc_plan(found, DAY)


def swept(plan: Plan) -> list[tuple[str, str]]:
    return [(item.kind, item.path) for step in plan.steps if isinstance(step, SweepVolume) for item in step.leftovers]


def deleted(plan: Plan) -> list[str]:
    return [step.target.kind for step in plan.steps if isinstance(step, DeleteObject)]


def test_an_old_partial_transfer_whose_writer_is_gone_and_what_was_replaced_go() -> None:
    plan = gc(facts(OLD, replaced=(REPLACED,)))
    assert swept(plan) == [("partial", "granite"), ("replaced", "granite")]
    [step] = plan.steps
    assert isinstance(step, SweepVolume)
    assert "1500 bytes" in step.title
    assert plans_from_json(plan_to_json(plan), "plan.json") == (plan,)


@pytest.mark.parametrize(
    ("partial", "lease", "why"),
    [
        (OLD, a_lease(holder="me pid 1", minutes=0.5), "me pid 1 writes to it"),
        (replace(OLD, age_seconds=3600), a_lease(), "goes on from it"),
    ],
    ids=["its writer lives", "it is young"],
)
def test_a_partial_transfer_that_may_go_on_stays_and_why(partial: PartialRow, lease: Object, why: str) -> None:
    plan = gc(facts(partial, leases=(lease,)))
    assert not plan.steps
    assert why in plan.unchanged[0]


def test_an_expired_lease_is_not_believed_at_planning_and_watched_again_when_it_is_taken() -> None:
    assert swept(gc(facts(OLD, leases=(a_lease(holder="me pid 1", minutes=5),))))


def test_without_a_look_at_leases_no_partial_transfer_goes() -> None:
    plan = gc(facts(OLD, leases=FORBIDDEN))
    assert not plan.steps
    assert any("Leases were not looked for" in note for note in plan.notes)


def test_a_claim_that_could_not_be_looked_into_is_said_to_be_unknown() -> None:
    plan = gc(facts(contents={"a": Unknown("no node for the pod")}))
    assert any("was not looked at: no node" in item.why for item in plan.not_done)


def test_a_model_without_a_user_is_named_and_never_removed() -> None:
    plan = gc(facts())
    [item] = plan.not_done
    assert item.command == "pvserve rm pvc://a/granite -n llm"
    assert not plan.steps
    service = a_service({"predictor": {"model": {"storageUri": "pvc://a/granite"}}})
    assert not gc(facts(users=Users((), (service,)))).not_done
    assert not gc(facts(users=Users((), FORBIDDEN))).not_done, "not known to be without a user"


@pytest.mark.parametrize(
    ("pod", "goes"),
    [
        (an_own_pod("Succeeded", 1), True),
        (an_own_pod("Failed", 1), True),
        (an_own_pod("Running", 600), False),
        (an_own_pod("Pending", 5), False),
        (an_own_pod("Pending", 11), True),
        (an_own_pod("Failed", 600, app="mine"), False),
    ],
    ids=["ended", "failed", "running: it ends by itself", "starting", "never started", "of somebody else"],
)
def test_pods_of_our_own_that_are_left_go(pod: Object, goes: bool) -> None:
    assert deleted(gc(facts(users=Users((pod,), ())))) == (["Pod"] if goes else [])


def test_a_lease_goes_with_its_claim_unless_the_claim_may_come_back() -> None:
    gone = a_lease("pvc://gone/granite")
    assert deleted(gc(facts(leases=(gone, a_lease())))) == ["Lease"]
    assert not deleted(gc(facts(leases=(a_lease("pvc://gone/x", "me pid 1", 0.1),))))
    waiting = a_volume("Retain", "Released")
    waiting["spec"]["claimRef"] = {"namespace": "llm", "name": "gone"}
    assert not deleted(gc(facts(leases=(gone,), volumes=(waiting,))))
    assert not deleted(gc(facts(leases=(gone,), volumes=FORBIDDEN)))
    assert not deleted(gc(facts(leases=(a_lease("garbage"),))))


def test_the_record_of_a_service_goes_with_it() -> None:
    records = tuple({"metadata": {"name": f"pvserve-before-{which}", "uid": "c"}} for which in ("s", "gone"))
    plan = gc(facts(records=records, users=Users((), (a_service({}),))))
    assert [step.target.name for step in plan.steps if isinstance(step, DeleteObject)] == ["pvserve-before-gone"]
    assert not deleted(gc(facts(records=records, users=Users((), FORBIDDEN))))


def test_released_volumes_with_models_and_classes_of_nobody_are_named() -> None:
    volume = a_volume("Retain", "Released", **{"pvserve.io/models": json.dumps({"granite": {}})})
    labels = {"app.kubernetes.io/managed-by": "pvserve"}
    classes = tuple({"metadata": {"name": each, "labels": labels}} for each in ("fast-retain", "fast"))
    plan = gc(facts(contents={}, volumes=(volume,), classes=classes))
    commands = [item.command for item in plan.not_done]
    assert "pvserve adopt pv --claim a -n llm" in commands
    assert "kubectl delete storageclass fast-retain" in commands
    assert "kubectl delete storageclass fast" not in commands
    assert not plan.steps


def test_without_the_rights_nothing_goes() -> None:
    plan = gc(facts(OLD, rights={Right("delete", "coordination.k8s.io", "leases", "llm"): False}))
    assert (refusal(plan), plan.refusals[0].exit_code) == ("MissingRights", 4)


def test_a_pod_looks_only_where_pvserve_may_have_left_something() -> None:
    bare = a_claim()
    bare["metadata"]["annotations"] = {}
    assert worth_a_look(a_claim(), ())
    assert worth_a_look(bare, (a_lease(),)), "an interrupted first load"
    assert not worth_a_look(bare, ())
    assert not worth_a_look({**a_claim(), "status": {"phase": "Pending"}}, ())
    assert not worth_a_look(a_claim(accessModes=["ReadOnlyMany"]), ())
