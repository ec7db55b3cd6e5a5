"""Whom the loader pod's NetworkPolicy admits, and that it reaches nobody."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.plan.loader_policy import loader_policy

POD = {
    "metadata": {
        "name": "pvserve-load-x1",
        "namespace": "llm",
        "uid": "u-1",
        "labels": {"pvserve.io/loader": "abc", "app.kubernetes.io/managed-by": "pvserve"},
    }
}
NOTEBOOK: dict[str, Any] = {
    "metadata": {"name": "nb-0", "namespace": "ds", "labels": {"notebook-name": "nb", "app": "nb"}},
    "spec": {},
}


def policy(sender: dict[str, Any] | None, by_address: bool = True) -> dict[str, Any]:
    return loader_policy(POD, sender, by_address=by_address)


def test_the_sender_and_nobody_else_is_admitted() -> None:
    spec = policy(NOTEBOOK)["spec"]
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ds"}},
        "podSelector": {"matchLabels": {"notebook-name": "nb", "app": "nb"}},
    }
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == [{"from": [peer], "ports": [{"protocol": "TCP"}]}]


@pytest.mark.parametrize("sender", [None, NOTEBOOK])
def test_nobody_is_admitted_where_nothing_comes_by_the_pods_address(sender: dict[str, Any] | None) -> None:
    spec = policy(sender, by_address=False)["spec"]
    assert (spec["policyTypes"], spec["ingress"]) == (["Ingress", "Egress"], [])


@pytest.mark.parametrize(
    "sender",
    [None, {**NOTEBOOK, "spec": {"hostNetwork": True}}, {"metadata": {"name": "bare", "namespace": "ds"}, "spec": {}}],
    ids=["no pod", "in the node's network", "without labels"],
)
def test_a_sender_that_no_policy_can_name_is_not_shut_out(sender: dict[str, Any] | None) -> None:
    spec = policy(sender)["spec"]
    assert spec["policyTypes"] == ["Egress"]
    assert "ingress" not in spec


@pytest.mark.parametrize("sender", [None, NOTEBOOK])
@pytest.mark.parametrize("by_address", [True, False])
def test_the_pod_reaches_nobody_whoever_sends(sender: dict[str, Any] | None, by_address: bool) -> None:
    spec = policy(sender, by_address)["spec"]
    assert "Egress" in spec["policyTypes"]
    assert spec["egress"] == []


def test_it_selects_this_pod_alone_and_goes_with_it() -> None:
    made = policy(None)
    assert made["spec"]["podSelector"] == {"matchLabels": {"pvserve.io/loader": "abc"}}
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "pvserve-load-x1", "uid": "u-1"}
    assert made["metadata"]["ownerReferences"] == [owner]
    assert made["metadata"]["namespace"] == "llm"
