"""An LLMInferenceService: what is said of it is in its own words, and Ready means its present place."""

from __future__ import annotations

from typing import Any

from pvserve.diagnose import ClaimEvidence, Evidence, findings, judge
from pvserve.diagnose.pods import service_claims

from .objects import LATER, NAMESPACE, START

READY = {"type": "Ready", "status": "True", "lastTransitionTime": START}


def service(uri: str = "pvc://models/llama", **conditions: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LLMInferenceService",
        "metadata": {"name": "llama", "namespace": NAMESPACE, "uid": "u", "creationTimestamp": START},
        "spec": {"model": {"uri": uri, "lora": {"adapters": [{"uri": "pvc://adapters/law"}, {"uri": "hf://a/b"}]}}},
        "status": {"conditions": [conditions or READY]},
    }


def deployment(claim: str = "models", path: str = "llama") -> dict[str, Any]:
    mount = {"name": "kserve-pvc-source", "mountPath": "/mnt/models", "subPath": path}
    volume = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
    pod = {"containers": [{"name": "main", "volumeMounts": [mount]}], "volumes": [volume]}
    return {
        "metadata": {"name": "llama-kserve", "generation": 1, "labels": {"kserve.io/component": "workload"}},
        "spec": {"replicas": 1, "template": {"spec": pod}},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    }


def evidence(made: dict[str, Any], *deployments: dict[str, Any], **more: Any) -> Evidence:
    return Evidence(name="llama", namespace=NAMESPACE, now=LATER, service=made, deployments=deployments, **more)


def test_it_is_ready_for_the_place_that_its_deployment_mounts() -> None:
    assert judge(evidence(service(), deployment())).ready
    assert not judge(evidence(service(), deployment(path="other"))).ready
    assert not judge(evidence(service(), deployment(claim="other"))).ready
    assert judge(evidence(service("hf://a/b"), deployment(claim="other"))).ready


def test_what_is_said_names_its_own_kind() -> None:
    [healthy] = findings(evidence(service(), deployment()))
    assert healthy.title == "LLMInferenceService llama is Ready; these were checked"
    assert healthy.evidence[0].object == "LLMInferenceService llama"
    assert judge(evidence(service(), deployment())).lines[0].object == "LLMInferenceService llama"


def test_presets_that_are_missing_end_the_wait_and_are_named() -> None:
    told = {"status": "False", "reason": "ConfigNotFound", "message": "template big-gpu not found"}
    broken = service(type="PresetsCombined", lastTransitionTime=LATER, **told)
    verdict = judge(evidence(broken))
    assert verdict.hopeless is not None
    assert verdict.hopeless.code == "ServiceRefused"
    assert "template big-gpu not found" in verdict.hopeless.evidence[0].observed
    assert verdict.hopeless.remedy == ("kubectl -n llm describe llminferenceservice llama",)


def test_a_claim_that_it_names_and_is_not_there_is_found_without_a_pod() -> None:
    assert service_claims(service()) == ("models", "adapters")
    unready = service(type="Ready", status="False", reason="MinimumReplicasUnavailable")
    found = findings(evidence(unready, deployment(), claims={"models": ClaimEvidence(None)}))
    assert "ClaimMissing" in {item.code for item in found}
