"""Whether the cluster's KServe imports models onto claims itself, and which it imports.

Owns the reading of LocalModelNamespaceCache and of its published fields. Must not decide anything.
"""

from __future__ import annotations

from typing import Any

from pvserve.cluster.client import Cluster
from pvserve.facts import CacheFacts, Unknown
from pvserve.plan.model_cache import API, FIELD, KIND


def read_model_caches(cluster: Cluster, namespace: str) -> CacheFacts:
    """The caches of `namespace`, and whether the kind has the field, as the API server's OpenAPI document says."""
    caches = cluster.find_all(API, KIND, namespace)
    if isinstance(caches, Unknown) and caches.cause == "no-such-api":
        return CacheFacts(False)
    return CacheFacts(_has_field(cluster), caches)


def _has_field(cluster: Cluster) -> bool | Unknown:
    path = f"/openapi/v3/apis/{API}"
    answer = cluster.raw("GET", path)
    if answer.status != 200:
        return Unknown(f"{path} answers HTTP {answer.status}")
    schemas: Any = (answer.json().get("components") or {}).get("schemas") or {}
    for schema in schemas.values():
        kinds = [item.get("kind") for item in schema.get("x-kubernetes-group-version-kind") or ()]
        if KIND in kinds:
            spec = (schema.get("properties") or {}).get("spec") or {}
            return FIELD in (spec.get("properties") or {})
    return Unknown(f"{path} does not describe {KIND}")
