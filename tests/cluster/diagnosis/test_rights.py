"""What a user may not read is unknown, and never absent."""

from __future__ import annotations

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_evidence
from pvserve.diagnose import findings, judge
from pvserve.facts import Unknown
from tests.cluster.ui_service import pvserve

from .stage import Stage

pytestmark = pytest.mark.cluster

RBAC = "rbac.authorization.k8s.io/v1"
SERVING = {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["get", "list"]}
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}


def _user(stage: Stage, name: str, *rules: dict[str, list[str]]) -> Cluster:
    """A ServiceAccount with these rules, as the one who asks."""
    subject = {"kind": "ServiceAccount", "name": name, "namespace": stage.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    metadata = {"name": name}
    stage.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": RBAC, "kind": "Role", "metadata": metadata, "rules": list(rules)},
        {"apiVersion": RBAC, "kind": "RoleBinding", "metadata": metadata, "subjects": [subject], "roleRef": role},
    )
    user = f"system:serviceaccount:{stage.namespace}:{name}"
    return Cluster.connect(namespace=stage.namespace, as_user=user)


def test_claim_that_may_not_be_read_is_not_called_missing(stage: Stage) -> None:
    stage.ready("healthy")
    user = _user(stage, "reader", SERVING, PODS)
    evidence = read_evidence(user, stage.namespace, "healthy")
    assert isinstance(evidence.claims["models"].object, Unknown)
    found = {item.code: item for item in findings(evidence)}
    assert "ClaimMissing" not in found
    unread = found["NotReadable"]
    assert "PersistentVolumeClaim models" in unread.title
    assert "events" in unread.title
    assert any("cannot list" in item.observed or "may not" in item.observed for item in unread.evidence), unread
    assert {line.state for line in judge(evidence).lines if line.object.startswith("PersistentVolumeClaim")} == {
        "unknown"
    }


def test_rights_that_lack_are_named_and_the_answer_is_unknown(stage: Stage) -> None:
    stage.ready("healthy")
    user = f"system:serviceaccount:{stage.namespace}:poor"
    _user(stage, "poor", SERVING, PODS)
    found = pvserve("doctor", "healthy", "-n", stage.namespace, "--as", user)
    assert found.code == 10, found.explained()
    findings_of = found.lines[-1]["services"][0]["findings"]
    unread = next(item for item in findings_of if item["code"] == "NotReadable")
    assert "PersistentVolumeClaim models" in unread["title"]
    assert f"kubectl auth can-i --list -n {stage.namespace}" in unread["remedy"]


def test_service_that_may_not_be_read_is_not_called_missing(stage: Stage) -> None:
    user = _user(stage, "stranger", PODS)
    evidence = read_evidence(user, stage.namespace, "healthy")
    verdict = judge(evidence)
    assert verdict.hopeless is None
    assert not verdict.ready
    assert [item.code for item in findings(evidence)] == ["NotReadable"]
