"""What KServe's validating webhooks refuse at the API, with their messages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from .defaulting import implementations
from .names import (
    AUTOSCALER_CLASS,
    DEPLOYMENT_MODE,
    GPU_TYPES,
    GPUS,
    SERVING_CONTAINER,
    TRANSFORMER_CONTAINER,
    Object,
    annotations_of,
    env_value,
)

NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
AUTOSCALERS = ("hpa", "external", "keda", "none")
SIZE_FIELDS = {"pipelineParallelSize": "PipelineParallelSize", "tensorParallelSize": "TensorParallelSize"}
SIZE_VARIABLES = ("PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE")
BLOCKED_VARIABLE = "PYTHONPATH"
PREDICTOR_FIELDS = (  # KServe lists the fields of its Go type
    "Name, SKLearn, XGBoost, Tensorflow, PyTorch, Triton, ONNX, HuggingFace, PMML, LightGBM, Paddle, Model, "
    "StorageUris, StorageContainerName, WorkerSpec, PodSpec"
)
ORDINARY_RESOURCES = ("cpu", "memory", "storage", "ephemeral-storage")


def complaint_about_service(service: Object, old: Object | None) -> str:
    """Why KServe refuses this InferenceService, or "". `old` is what is stored, on update."""
    predictor = service["spec"].get("predictor") or {}
    checks = (
        _mode(service, old),
        _variant(service, old),
        _name(service),
        _autoscaler(service),
        _variables(service),
        _workers(service),
        _collocated(predictor),
        _model_name(predictor),
        _storage_uris(service),
        _implementation(predictor),
        *(_replicas(service["spec"].get(part)) for part in ("predictor", "transformer", "explainer")),
    )
    return next((text for text in checks if text), "")


def complaint_about_runtime(runtime: Object, old: Object | None) -> str:
    """Why KServe refuses this ServingRuntime or ClusterServingRuntime, or ""."""
    spec = runtime["spec"]
    if spec.get("disabled"):
        return ""
    subject = f"the {runtime['kind']} {runtime['metadata']['name']} is invalid: "
    workers = spec.get("workerSpec")
    if workers is None and old is not None and old["spec"].get("workerSpec") is not None:
        return subject + "removing workerSpec where it already exists is not allowed"
    if workers is not None:
        text = _runtime_workers(spec, workers)
        if text:
            return subject + text
    containers = [*(spec.get("containers") or ()), *((workers or {}).get("containers") or ())]
    text = _blocked(containers)
    return f'the {runtime["kind"]} "{runtime["metadata"]["name"]}" is invalid: {text}' if text else ""


def _runtime_workers(spec: Object, workers: Object) -> str:
    if len(workers.get("containers") or ()) > 1:
        return "setting multiple containers in workerSpec is not allowed"
    for item in spec.get("containers") or ():
        if item.get("name") == SERVING_CONTAINER:
            for variable in SIZE_VARIABLES:
                if env_value(item.get("env"), variable) is not None:
                    return f"setting {variable} in environment variables is not allowed"
    for field, label in SIZE_FIELDS.items():
        if workers.get(field, 1) < 1:
            return f"the WorkerSpec.{label} cannot be less than 1({workers[field]})"
    return ""


def _mode(service: Object, old: Object | None) -> str:
    stored = ((old or {}).get("status") or {}).get("deploymentMode")
    asked = annotations_of(service).get(DEPLOYMENT_MODE)
    if stored and asked and asked != stored:
        return f"update rejected: deploymentMode cannot be changed from '{stored}' to '{asked}'"
    return ""


def _variant(service: Object, old: Object | None) -> str:
    if old is None:
        return ""
    before, after = old["spec"].get("predictor") or {}, service["spec"].get("predictor") or {}
    uris = [(item.get("model") or {}).get("storageUri") for item in (before, after)]
    if before.get("name") != after.get("name") and uris[0] == uris[1]:
        return "predictor.name change requires a model change (e.g. storageUri)"
    return ""


def _name(service: Object) -> str:
    name = service["metadata"].get("name") or ""
    if re.fullmatch(NAME, name):
        return ""
    return (
        f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower case alphanumeric '
        'characters or \'-\', and must start with alphabetical character. (e.g. "my-name" or "abc-123", regex used '
        f"for validation is '{NAME}')"
    )


def _autoscaler(service: Object) -> str:
    value = annotations_of(service).get(AUTOSCALER_CLASS)
    return "" if value is None or value in AUTOSCALERS else f"[{value}] is not a supported autoscaler class type"


def _variables(service: Object) -> str:
    spec = service["spec"]
    predictor = spec.get("predictor") or {}
    parts = (predictor, predictor.get("workerSpec"), spec.get("transformer"), spec.get("explainer"))
    containers = [
        item for part in parts for key in ("containers", "initContainers") for item in (part or {}).get(key) or ()
    ]
    text = _blocked([*containers, *([predictor["model"]] if predictor.get("model") else [])])
    return f'the InferenceService "{service["metadata"]["name"]}" is invalid: {text}' if text else ""


def _blocked(containers: Iterable[Object]) -> str:
    for item in containers:
        if any(variable["name"] == BLOCKED_VARIABLE for variable in item.get("env") or ()):
            name = item.get("name", "")
            return f'setting {BLOCKED_VARIABLE} in container "{name}" is not allowed for security reasons'
    return ""


def _workers(service: Object) -> str:
    predictor = service["spec"].get("predictor") or {}
    workers = predictor.get("workerSpec")
    if workers is None:
        return ""
    subject = f'the InferenceService "{service["metadata"]["name"]}" is invalid: '
    if len(workers.get("containers") or ()) > 1:
        return subject + "setting multiple containers in workerSpec is not allowed"
    text = _worker_model(service, predictor["model"]) if predictor.get("model") else ""
    for field, label in SIZE_FIELDS.items():
        if not text and workers.get(field, 1) < 1:
            text = f"WorkerSpec.{label} cannot be less than 1({workers[field]})"
    return subject + text if text else ""


def _worker_model(service: Object, model: Object) -> str:
    for variable in SIZE_VARIABLES:
        if env_value(model.get("env"), variable) is not None:
            return f"setting {variable} in environment variables is not allowed"
    resources = model.get("resources") or {}
    wanted = {name for kind in ("limits", "requests") for name in resources.get(kind) or ()}
    if wanted - set(ORDINARY_RESOURCES) - set(GPUS):
        return f"Unknown GPU resource type. Set '{GPU_TYPES}' annotation to use custom gpu resource type"
    uri = model.get("storageUri")
    if uri is None:
        return "StorageURI must be set for multinode enabled"
    scheme = uri.partition("://")[0]
    if scheme not in ("pvc", "oci"):
        return f"Multinode only supports 'pvc' and 'oci' Storage Protocol({scheme})"
    scaler = annotations_of(service).get(AUTOSCALER_CLASS, "")
    return "" if scaler == "none" else f"Multinode only supports 'none' autoscaler({scaler})"


def _collocated(predictor: Object) -> str:
    for item in predictor.get("containers") or ():
        if item.get("name") == TRANSFORMER_CONTAINER:
            given = env_value(item.get("env"), "STORAGE_URI") is not None
            return "storage uri should not be specified in transformer container" if given else ""
    return ""


def _model_name(predictor: Object) -> str:
    named = (predictor.get("model") or {}).get("name")
    return "the 'name' field is not allowed in standard predictor" if named else ""


def _storage_uris(service: Object) -> str:
    for part in ("transformer", "explainer", "predictor"):
        component = service["spec"].get(part) or {}
        uris = component.get("storageUris")
        if uris is None:
            continue
        if (component.get("model") or {}).get("storageUri") is not None:
            return "Setting both StorageURI and StorageURIs is not supported."
        text = next((text for item in uris if (text := _mount_path(item))), "") or _common_parent(uris)
        if text:
            return text
    return ""


def _mount_path(item: Object) -> str:
    path = item.get("mountPath", "")
    if path == "/":
        return "storage path cannot be empty"
    if not path.startswith("/"):
        return f"storage path must be absolute: {path}"
    return f"storage path cannot contain '..' for security reasons: {path}" if ".." in path else ""


def _common_parent(uris: Sequence[Object]) -> str:
    """Downloads share one emptyDir, so their places must have a directory in common below the root."""
    paths = [item["mountPath"] for item in uris if not item["uri"].startswith("pvc://")]
    if len(paths) < 2:
        return ""
    claims = [item["mountPath"] for item in uris if item["uri"].startswith("pvc://")]
    if any(first == second for first, second in pairwise(sorted(claims))):
        return "PVC storage paths must be unique"
    if len({path.strip("/").partition("/")[0] for path in paths}) > 1:
        listed = " ".join(paths)
        return (
            "storage paths must have a common parent directory. "
            f"Current paths: [{listed}] have no common parent beyond root"
        )
    return ""


def _implementation(predictor: Object) -> str:
    if len(implementations(predictor)) == 1:
        return ""
    return f"exactly one of [{PREDICTOR_FIELDS}] must be specified in PredictorSpec"


def _replicas(component: Object | None) -> str:
    if component is None:
        return ""
    least, most = component.get("minReplicas", 1), component.get("maxReplicas", 0)
    if least < 0:
        return "'MinReplicas' cannot be less than 0"
    if most < 0:
        return "'MaxReplicas' cannot be less than 0"
    return "'MinReplicas' cannot be greater than MaxReplicas" if most and least > most else ""
