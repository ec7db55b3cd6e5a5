"""The transformer: a container of the user's before the predictor. Pure."""

from __future__ import annotations

from .names import (
    COMPONENT_LABEL,
    HTTP_PORT,
    SERVICE_LABEL,
    SOURCE_URI,
    Object,
    annotations_of,
    env_value,
    labels_of,
    predictor_name,
    set_env,
    transformer_name,
)
from .predictor import EXTENSION_FIELDS, Workload, check_uri, inherited, pod_part

TRANSFORMER_FIELDS = EXTENSION_FIELDS | {"storageUris"}


def transformer_workload(service: Object) -> Workload:
    """The transformer's pods; its container learns where the predictor is, unless its arguments say so already."""
    transformer = service["spec"]["transformer"]
    metadata = service["metadata"]
    annotations = inherited(annotations_of(service))
    pod = pod_part(transformer, TRANSFORMER_FIELDS)
    first = pod["containers"][0]
    uri = env_value(first.get("env"), "STORAGE_URI")
    if uri is not None:
        annotations[SOURCE_URI] = uri
        check_uri(uri)
    given = {
        "--model_name": metadata["name"],
        "--predictor_host": f"{predictor_name(service)}.{metadata['namespace']}",
        "--http_port": str(HTTP_PORT),
    }
    if transformer.get("containerConcurrency") is not None:
        given["--workers"] = str(transformer["containerConcurrency"])
    arguments = first.get("args") or []
    for name, value in given.items():
        if not any(text.startswith(name) for text in arguments):
            arguments = [*arguments, name, value]
    first["args"] = arguments
    set_env(first, "INFERENCE_SERVICE_NAME", metadata["name"])
    return Workload(
        name=transformer_name(service),
        namespace=metadata["namespace"],
        labels={
            **labels_of(service),
            **(transformer.get("labels") or {}),
            SERVICE_LABEL: metadata["name"],
            COMPONENT_LABEL: "transformer",
        },
        annotations={**annotations, **inherited(transformer.get("annotations") or {})},
        pod=pod,
        component=transformer,
    )
