"""Reads Kubernetes' own types from an API server's OpenAPI (v3), by the names that KServe's SDK gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .sdk import Schema

# The API server's documents (below /openapi/v3) that hold the types KServe uses, and the packages they come from.
DOCUMENTS = {
    "api/v1": "io.k8s.api.core.v1.",
    "apis/apps/v1": "io.k8s.api.apps.v1.",
    "apis/autoscaling/v2": "io.k8s.api.autoscaling.v2.",
}
# The SDK's name of a type outside core/v1 -> Kubernetes' own name.
RENAMED = {
    "K8sIoApiAppsV1DeploymentStrategy": "io.k8s.api.apps.v1.DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior",
}
QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
INT_OR_STRING: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
LEAVES: dict[str, Schema] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {**INT_OR_STRING, "pattern": QUANTITY},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": INT_OR_STRING,
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": {"type": "string", "format": "date-time"},
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object"},  # of a claim inside a pod spec
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": {"type": "string", "format": "date-time"},
}
KEPT = ("type", "format", "required", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type")


def closure(wanted: Iterable[str], documents: Mapping[str, Any]) -> dict[str, Schema]:
    """The schemas of Kubernetes' types that `wanted` (names of the SDK) need, with all they refer to.

    A type that this Kubernetes does not have is missing from the result.
    """
    known = {
        name: schema for document in documents.values() for name, schema in document["components"]["schemas"].items()
    }
    found: dict[str, Schema] = {}
    waiting = [(name, _own_name(name)) for name in wanted]
    while waiting:
        name, own = waiting.pop()
        if name in found or own not in known:
            continue
        found[name] = _schema(known[own], waiting)
    return found


def _own_name(name: str) -> str:
    return RENAMED.get(name) or "io.k8s.api.core.v1." + re.sub(r"^V1", "", name)


def _schema(source: Schema, waiting: list[tuple[str, str]]) -> Schema:
    """One schema without descriptions; what it refers to is put on the waiting list."""
    if "$ref" in source:
        own = source["$ref"].rpartition("/")[2]
        if own in LEAVES:
            return dict(LEAVES[own])
        waiting.append((own, own))
        return {"$ref": own}
    if "allOf" in source:  # a reference with a description or a default beside it
        schema = _schema(source["allOf"][0], waiting)
    else:
        schema = {key: source[key] for key in KEPT if key in source}
    for key in ("items", "additionalProperties"):
        if isinstance(source.get(key), dict):
            schema[key] = _schema(source[key], waiting)
    if "properties" in source:
        schema["properties"] = {key: _property(value, waiting) for key, value in source["properties"].items()}
        for name in schema.get("required", ()):  # a default would make "required" empty words
            schema["properties"][name].pop("default", None)
    return schema


def _property(source: Schema, waiting: list[tuple[str, str]]) -> Schema:
    schema = _schema(source, waiting)
    if not isinstance(source.get("default", {}), dict):
        schema["default"] = source["default"]
    return schema
