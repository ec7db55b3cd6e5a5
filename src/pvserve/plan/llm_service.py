"""An LLMInferenceService, KServe's kind for large language models: its model, and the edit that serves it from a claim.

Owns its fields, as `edit_service` does those of an InferenceService. Pure.
Source: KServe pkg/apis/serving/v1alpha1/llm_inference_service_types.go; what it makes of one:
pkg/controller/v1alpha2/llmisvc (aaac4e2): `pvc://CLAIM/PATH` is mounted read-only at /mnt/models of container `main`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pvserve.facts import Object

LLM_API, LLM_KIND = "serving.kserve.io/v1alpha1", "LLMInferenceService"
URI = ("spec", "model", "uri")
SERVING = "main"  # its container that serves
POD_FIELDS = ("serviceAccountName", "imagePullSecrets")  # of the template, which a connection's webhook sets


def is_llm(service: Object | None) -> bool:
    """Whether it is one; an InferenceService else."""
    return service is not None and service.get("kind") == LLM_KIND


def llm_uri(service: Object) -> str:
    """Where its model is today."""
    return str((service["spec"].get("model") or {}).get("uri") or "")


def set_uri(made: dict[str, Any], uri: str) -> None:
    """Has it take its model from `uri`; its LoRA adapters stay where they are."""
    made["spec"].setdefault("model", {})["uri"] = uri
    if _mounts_nothing(made):
        del made["spec"]["storageInitializer"]


def uri_patch(service: Object, uri: str) -> dict[str, Any]:
    """The same as a merge patch."""
    gone = {"storageInitializer": None} if _mounts_nothing(service) else {}
    return {"spec": {"model": {"uri": uri}, **gone}}


def _mounts_nothing(service: Object) -> bool:
    """With it KServe puts no model into the pod, not even from a claim (workload_storage.go, attachModelArtifacts)."""
    return (service["spec"].get("storageInitializer") or {}).get("enabled") is False


def state_of(service: Object) -> dict[str, Any]:
    """Of its spec, all that an edit in place may alter, as it is; as a merge patch that brings it back."""
    spec = service["spec"]
    template = spec.get("template")
    kept: dict[str, Any] = {"model": {"uri": llm_uri(service)}, "storageInitializer": spec.get("storageInitializer")}
    if isinstance(template, dict):
        kept["template"] = {field: template.get(field) for field in POD_FIELDS}
    return kept


def pod_spec_of(service: Object) -> dict[str, Any]:
    """The pod spec that it names; {} where a preset of KServe's has it all."""
    template = service["spec"].get("template")
    return template if isinstance(template, dict) else {}


def most_replicas(service: Object) -> int:
    """The most pods that serve it; where an autoscaler has no limit, two."""
    spec = service["spec"]
    return max(_most(spec), _most(spec["prefill"]) if isinstance(spec.get("prefill"), dict) else 0)


def _most(workload: Object) -> int:
    scaling = workload.get("scaling")
    if isinstance(scaling, dict):
        return int(scaling.get("maxReplicas") or 2)
    replicas = workload.get("replicas")
    return replicas if isinstance(replicas, int) else 1


def several_nodes(service: Object) -> str:
    """In words, why it needs several nodes at once; "" where it does not."""
    spec = service["spec"]
    parts = (spec, spec.get("prefill") or {})
    if any(part.get("worker") is not None for part in parts):
        return "a leader and workers on several nodes (worker)"
    return "pods of their own for prefill and decode (prefill)" if spec.get("prefill") is not None else ""


def llm_notes(service: Object) -> Iterator[str]:
    """What is not seen in the edit."""
    if _mounts_nothing(service):
        yield "storageInitializer.enabled: false goes: with it KServe puts no model into the pod, not even from a claim"
    adapters = ((service["spec"].get("model") or {}).get("lora") or {}).get("adapters") or ()
    copied = sorted(str(item.get("name") or "") for item in adapters if not str(item.get("uri")).startswith("pvc://"))
    if copied:
        yield (
            f"LoRA adapters {', '.join(copied)} stay where they are, and KServe copies them into an emptyDir at each "
            "start: load them with `pvserve load` and name them as pvc://CLAIM/PATH"
        )


def foreign_presets(service: Object, namespace: str) -> str:
    """In words, presets that may not be there in another namespace; "" where it names none, or stays."""
    names = [str(item.get("name")) for item in service["spec"].get("baseRefs") or ()]
    if not names or service["metadata"].get("namespace") == namespace:
        return ""
    return f"presets {', '.join(names)} (baseRefs) must be in namespace {namespace}, or in KServe's own"
