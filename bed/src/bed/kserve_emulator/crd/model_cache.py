"""The CustomResourceDefinition of LocalModelNamespaceCache v1alpha1 with `spec.pvcRef`, which no SDK holds yet.

Written by hand from the published type (kserve pkg/apis/serving/v1alpha1/local_model_namespace_cache_types.go and
status types, 9dc0cc4), its rules included. The emulator has no controller for it: nothing is imported.
"""

from __future__ import annotations

from .core import INT_OR_STRING, QUANTITY
from .sdk import Schema

STRING: Schema = {"type": "string"}
TEXTS: Schema = {"type": "object", "additionalProperties": STRING}
NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


def _fixed(message: str) -> list[Schema]:
    return [{"rule": "self == oldSelf", "message": message}]


SPEC: Schema = {
    "type": "object",
    "required": ["modelSize", "sourceModelUri"],
    "properties": {
        "sourceModelUri": {**STRING, "x-kubernetes-validations": _fixed("StorageUri is immutable")},
        "modelSize": {**INT_OR_STRING, "pattern": QUANTITY},
        "nodeGroups": {"type": "array", "minItems": 1, "items": STRING},
        "pvcRef": {
            **STRING,
            "minLength": 1,
            "maxLength": 253,
            "pattern": NAME,
            "x-kubernetes-validations": _fixed("pvcRef is immutable"),
        },
        "serviceAccountName": STRING,
        "storage": {"type": "object", "properties": {"key": STRING, "parameters": TEXTS}},
    },
    "x-kubernetes-validations": [
        {
            "rule": "!(has(self.nodeGroups) && has(self.pvcRef))",
            "message": "nodeGroups and pvcRef are mutually exclusive",
        },
        {"rule": "has(self.nodeGroups) || has(self.pvcRef)", "message": "one of nodeGroups or pvcRef must be set"},
    ],
}
_USERS: Schema = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": STRING, "namespace": STRING}},
}
STATUS: Schema = {
    "type": "object",
    "properties": {
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["lastTransitionTime", "message", "reason", "status", "type"],
                "properties": {
                    "lastTransitionTime": {**STRING, "format": "date-time"},
                    "message": {**STRING, "maxLength": 32768},
                    "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                    "reason": {**STRING, "minLength": 1, "maxLength": 1024},
                    "status": {**STRING, "enum": ["True", "False", "Unknown"]},
                    "type": {**STRING, "maxLength": 316},
                },
            },
        },
        "copies": {
            "type": "object",
            "properties": {key: {"type": "integer"} for key in ("available", "failed", "total")},
        },
        "inferenceServices": _USERS,
        "llmInferenceServices": _USERS,
        "nodeStatus": TEXTS,
    },
}
COLUMNS = (
    ("Ready", ".status.conditions[?(@.type=='Ready')].status", "string"),
    ("Reason", ".status.conditions[?(@.type=='Ready')].reason", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)
