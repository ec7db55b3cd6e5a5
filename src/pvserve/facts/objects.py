"""Kubernetes objects as plain mappings, so that fields pvserve does not know survive.

Owns the few ways to look into one. Must not change one, nor know a client.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Object = Mapping[str, Any]
DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"  # Standard (or RawDeployment), Knative (or Serverless)


class ObjectKey(NamedTuple):
    """What names an object in a cluster."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def name(obj: Object) -> str:
    """`metadata.name`."""
    return str(obj["metadata"]["name"])


def namespace(obj: Object) -> str:
    """`metadata.namespace`, empty for what has none."""
    return str(obj["metadata"].get("namespace", ""))


def annotations_of(obj: Object) -> Mapping[str, str]:
    """`metadata.annotations`, empty when absent."""
    return obj["metadata"].get("annotations") or {}


def labels(obj: Object) -> Mapping[str, str]:
    """`metadata.labels`, empty when absent."""
    return obj["metadata"].get("labels") or {}


def key(obj: Object) -> ObjectKey:
    """What names the object."""
    return ObjectKey(str(obj["apiVersion"]), str(obj["kind"]), namespace(obj), name(obj))


def ref(obj: Object) -> str:
    """The object in words: `InferenceService llm/granite`."""
    return str(key(obj))
