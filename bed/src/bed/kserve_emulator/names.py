"""KServe's names: labels, annotations, containers, volumes, objects. Data and one-line rules only."""

from __future__ import annotations

import json
from typing import Any

Object = dict[str, Any]

GROUP = "serving.kserve.io"
SERVICE_VERSION = f"{GROUP}/v1beta1"
RUNTIME_VERSION = f"{GROUP}/v1alpha1"
NAMESPACE = "kserve"
CONFIG_MAP = "inferenceservice-config"
FINALIZER = "inferenceservice.finalizers"
CONTROLLER = "kserve-emulator"

# Labels
SERVICE_LABEL = f"{GROUP}/inferenceservice"
COMPONENT_LABEL = "component"
APP_LABEL = "app"
GENERATION_LABEL = "isvc.generation"
ROLE_LABEL = "multinode/role"
MODEL_CLASS_LABEL = "modelClass"

# Annotations that users set
DEPLOYMENT_MODE = f"{GROUP}/deploymentMode"
AUTOSCALER_CLASS = f"{GROUP}/autoscalerClass"
STOP = f"{GROUP}/stop"
SERVER_TYPE = f"{GROUP}/server-type"
GPU_TYPES = f"{GROUP}/gpu-resource-types"
READ_ONLY = "storage.kserve.io/readonly"
MODEL_FORMAT = "modelFormat"
METRIC_AGGREGATION = f"{GROUP}/enable-metric-aggregation"
PROMETHEUS_SCRAPING = f"{GROUP}/enable-prometheus-scraping"
PROMETHEUS_PORT = "prometheus.io/port"
PROMETHEUS_PATH = "prometheus.io/path"
EXECUTOR_BACKEND = "multinode/executor-backend"

# Annotations by which the controller tells the pod webhook what to inject
INTERNAL = f"internal.{GROUP}"
SOURCE_URI = f"{INTERNAL}/storage-initializer-sourceuri"
STORAGE_SPEC = f"{INTERNAL}/storage-spec"
STORAGE_SPEC_PARAMETERS = f"{INTERNAL}/storage-spec-param"
STORAGE_SPEC_KEY = f"{INTERNAL}/storage-spec-key"
LOGGER = f"{INTERNAL}/logger"
BATCHER = f"{INTERNAL}/batcher"

# Annotations of an InferenceService that its workloads do not inherit
NOT_INHERITED = (
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/max-scale",
    SOURCE_URI,
    "kubectl.kubernetes.io/last-applied-configuration",
    MODEL_FORMAT,
)

# Containers, volumes, places
SERVING_CONTAINER = "kserve-container"
TRANSFORMER_CONTAINER = "transformer-container"
WORKER_CONTAINER = "worker-container"
INITIALIZER = "storage-initializer"
CLAIM_VOLUME = "kserve-pvc-source"
PROVISION_VOLUME = "kserve-provision-location"
MODEL_PATH = "/mnt/models"
SCHEME_PLACEHOLDER = "<scheme-placeholder>"
HTTP_PORT = 8080
AGENT_PORT = 9081

STANDARD = "Standard"
LEGACY_MODES = {"RawDeployment": STANDARD, "Serverless": "Knative"}
GPUS = ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi")


def predictor_name(service: Object) -> str:
    """The name of the predictor's Deployment and Service; `spec.predictor.name` makes a variant of it."""
    variant = service["spec"]["predictor"].get("name")
    name: str = service["metadata"]["name"]
    return f"{name}-{variant}-predictor" if variant else f"{name}-predictor"


def transformer_name(service: Object) -> str:
    """The name of the transformer's Deployment and Service."""
    return f"{service['metadata']['name']}-transformer"


def stopped(owner: Object) -> bool:
    """Whether `serving.kserve.io/stop` asks for no pods."""
    return str(annotations_of(owner).get(STOP, "")).lower() == "true"


def annotations_of(item: Object) -> dict[str, str]:
    """An object's annotations, never None."""
    found: dict[str, str] = item.get("metadata", {}).get("annotations") or {}
    return found


def labels_of(item: Object) -> dict[str, str]:
    """An object's labels, never None."""
    found: dict[str, str] = item.get("metadata", {}).get("labels") or {}
    return found


def container(pod: Object, name: str) -> Object | None:
    """The container of a pod spec with this name."""
    return next((item for item in pod.get("containers") or () if item.get("name") == name), None)


def env_value(env: list[Object] | None, name: str) -> str | None:
    """The literal value of an environment variable; None when it is not in the list."""
    return next((item.get("value", "") for item in env or () if item["name"] == name), None)


def set_env(target: Object, name: str, value: str) -> None:
    """Sets an environment variable of a container in place, at the end if it is new."""
    env = target.setdefault("env", [])
    for item in env:
        if item["name"] == name:
            item["value"] = value
            return
    env.append({"name": name, "value": value})


def compact_json(value: Any) -> str:
    """JSON as Go writes it: no spaces, keys of maps sorted."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


class RefusedError(Exception):
    """KServe would not act on this InferenceService.

    The text is the event KServe emits; `failure` is (reason, message) of `status.modelStatus.lastFailureInfo`;
    `condition` is (reason, message) of the predictor's Ready condition, for the few refusals that set it.
    """

    def __init__(
        self, message: str, failure: tuple[str, str] | None = None, condition: tuple[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.condition = condition
