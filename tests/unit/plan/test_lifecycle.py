"""What the commands on claims and volumes do, and what they refuse, from facts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import NamespaceFacts, Users
from pvserve.plan.lifecycle import adopt_plan, release_plan, resize_plan, retain_plan, undo_retain_plan
from pvserve.plan.saved import plan_to_json, plans_from_json
from pvserve.plan.steps import ApplyObject

from .volume_facts import (
    FORBIDDEN,
    MODELS,
    PATCH_VOLUME,
    a_claim,
    a_pod,
    a_service,
    a_volume,
    facts,
    patch_of,
    refusal,
    released,
)


def test_retain_notes_the_policy_it_replaces_and_the_models() -> None:
    plan = retain_plan("a", facts())
    assert patch_of(plan) == {
        "metadata": {"annotations": {"pvserve.io/reclaim-policy-before": "Delete", "pvserve.io/models": MODELS}},
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }
    assert plans_from_json(plan_to_json(plan), "plan.json") == (plan,)


def test_retain_of_what_is_retained_changes_nothing() -> None:
    kept = facts(volume=a_volume("Retain", **{"pvserve.io/models": MODELS}))
    assert not retain_plan("a", kept).changes_pending


def test_retain_without_the_right_names_the_command_of_an_administrator() -> None:
    plan = retain_plan("a", facts(rights={PATCH_VOLUME: False}))
    assert refusal(plan) == "MissingRights"
    assert plan.refusals[0].exit_code == 4
    assert "kubectl patch pv pv" in plan.refusals[0].remedy[0]


def test_a_volume_that_may_not_be_read_is_unknown_and_not_absent() -> None:
    plan = retain_plan("a", facts(volume=FORBIDDEN))
    assert refusal(plan) == "MayNotRetain"
    assert plan.refusals[0].exit_code == 4


def test_undo_gives_the_policy_back_that_retain_replaced() -> None:
    plan = undo_retain_plan("a", facts(volume=a_volume("Retain", **{"pvserve.io/reclaim-policy-before": "Recycle"})))
    assert patch_of(plan)["spec"] == {"persistentVolumeReclaimPolicy": "Recycle"}


def test_undo_of_what_somebody_else_retained_is_refused() -> None:
    assert refusal(undo_retain_plan("a", facts(volume=a_volume("Retain")))) == "NotRetainedByUs"


def test_release_retains_before_it_deletes() -> None:
    assert [type(step).__name__ for step in release_plan("a", facts()).steps] == ["PatchObject", "ReleaseClaim"]


def test_release_of_a_claim_whose_volume_may_not_be_retained_deletes_nothing() -> None:
    assert refusal(release_plan("a", facts(rights={PATCH_VOLUME: False}))) == "MissingRights"


@pytest.mark.parametrize(
    "spec",
    [
        {"predictor": {"model": {"storageUri": "pvc://a/granite"}}},
        {"predictor": {"model": {"storageUri": "pvc://a"}}},
        {"transformer": {"containers": [{"env": [{"name": "STORAGE_URI", "value": "pvc://a/x"}]}]}},
        {"predictor": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}]}},
        {"model": {"uri": "pvc://a/granite"}},
    ],
    ids=["storageUri", "whole claim", "environment", "volume", "LLMInferenceService"],
)
def test_a_service_that_names_the_claim_in_any_field_keeps_it(spec: dict[str, Any]) -> None:
    assert refusal(release_plan("a", facts(users=Users((), (a_service(spec),))))) == "ClaimInUse"


def test_a_service_of_another_claim_does_not_keep_it() -> None:
    other = a_service({"predictor": {"model": {"storageUri": "pvc://ab/a"}}})
    assert release_plan("a", facts(users=Users((), (other,)))).steps


@pytest.mark.parametrize(("phase", "keeps"), [("Running", True), ("Pending", True), ("Succeeded", False)])
def test_a_pod_keeps_the_claim_until_it_ends(phase: str, keeps: bool) -> None:
    plan = release_plan("a", facts(users=Users((a_pod(phase),), ())))
    assert bool(plan.refusals) is keeps


def test_users_that_may_not_be_read_refuse_a_release() -> None:
    plan = release_plan("a", facts(users=Users(FORBIDDEN, ())))
    assert refusal(plan) == "Unreadable"
    assert plan.refusals[0].exit_code == 4


def test_adopt_keeps_the_volume_for_one_claim_before_that_claim_is_made() -> None:
    plan = adopt_plan("pv", "b", replace(released(), namespace=NamespaceFacts("two", {"metadata": {"name": "two"}})))
    assert [type(step).__name__ for step in plan.steps] == ["PatchObject", "ApplyObject", "WaitBound"]
    reference = patch_of(plan)["spec"]["claimRef"]
    assert (reference["namespace"], reference["name"]) == ("two", "b")
    assert reference["uid"] is None
    assert reference["resourceVersion"] is None
    made = next(step.object for step in plan.steps if isinstance(step, ApplyObject))
    assert made["spec"]["volumeName"] == "pv"
    assert made["spec"]["storageClassName"] == "fast"


def test_an_adopted_claim_has_the_record_of_the_models() -> None:
    plan = adopt_plan("pv", "a", released(**{"pvserve.io/models": MODELS}))
    made = next(step.object for step in plan.steps if isinstance(step, ApplyObject))
    assert made["metadata"]["annotations"]["pvserve.io/models"] == MODELS


def test_a_bound_or_reserved_volume_of_somebody_else_is_not_taken() -> None:
    assert refusal(adopt_plan("pv", "b", facts(claim=None))) == "VolumeBound"
    assert refusal(adopt_plan("pv", "b", facts(claim=None, volume=a_volume("Retain", "Available")))) == "VolumeReserved"


def test_a_claim_with_another_volume_is_not_overwritten() -> None:
    other = a_claim(volumeName="other")
    assert refusal(adopt_plan("pv", "a", replace(released(), claim=other))) == "ClaimExists"


def test_resize_grows_where_the_class_allows_it() -> None:
    assert patch_of(resize_plan("a", "20Gi", 60, facts())) == {"spec": {"resources": {"requests": {"storage": "20Gi"}}}}
    assert refusal(resize_plan("a", "20Gi", 60, facts(storage_class={"metadata": {"name": "fast"}}))) == "NotExpandable"
    assert refusal(resize_plan("a", "5Gi", 60, facts())) == "CannotShrink"


def test_a_size_that_is_there_already_is_not_asked_for_again() -> None:
    assert not resize_plan("a", "10240Mi", 60, facts()).changes_pending


def test_a_resize_that_is_under_way_is_waited_for() -> None:
    growing = a_claim(resources={"requests": {"storage": "20Gi"}})
    plan = resize_plan("a", "20Gi", 60, facts(claim=growing))
    assert [type(step).__name__ for step in plan.steps] == ["WaitResized"]
    assert not plan.changes_pending
