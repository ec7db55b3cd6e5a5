"""The predictor: one InferenceService and its runtime -> pod spec, labels, annotations. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Set
from copy import deepcopy
from dataclasses import dataclass

from .defaulting import FRAMEWORKS, serving_container
from .merge import merge_containers, strategic_merge
from .names import (
    BATCHER,
    COMPONENT_LABEL,
    LOGGER,
    NOT_INHERITED,
    SCHEME_PLACEHOLDER,
    SERVICE_LABEL,
    SERVING_CONTAINER,
    SOURCE_URI,
    STORAGE_SPEC,
    STORAGE_SPEC_KEY,
    STORAGE_SPEC_PARAMETERS,
    TRANSFORMER_CONTAINER,
    Object,
    RefusedError,
    annotations_of,
    compact_json,
    container,
    env_value,
    labels_of,
    predictor_name,
    set_env,
)
from .selection import Runtime, image_for

# Fields of a component that are not its pod spec; all others are.
EXTENSION_FIELDS = {
    *("annotations", "labels", "logger", "batcher", "timeout", "deploymentStrategy", "containerConcurrency"),
    *("minReplicas", "maxReplicas", "scaleMetric", "scaleMetricType", "scaleTarget", "autoScaling"),
    "canaryTrafficPercent",
}
PREDICTOR_FIELDS = {
    *(*FRAMEWORKS, "model", "name", "storageContainerName", "storageUris", "workerSpec"),
    *EXTENSION_FIELDS,
}
# What of a runtime's pod spec KServe uses, beside the containers.
RUNTIME_POD_FIELDS = (
    *("nodeSelector", "affinity", "tolerations", "schedulerName"),
    *("volumes", "imagePullSecrets", "resourceClaims"),
)
# Fields of `model` that are not its container.
MODEL_FIELDS = {"modelFormat", "runtime", "runtimeVersion", "protocolVersion", "storageUri", "storage", "confidential"}
URI_SCHEMES = (
    *("gs://", "s3://", "pvc://", "file://", "https://", "http://", "hdfs://", "webhdfs://"),
    *("oci://", "oci+native://", "oci+fetch://", "hf://"),
)
PLACEHOLDER = re.compile(r"\{\{\s*(?:index\s+)?\.(\w+)(?:\.([\w-]+)|\s+\\?\"([^\"\\]+)\\?\")?\s*\}\}")


@dataclass
class Workload:
    """One component before it becomes a Deployment: its metadata, its pod spec, its part of the InferenceService."""

    name: str
    namespace: str
    labels: dict[str, str]
    annotations: dict[str, str]
    pod: Object
    component: Object


def inherited(source: Mapping[str, str]) -> dict[str, str]:
    """The annotations that workloads take over from an InferenceService or a runtime."""
    return {key: value for key, value in source.items() if key not in NOT_INHERITED}


def predictor_workload(service: Object, runtime: Runtime | None) -> Workload:
    """The predictor's pods.

    Args:
        service: the InferenceService, with the runtime's defaults already in it.
        runtime: None for a predictor with containers of its own.

    Raises:
        RefusedError: as KServe words it.
    """
    predictor = service["spec"]["predictor"]
    _refuse_agent(predictor)
    annotations = {**inherited(annotations_of(service)), **storage_annotations(predictor)}
    pod = _pod_of_runtime(service, runtime) if runtime else _own_pod(predictor)
    for item in pod["containers"]:
        set_env(item, "INFERENCE_SERVICE_NAME", service["metadata"]["name"])
    spec = runtime.spec if runtime else {}
    return Workload(
        name=predictor_name(service),
        namespace=service["metadata"]["namespace"],
        labels={
            **(spec.get("labels") or {}),
            **labels_of(service),
            **(predictor.get("labels") or {}),
            SERVICE_LABEL: service["metadata"]["name"],
            COMPONENT_LABEL: "predictor",
        },
        annotations={
            **inherited(spec.get("annotations") or {}),
            **annotations,
            **inherited(predictor.get("annotations") or {}),
        },
        pod=pod,
        component=predictor,
    )


def pod_part(component: Object, own: Set[str]) -> Object:
    """The pod spec inside a component: every field that is not one of its own."""
    return {key: deepcopy(value) for key, value in component.items() if key not in own}


def check_uri(uri: str) -> None:
    """Raises RefusedError for a storageUri that no storage initializer knows."""
    if "://" not in uri or any(uri.startswith(scheme) for scheme in URI_SCHEMES):
        return
    raise RefusedError(
        f"StorageURI not supported: storageUri, must be one of: [{', '.join(URI_SCHEMES)}] or match "
        "https://{}.blob.core.windows.net/{}/{} or be an absolute or relative local path. "
        f"StorageUri [{uri}] is not supported"
    )


def _refuse_agent(component: Object) -> None:
    for field, annotation in (("logger", LOGGER), ("batcher", BATCHER)):
        if component.get(field) is not None:
            raise RefusedError(
                f"the KServe emulator has no agent, so {field} ({annotation}) is not available on the bed"
            )


def storage_annotations(predictor: Object) -> dict[str, str]:
    """Where the model comes from, as the annotations that the pod webhook reads.

    Raises:
        RefusedError: it comes from two places, or from one that no storage initializer knows.
    """
    annotations: dict[str, str] = {}
    model = predictor.get("model")
    storage = model.get("storage") if model else None
    if storage is not None:
        annotations[STORAGE_SPEC] = "true"
        if storage.get("parameters") is not None:
            annotations[STORAGE_SPEC_PARAMETERS] = compact_json(storage["parameters"])
        if storage.get("key") is not None:
            annotations[STORAGE_SPEC_KEY] = storage["key"]
        if storage.get("path") is not None:
            annotations[SOURCE_URI] = f"{SCHEME_PLACEHOLDER}://{storage['path'].removeprefix('/')}"
    uri = model.get("storageUri") if model else env_value(serving_container(predictor).get("env"), "STORAGE_URI")
    if uri is not None:
        if SOURCE_URI in annotations:
            raise RefusedError("must provide only one of storageUri and storage.path")
        annotations[SOURCE_URI] = uri
        check_uri(uri)
    return annotations


def _own_pod(predictor: Object) -> Object:
    pod = pod_part(predictor, PREDICTOR_FIELDS)
    pod["containers"][0] = deepcopy(serving_container(predictor))
    return pod


def _pod_of_runtime(service: Object, runtime: Runtime) -> Object:
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    wanted = {key: value for key, value in model.items() if key not in MODEL_FIELDS}
    serving = merged_container(runtime.spec.get("containers") or [], SERVING_CONTAINER, wanted)
    serving = _fill_placeholders(serving, service, runtime)
    serving["image"] = image_for(serving, model.get("runtimeVersion"), runtime)
    own = pod_part(predictor, PREDICTOR_FIELDS)
    extra = own.pop("containers", [])
    pod = merged_pod(runtime.spec, own)
    containers = [serving]
    transformer = _collocated_transformer(runtime.spec, extra)
    if transformer is not None:
        containers.append(_fill_placeholders(transformer, service, runtime))
    named = (SERVING_CONTAINER, TRANSFORMER_CONTAINER)
    containers += [deepcopy(item) for item in runtime.spec["containers"] if item["name"] not in named]
    containers += [item for item in extra if item.get("name") != TRANSFORMER_CONTAINER]
    return {**pod, "containers": containers}


def merged_container(containers: list[Object], name: str, wanted: Object) -> Object:
    """A runtime's container of this name with the service's wishes over it."""
    if not containers:
        text = "no container configuration found in selected serving runtime"
        raise RefusedError(text, ("InvalidPredictorSpec", text))
    base = next((item for item in containers if item["name"] == name), None)
    if base is None:
        text = f"failed to find {name} in ServingRuntime containers"
        raise RefusedError(text, ("InvalidPredictorSpec", text))
    return merge_containers(base, wanted)


def merged_pod(runtime_pod: Object, service_pod: Object) -> Object:
    """A runtime's pod fields with the service's over them, without containers."""
    base = {key: runtime_pod[key] for key in RUNTIME_POD_FIELDS if runtime_pod.get(key) is not None}
    return strategic_merge(base, service_pod)


def _collocated_transformer(runtime_spec: Object, extra: list[Object]) -> Object | None:
    base = container(runtime_spec, TRANSFORMER_CONTAINER)
    own = next((item for item in extra if item.get("name") == TRANSFORMER_CONTAINER), None)
    if base is not None and own is not None:
        return merge_containers(base, own)
    return deepcopy(base if base is not None else own)


def _fill_placeholders(item: Object, service: Object, runtime: Runtime) -> Object:
    """Replaces `{{.Name}}`, `{{.Namespace}}`, `{{.Labels.x}}`, `{{index .Annotations "x"}}` as Go's templates would."""
    metadata = service["metadata"]
    values = {"Name": metadata["name"], "Namespace": metadata["namespace"], "UID": metadata.get("uid", "")}
    maps = {"Labels": labels_of(service), "Annotations": annotations_of(service)}

    def value(found: re.Match[str]) -> str:
        field, key = found[1], found[2] or found[3]
        if key is None and field in values:
            return json.dumps(values[field])[1:-1]
        if key is not None and field in maps:
            return json.dumps(maps[field].get(key, ""))[1:-1]
        text = f"failed to replace placeholders in serving runtime {runtime.name} Container {item['name']}"
        raise RefusedError(text, ("InvalidPredictorSpec", text))

    filled: Object = json.loads(PLACEHOLDER.sub(value, json.dumps(item)))
    return filled
