"""What KServe's pod webhook does to a pod of an InferenceService. Pure."""

from __future__ import annotations

import json
from copy import deepcopy

from .config import Config
from .credentials import Keys
from .modelcar import add_modelcar, is_image
from .names import (
    BATCHER,
    LOGGER,
    METRIC_AGGREGATION,
    PROMETHEUS_PATH,
    PROMETHEUS_PORT,
    PROMETHEUS_SCRAPING,
    SERVING_CONTAINER,
    SOURCE_URI,
    STORAGE_SPEC,
    STORAGE_SPEC_KEY,
    STORAGE_SPEC_PARAMETERS,
    TRANSFORMER_CONTAINER,
    WORKER_CONTAINER,
    Object,
    RefusedError,
    annotations_of,
    container,
)
from .storage import Source, add_model

QUEUE_PROXY_PORT = "9091"


def admit_pod(pod: Object, namespace: str, config: Config, keys: Keys) -> Object:
    """The pod with its model; the one given is not changed.

    Args:
        pod: as the API server hands it to webhooks; it has KServe's label.
        namespace: of the request, since a pod to be created may not name its own.
        keys: the pod's service account and the secrets that `credentials.secret_names` lists.

    Raises:
        RefusedError: KServe would refuse the pod.
    """
    result = deepcopy(pod)
    annotations = annotations_of(result)
    for field in (LOGGER, BATCHER):
        if field in annotations:
            raise RefusedError(f"the KServe emulator has no agent, which {field} asks for")
    uri = annotations.get(SOURCE_URI)
    if uri is not None:
        add_model(result["spec"], uri, _source(annotations, namespace, config, keys))
    result["metadata"]["annotations"] = _with_metrics(annotations, config)
    if uri is not None and is_image(uri):
        _add_image(result["spec"], uri, config)
    return result


def _source(annotations: dict[str, str], namespace: str, config: Config, keys: Keys) -> Source:
    if annotations.get(STORAGE_SPEC) != "true":
        return Source(namespace, config, annotations, keys)
    parameters = json.loads(annotations.get(STORAGE_SPEC_PARAMETERS, "{}"))
    return Source(namespace, config, annotations, keys, annotations.get(STORAGE_SPEC_KEY, ""), parameters)


def _with_metrics(annotations: dict[str, str], config: Config) -> dict[str, str]:
    result = dict(annotations)
    result.setdefault(METRIC_AGGREGATION, config.metrics.get("enableMetricAggregation", ""))
    result.setdefault(PROMETHEUS_SCRAPING, config.metrics.get("enablePrometheusScraping", ""))
    if result[PROMETHEUS_SCRAPING] == "true":
        result[PROMETHEUS_PORT] = QUEUE_PROXY_PORT
        result[PROMETHEUS_PATH] = "/metrics"
    return result


def _add_image(pod: Object, uri: str, config: Config) -> None:
    user = container(pod, SERVING_CONTAINER)
    if user is None:
        user = container(pod, WORKER_CONTAINER)
    if user is None:
        raise RefusedError(f"Invalid configuration: cannot find container: {SERVING_CONTAINER}")
    transformer = container(pod, TRANSFORMER_CONTAINER)
    add_modelcar(pod, uri, "/mnt/models", [user] if transformer is None else [user, transformer], config)
