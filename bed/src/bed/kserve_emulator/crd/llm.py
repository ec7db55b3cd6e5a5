"""The CustomResourceDefinition of LLMInferenceService v1alpha1, which KServe's SDK does not hold.

Written by hand from the published type (kserve pkg/apis/serving/v1alpha1/llm_inference_service_types.go, aaac4e2). Pod
specs and what the emulator refuses anyway (scaling, router, prefill, …) are taken as they come, unlike in KServe.
"""

from __future__ import annotations

from .sdk import Schema

STRING: Schema = {"type": "string"}
FREE: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
COUNT: Schema = {"type": "integer", "minimum": 1}
TEXTS: Schema = {"type": "object", "additionalProperties": STRING}
MODEL: Schema = {
    "type": "object",
    "required": ["uri"],
    "properties": {
        "uri": STRING,
        "name": STRING,
        "criticality": {"type": "string", "enum": ["Critical", "Standard", "Sheddable"]},
        "lora": {
            "type": "object",
            "properties": {
                "adapters": {"type": "array", "items": FREE},
                "maxRank": COUNT,
                "maxAdapters": COUNT,
                "maxCpuAdapters": COUNT,
            },
        },
    },
}
SPEC: Schema = {
    "type": "object",
    "properties": {
        "model": MODEL,
        "storageInitializer": {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
        "replicas": {"type": "integer", "minimum": 0},
        "labels": TEXTS,
        "annotations": TEXTS,
        "template": FREE,
        "worker": FREE,
        "baseRefs": {"type": "array", "items": {"type": "object", "properties": {"name": STRING}}},
        **dict.fromkeys(("scaling", "parallelism", "router", "prefill", "tracing", "rolloutStrategy"), FREE),
    },
}
COLUMNS = (
    ("URL", ".status.url", "string"),
    ("Ready", ".status.conditions[?(@.type=='Ready')].status", "string"),
    ("Reason", ".status.conditions[?(@.type=='Ready')].reason", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)
