"""A model that lies on a claim: the loader pod mounts both claims, and what cannot be mounted or copied is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import ClaimFacts, Holder, KServeFacts, OwnPlace, Unknown
from pvserve.plan import build, facts_query
from pvserve.plan.claim import MODELS
from pvserve.plan.steps import Load, Plan

from .cases import DIRECTORY, Case

LOAD = frozenset({"load"})


def claim(name: str = "workbench", *modes: str, noted: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": {MODELS: noted} if noted else {}},
        "spec": {"accessModes": list(modes or ("ReadWriteOnce",)), "volumeName": "v"},
        "status": {"phase": "Bound", "capacity": {"storage": "100Gi"}},
    }


def planned(source: ClaimFacts | None, model: str = "pvc://workbench/models/granite", **spec: Any) -> Plan:
    case = Case(DIRECTORY / "claim-bound.yaml")
    wanted = case.spec.model_copy(update={"model": model, "path": "granite", **spec})
    if source is not None and source.name == case.facts.claim.name:
        source = replace(case.facts.claim, holders=source.holders)
    return build(wanted, replace(case.facts, source=source), None, None, LOAD)


def load_of(plan: Plan) -> Load:
    assert plan.refusals == ()
    [step] = [step for step in plan.steps if isinstance(step, Load)]
    return step


def test_the_source_claim_is_asked_for() -> None:
    spec = Case(DIRECTORY / "claim-bound.yaml").spec.model_copy(update={"model": "pvc://workbench/models/granite"})
    assert facts_query(spec, LOAD, "llm").source_claim == "workbench"


def test_one_pod_mounts_both_on_the_node_that_holds_them() -> None:
    held = (Holder("notebook-0", "node2", "Running", False),)
    step = load_of(planned(ClaimFacts("workbench", claim(), holders=held)))
    assert (step.source, step.source_claim, step.source_path) == (
        "pvc://workbench/models/granite",
        "workbench",
        "models/granite",
    )
    volumes = {item["name"]: item.get("persistentVolumeClaim") for item in step.pod["spec"]["volumes"]}
    assert volumes["source"] == {"claimName": "workbench", "readOnly": True}
    assert "node2" in str(step.pod["spec"]["affinity"])


def test_a_size_that_nobody_counted_refuses_no_claim() -> None:
    step = load_of(planned(ClaimFacts("workbench", claim())))
    assert step.bytes == 100 << 30  # more than the target claim's 20Gi: the loader counts before the first byte


def test_a_recorded_source_is_known_by_its_digest_but_not_with_filters() -> None:
    noted = '{"models/granite": {"manifest": "sha256:aa", "bytes": 7, "files": 2}}'
    source = ClaimFacts("workbench", claim(noted=noted))
    assert (load_of(planned(source)).manifest_digest, load_of(planned(source)).bytes) == ("sha256:aa", 7)
    filtered = load_of(planned(source, exclude=("*.bin",)))
    assert (filtered.manifest_digest, filtered.exclude) == ("", ("*.bin",))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ClaimFacts("workbench", None), "NoSuchClaim"),
        (ClaimFacts("workbench", claim(), holders=(Holder("n", "node9", "Running", False),)), "ClaimsApart"),
        (
            ClaimFacts(
                "workbench",
                claim("workbench", "ReadWriteOncePod"),
                holders=(Holder("n", "node2", "Running", False),),
            ),
            "ClaimHeld",
        ),
    ],
)
def test_what_no_pod_can_mount_is_refused(source: ClaimFacts, reason: str) -> None:
    assert [refusal.reason for refusal in planned(source).refusals] == [reason]


@pytest.mark.parametrize(
    ("path", "reasons"),
    [("granite", ["SourceIsTarget"]), ("granite/inner", ["SourceIsTarget"]), ("granite-old", [])],
)
def test_a_copy_within_one_claim_may_not_hold_itself(path: str, reasons: list[str]) -> None:
    case = Case(DIRECTORY / "claim-bound.yaml")
    name = case.facts.claim.name
    found = planned(ClaimFacts(name, None), f"pvc://{name}/{path}")
    assert [refusal.reason for refusal in found.refusals] == reasons


OWN = OwnPlace(
    "notebook-0", "llm", "workbench", "models/granite", "notebook:1", ({"key": "gpu", "operator": "Exists"},)
)
HELD = ClaimFacts("workbench", claim(), holders=(Holder("notebook-0", "node2", "Running", False),))


def planned_in_pod(
    own: OwnPlace | Unknown | None = OWN, source: ClaimFacts = HELD, facts: dict[str, Any] | None = None, **loader: Any
) -> Plan:
    """A directory of this machine, which is the pod `notebook-0`."""
    case = Case(DIRECTORY / "claim-bound.yaml")
    spec = case.spec.model_copy(update={"path": "granite", "loader": case.spec.loader.model_copy(update=loader)})
    return build(spec, replace(case.facts, source=source, own=own, **(facts or {})), case.listing, None, LOAD)


def sent_because(plan: Plan) -> str:
    step = load_of(plan)
    assert step.source_claim == ""
    assert "'source'" not in str(step.pod["spec"]["volumes"])
    assert {"key": "gpu", "operator": "Exists"} not in step.pod["spec"].get("tolerations", [])
    return next((note for note in plan.notes if "over the network" in note), "")


def test_a_directory_on_the_pods_own_claim_is_copied_and_the_plan_says_so() -> None:
    plan = planned_in_pod()
    step = load_of(plan)
    case = Case(DIRECTORY / "claim-bound.yaml")
    assert case.listing is not None
    assert (step.source, step.source_claim, step.source_path) == (
        str(case.listing.root),
        "workbench",
        "models/granite",
    )
    assert step.fingerprint == case.listing.fingerprint
    assert "node2" in str(step.pod["spec"]["affinity"])
    assert step.pod["spec"]["tolerations"][-1] == {"key": "gpu", "operator": "Exists"}
    [note] = [note for note in plan.notes if "pvc://workbench/models/granite" in note]
    assert "--no-claim-copy" in note
    assert facts_query(case.spec, LOAD, "llm", OWN).source_claim == "workbench"
    assert facts_query(case.spec, LOAD, "llm", replace(OWN, namespace="other")).source_claim == ""


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (lambda: planned_in_pod(None), ""),
        (lambda: planned_in_pod(claim_copy=False), ""),
        (lambda: planned_in_pod(via="exec"), "--via exec was asked for"),
        (lambda: planned_in_pod(Unknown("the pod cannot be read")), "the pod cannot be read"),
        (lambda: planned_in_pod(replace(OWN, namespace="other")), "in namespace other"),
        (lambda: planned_in_pod(source=replace(HELD, object=claim("workbench", "ReadWriteOncePod"))), "OncePod"),
        (lambda: planned_in_pod(source=replace(HELD, object=None)), "does not exist"),
        (lambda: planned_in_pod(source=replace(HELD, object=Unknown("forbidden", "forbidden"))), "workbench"),
        (
            lambda: planned_in_pod(
                replace(OWN, claim="vllm-model-cache", path="granite"), replace(HELD, name="vllm-model-cache")
            ),
            "lie in one another",
        ),
    ],
)
def test_what_stands_in_the_way_of_the_own_claim_only_costs_the_network(plan: Callable[[], Plan], why: str) -> None:
    said = sent_because(plan())
    assert (why in said) if why else said == ""


def test_where_no_other_image_is_known_the_pods_own_will_do() -> None:
    unread = {
        "kserve": KServeFacts(Unknown("not read")),
        "origin_runtime": Unknown("not read"),
        "origin_service": None,
    }
    assert load_of(planned_in_pod(facts=unread, image=None)).pod["spec"]["containers"][0]["image"] == "notebook:1"
