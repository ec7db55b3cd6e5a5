"""KServe's CustomResourceDefinitions, made of `schemas.json`. Pure but for reading that file."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from bed.kserve_emulator.names import GROUP, Object

from . import llm, model_cache
from .sdk import Schema

SCHEMAS = Path(__file__).with_name("schemas.json")
ROOTS = {
    "service": "V1beta1InferenceServiceSpec",
    "status": "V1beta1InferenceServiceStatus",
    "runtime": "V1alpha1ServingRuntimeSpec",
}
_READY = ".status.conditions[?(@.type=='Ready')].status"
_TRAFFIC = ".status.components.predictor.traffic"
# Name, where it comes from, type: what `kubectl get` shows.
SERVICE_COLUMNS = (
    ("URL", ".status.url", "string"),
    ("Ready", _READY, "string"),
    ("Prev", f"{_TRAFFIC}[?(@.tag=='prev')].percent", "integer"),
    ("Latest", f"{_TRAFFIC}[?(@.latestRevision==true)].percent", "integer"),
    ("PrevRolledoutRevision", f"{_TRAFFIC}[?(@.tag=='prev')].revisionName", "string"),
    ("LatestReadyRevision", f"{_TRAFFIC}[?(@.latestRevision==true)].revisionName", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)
RUNTIME_COLUMNS = (
    ("Disabled", ".spec.disabled", "boolean"),
    ("ModelType", ".spec.supportedModelFormats[*].name", "string"),
    ("Containers", ".spec.containers[*].name", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)


def custom_resource_definitions() -> list[Object]:
    """InferenceService v1beta1; the runtimes, LLMInferenceService and LocalModelNamespaceCache v1alpha1."""
    known = json.loads(SCHEMAS.read_text())["definitions"]
    spec = {name: expand({"$ref": root}, known) for name, root in ROOTS.items()}
    # KServe keeps what it does not know in a status, and nowhere else.
    service = {"spec": spec["service"], "status": {**spec["status"], "x-kubernetes-preserve-unknown-fields": True}}
    # The SDK does not say what a runtime's status holds; KServe never writes one.
    runtime = {"spec": spec["runtime"], "status": {"type": "object"}}
    return [
        _definition("InferenceService", "v1beta1", "Namespaced", service, SERVICE_COLUMNS, ["isvc"]),
        _definition("ServingRuntime", "v1alpha1", "Namespaced", runtime, RUNTIME_COLUMNS, []),
        _definition("ClusterServingRuntime", "v1alpha1", "Cluster", deepcopy(runtime), RUNTIME_COLUMNS, []),
        _definition(
            "LLMInferenceService",
            "v1alpha1",
            "Namespaced",
            {"spec": llm.SPEC, "status": dict(llm.FREE)},
            llm.COLUMNS,
            ["llmisvc"],
        ),
        _definition(
            "LocalModelNamespaceCache",
            "v1alpha1",
            "Namespaced",
            {"spec": model_cache.SPEC, "status": model_cache.STATUS},
            model_cache.COLUMNS,
            [],
        ),
    ]


def expand(schema: Schema, known: dict[str, Schema]) -> Schema:
    """A schema with every reference replaced by what it refers to, as a CustomResourceDefinition needs it."""
    if "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return expand(known[schema["$ref"]], known) | beside
    result = dict(schema)
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = expand(schema[key], known)
    if "properties" in schema:
        result["properties"] = {key: expand(value, known) for key, value in schema["properties"].items()}
    return result


def _definition(
    kind: str,
    version: str,
    scope: str,
    parts: dict[str, Schema],
    columns: tuple[tuple[str, str, str], ...],
    short: list[str],
) -> Object:
    plural = kind.lower() + "s"
    names: dict[str, Any] = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    if short:
        names["shortNames"] = short
    string = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {"apiVersion": string, "kind": string, "metadata": {"type": "object"}, **parts},
    }
    served: Object = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [
            dict(zip(("name", "jsonPath", "type"), column, strict=True)) for column in columns
        ],
    }
    if kind.endswith(("InferenceService", "Cache")):
        served["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/managed-by": "kserve-emulator"}},
        "spec": {"group": GROUP, "names": names, "scope": scope, "versions": [served]},
    }
