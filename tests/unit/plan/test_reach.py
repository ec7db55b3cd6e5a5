"""No node for both: a claim that is held, or whose volume lies, where the pods of the plan cannot run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import ClaimFacts, Facts, Holder, Object, Unknown
from pvserve.plan.loader import without_node
from pvserve.plan.placement import Placement, admits, fits
from pvserve.plan.reach import apart, reach_part

from .cases import DIRECTORY, Case
from .test_loader_pod import pod

ZONE, HOST, EBS = "topology.kubernetes.io/zone", "kubernetes.io/hostname", "topology.ebs.csi.aws.com/zone"
GPU = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}


def term(key: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}


def node(name: str, zone: str = "a", *taints: dict[str, str]) -> Object:
    labels = {HOST: name, ZONE: zone}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": list(taints)}}


def bound(*terms: dict[str, Any], nodes: Any = (), mode: str = "ReadWriteOnce", held: str = "") -> ClaimFacts:
    claim = {"metadata": {"name": "c"}, "spec": {"accessModes": [mode]}, "status": {"phase": "Bound"}}
    volume = {"metadata": {"name": "v"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": list(terms)}}}}
    holders = (Holder("notebook-0", held, "Running", False),) if held else ()
    return ClaimFacts("c", claim, volume if terms else None, holders=holders, nodes=nodes)


def planned(claim: ClaimFacts, **predictor: Any) -> Facts:
    facts = Case(DIRECTORY / "ui-service-to-claim.yaml").facts
    service = {"metadata": {"name": "s", "namespace": "llm"}, "spec": {"predictor": predictor}}
    return replace(facts, claim=claim, origin_service=service, origin_runtime=None)


def reason(claim: ClaimFacts, storage_class: Object | None = None, **predictor: Any) -> str:
    return next((found.reason for found in reach_part(planned(claim, **predictor), storage_class).refusals), "")


@pytest.mark.parametrize(
    ("claim", "predictor", "expected"),
    [
        (bound(held="n1", nodes=(node("n1", "a"),)), {"nodeSelector": {ZONE: "b"}}, "ClaimHeld"),
        (bound(held="n1", nodes=(node("n1", "a"),)), {"nodeSelector": {ZONE: "a"}}, ""),
        (bound(held="n1", nodes=(node("n1", "a"),), mode="ReadWriteMany"), {"nodeSelector": {ZONE: "b"}}, ""),
        (bound(held="n1", nodes=(node("n1", "a", GPU),)), {}, "ClaimHeld"),
        (bound(held="n1", nodes=(node("n1", "a", GPU),)), {"tolerations": [{"operator": "Exists"}]}, ""),
        (bound(held="n1", nodes=Unknown("no")), {"nodeSelector": {ZONE: "b"}}, ""),
        (bound(term(HOST, "n1"), nodes=(node("n1", "a"),)), {"nodeSelector": {ZONE: "b"}}, "VolumeElsewhere"),
        (bound(term(HOST, "n1"), nodes=(node("n1", "b"),)), {"nodeSelector": {ZONE: "b"}}, ""),
        (bound(term(HOST, "n1", "n2"), nodes=(node("n1", "a"),)), {"nodeSelector": {ZONE: "b"}}, ""),
        (bound(term(HOST, "n1"), nodes=Unknown("no")), {"nodeSelector": {ZONE: "b"}}, ""),
        (bound(term(HOST, "n1"), nodes=Unknown("no")), {"nodeSelector": {HOST: "n2"}}, "VolumeElsewhere"),
        (bound(term(EBS, "a")), {"nodeSelector": {ZONE: "b"}}, "VolumeElsewhere"),
        (bound(term(EBS, "a"), term(EBS, "b")), {"nodeSelector": {ZONE: "b"}}, ""),
        (bound(term(EBS, "a")), {"nodeSelector": {"gpu": "yes"}}, ""),
    ],
)
def test_what_no_node_can_be_is_refused_and_what_may_yet_come_is_not(
    claim: ClaimFacts, predictor: dict[str, Any], expected: str
) -> None:
    assert reason(claim, **predictor) == expected


def test_a_required_node_affinity_counts_as_a_selector_does() -> None:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term(ZONE, "b", "c")]}}
    affinity = {"nodeAffinity": required}
    assert reason(bound(term(ZONE, "a")), affinity=affinity) == "VolumeElsewhere"
    assert reason(bound(term(ZONE, "c")), affinity=affinity) == ""


def test_a_class_makes_its_volumes_where_its_topologies_say() -> None:
    zone = {"key": ZONE, "values": ["a"]}
    item = {"metadata": {"name": "fast"}, "allowedTopologies": [{"matchLabelExpressions": [zone]}]}
    assert reason(ClaimFacts("c", None), item, nodeSelector={ZONE: "b"}) == "VolumeElsewhere"
    assert reason(ClaimFacts("c", None), item, nodeSelector={ZONE: "a"}) == ""


def test_volumes_of_two_nodes_are_apart() -> None:
    [refusal] = apart(bound(term(HOST, "n1")), bound(term(HOST, "n2"))).refusals
    assert refusal.reason == "ClaimsApart"
    assert not apart(bound(term(HOST, "n1", "n2")), bound(term(HOST, "n2"))).refusals
    assert not apart(bound(term(HOST, "n1")), bound()).refusals


def test_taints_that_come_and_go_do_not_count() -> None:
    cordoned = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    assert admits(node("n1", "a", cordoned), Placement({}))
    assert not admits(node("n1", "a", GPU), Placement({}))
    assert not admits(node("n1", "a", GPU), Placement({}, [{"key": GPU["key"], "value": "x"}]))
    assert admits(node("n1", "a", GPU), Placement({}, [{"key": GPU["key"], "operator": "Exists"}]))


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [("NotIn", ["a"], False), ("Exists", [], True), ("DoesNotExist", [], False), ("Gt", ["1"], False)],
)
def test_operators_of_a_term(operator: str, values: list[str], expected: bool) -> None:
    expression = {"key": ZONE, "operator": operator, "values": values}
    assert fits(node("n1", "a"), {"matchExpressions": [expression]}) is expected


def test_the_loader_runs_where_the_service_may_and_a_job_forgets_the_node_by_name() -> None:
    spec = pod(node_name="n1", node_terms=[term(ZONE, "b")], near="pvserve.io/loader")["spec"]
    [wanted] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert fits(node("n1", "b"), wanted)
    assert not fits(node("n2", "b"), wanted)
    assert not fits(node("n1", "a"), wanted)
    without_node(spec)
    [wanted] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert fits(node("n2", "b"), wanted)
    assert "podAffinity" in spec["affinity"]
    plain = pod(node_name="n1")["spec"]
    without_node(plain)
    assert "affinity" not in plain
