"""Facts of a claim and its volume, as tests of commands on them start from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pvserve.facts import NamespaceFacts, Object, Right, Unknown, VolumeFacts
from pvserve.plan.steps import PatchObject, Plan

MODELS = '{"granite": {"manifest": "sha256:1"}}'
PATCH_VOLUME = Right("patch", "", "persistentvolumes")
FORBIDDEN = Unknown("forbidden", "forbidden")


def a_claim(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "a",
            "namespace": "llm",
            "uid": "claim-1",
            "resourceVersion": "7",
            "annotations": {"pvserve.io/models": MODELS},
        },
        "spec": {
            "volumeName": "pv",
            "storageClassName": "fast",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
            **spec,
        },
        "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
    }


def a_volume(policy: str = "Delete", phase: str = "Bound", **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "pv", "uid": "volume-1", "resourceVersion": "9", "annotations": annotations},
        "spec": {
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": "fast",
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "10Gi"},
            "claimRef": {"namespace": "llm", "name": "a", "uid": "claim-1", "resourceVersion": "5"},
        },
        "status": {"phase": phase},
    }


def facts(**changed: Any) -> VolumeFacts:
    found = VolumeFacts(
        NamespaceFacts("llm", {"metadata": {"name": "llm"}}),
        a_claim(),
        a_volume(),
        {"metadata": {"name": "fast"}, "allowVolumeExpansion": True},
    )
    return replace(found, **changed)


def released(**annotations: str) -> VolumeFacts:
    return facts(claim=None, volume=a_volume("Retain", "Released", **annotations))


def patch_of(plan: Plan) -> Any:
    return next(step.patch for step in plan.steps if isinstance(step, PatchObject))


def refusal(plan: Plan) -> str:
    assert not plan.steps
    return plan.refusals[0].reason


def a_service(spec: Any) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "s", "namespace": "llm"},
        "spec": spec,
    }


def a_pod(phase: str) -> Object:
    mounted = {"name": "c", "persistentVolumeClaim": {"claimName": "a"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "llm"},
        "spec": {"volumes": [mounted]},
        "status": {"phase": phase},
    }
