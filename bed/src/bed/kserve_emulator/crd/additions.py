"""What KServe's API says and its SDK's models do not: left-out types, defaults, enumerations, keys of lists. Data only.

Source of each: the API reference of KServe 0.21 (types, defaults, allowed values) and Kubernetes' for embedded pods.
"""

from __future__ import annotations

from .core import INT_OR_STRING, QUANTITY
from .sdk import Schema

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}

# Go types that are written as one string, or that the SDK names but does not hold.
TYPES: dict[str, Schema] = {
    "KnativeURL": STRING,
    "KnativeVolatileTime": {"type": "string", "format": "date-time"},
    "V1Time": {"type": "string", "format": "date-time"},
    "ResourceQuantity": {**INT_OR_STRING, "pattern": QUANTITY},
    "V1beta1MetricQuantity": {**INT_OR_STRING, "pattern": QUANTITY},
    "KnativeDevServingPkgApisServingV1TrafficTarget": {
        "type": "object",
        "properties": {
            "configurationName": STRING,
            "latestRevision": {"type": "boolean"},
            "percent": INTEGER,
            "revisionName": STRING,
            "tag": STRING,
            "url": STRING,
        },
    },
}
# The workers of a ServingRuntime: a runtime's pod spec and the two sizes.
WORKER_SPEC = ("V1alpha1WorkerSpec", "V1alpha1ServingRuntimePodSpec", ("pipelineParallelSize", "tensorParallelSize"))

# Fields that KServe's definitions leave out of every pod spec.
LEFT_OUT = ("ephemeralContainers",)
# Type -> fields without which an object is refused. KServe asks for none in a model's inlined container.
REQUIRED: dict[str, list[str]] = {
    "V1beta1ModelFormat": ["name"],
    "V1alpha1SupportedModelFormat": ["name"],
    "V1beta1StorageUri": ["uri"],
    "V1beta1AuthenticationRef": ["name"],
}
_STATES = ["", "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"]
_METRIC_TARGETS = ["Utilization", "Value", "AverageValue"]
# Type -> field -> what is added to its schema.
FIELDS: dict[str, dict[str, Schema]] = {
    "V1beta1StorageUri": {
        "uri": {"minLength": 1},
        "mountPath": {"default": "/mnt/models", "pattern": "^/.*", "maxLength": 255},
    },
    "V1beta1ModelStatus": {
        "transitionStatus": {
            "default": "UpToDate",
            "enum": ["", "UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"],
        }
    },
    "V1beta1ModelRevisionStates": {
        "activeModelState": {"default": "Pending", "enum": _STATES},
        "targetModelState": {"default": "", "enum": _STATES},
    },
    "V1beta1ModelCopies": {"failedCopies": {"default": 0}},
    "V1beta1FailureInfo": {
        "reason": {
            "enum": [
                "ModelLoadFailed",
                "RuntimeUnhealthy",
                "RuntimeDisabled",
                "NoSupportingRuntime",
                "RuntimeNotRecognized",
                "InvalidPredictorSpec",
            ]
        }
    },
    "V1beta1PredictorSpec": {"name": {"pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}},
    "V1beta1CanarySpec": {"trafficPercent": {"minimum": 0, "maximum": 100}},
    "V1beta1InferenceServiceSpec": {"canary": {"x-kubernetes-list-type": "atomic"}},
    "V1beta1InferenceServiceStatus": {"canaryStatuses": {"x-kubernetes-list-type": "atomic"}},
    "V1beta1ExternalMetrics": {"backend": {"enum": ["prometheus", "graphite"]}},
    "V1beta1PodMetrics": {"backend": {"enum": ["opentelemetry"]}},
    "V1beta1MetricTarget": {"type": {"enum": _METRIC_TARGETS}},
    "V1beta1ResourceMetricSource": {"name": {"enum": ["cpu", "memory"]}},
    "V1beta1MetricsSpec": {"type": {"enum": ["Resource", "External", "PodMetric"]}},
    "V1beta1LoggerSpec": {"mode": {"enum": ["all", "request", "response"]}},
    "V1alpha1SupportedModelFormat": {"priority": {"minimum": 1}},
}
# Fields of any component with these names.
COMPONENT_FIELDS: dict[str, Schema] = {
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "scaleMetricType": {"enum": _METRIC_TARGETS},
    "storageUris": {"minItems": 1, "x-kubernetes-list-type": "atomic"},
}
# Lists of a pod spec whose elements server-side apply merges; KServe's own pod specs leave the others atomic.
POD_LISTS: dict[str, list[str]] = {
    "resourceClaims": ["name"],
    "schedulingGates": ["name"],
    "topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
}
