"""Several nodes for one model: head and worker pods, their counts and their GPUs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .names import (
    COMPONENT_LABEL,
    EXECUTOR_BACKEND,
    GENERATION_LABEL,
    GPUS,
    MODEL_PATH,
    SERVICE_LABEL,
    SERVING_CONTAINER,
    SOURCE_URI,
    WORKER_CONTAINER,
    Object,
    RefusedError,
    annotations_of,
    container,
    labels_of,
    set_env,
)
from .predictor import Workload, inherited, merged_container, merged_pod, pod_part
from .selection import Runtime

WORKER_FIELDS = frozenset(["pipelineParallelSize", "tensorParallelSize"])


@dataclass(frozen=True)
class Sizes:
    """How many nodes a model takes, and how many GPUs the head and each worker get."""

    nodes: int
    head_gpus: int
    worker_gpus: int


def head_service_name(service: Object) -> str:
    """The headless Service by which workers find the head; one per generation of the InferenceService."""
    return f"{service['metadata']['name']}-head-{service['metadata']['generation']}"


def workers_service_name(service: Object) -> str:
    """The headless Service of the workers."""
    return f"{service['metadata']['name']}-workers-{service['metadata']['generation']}"


def add_workers(service: Object, runtime: Runtime, head: Workload) -> tuple[Workload, Sizes]:
    """The worker pods; `head` gets the variables by which they find each other.

    Raises:
        RefusedError: the runtime has no workers, or the GPUs asked for do not add up.
    """
    asked = service["spec"]["predictor"]["workerSpec"] or {}
    spec = runtime.spec.get("workerSpec")
    if spec is None:
        text = "you cannot set WorkerSpec in the InferenceService if the ServingRuntime does not have a WorkerSpec"
        raise RefusedError(text, condition=("InvalidWorkerSpecNotSet", text))
    if not spec.get("containers"):
        text = "No workerSpec container configuration found in selected serving runtime"
        raise RefusedError(text, ("InvalidPredictorSpec", text))
    pipeline = asked.get("pipelineParallelSize") or spec.get("pipelineParallelSize") or 1
    tensor = asked.get("tensorParallelSize") or spec.get("tensorParallelSize") or 1
    own = pod_part(asked, WORKER_FIELDS)
    wanted = (own.pop("containers", None) or [{}])[0]
    worker = merged_container(spec["containers"], WORKER_CONTAINER, wanted)
    by_processes = (runtime.spec.get("annotations") or {}).get(EXECUTOR_BACKEND) == "mp"
    serving = container(head.pod, SERVING_CONTAINER)
    assert serving is not None
    sizes = Sizes(pipeline, tensor, tensor) if by_processes else _ray(tensor * pipeline, serving, worker)
    _set_head(service, serving, sizes, (pipeline, tensor), head.annotations.get(SOURCE_URI, ""))
    _set_worker(service, worker, sizes, (pipeline, tensor))
    head.labels[GENERATION_LABEL] = str(service["metadata"]["generation"])
    return _workload(service, spec, head, {**merged_pod(spec, own), "containers": [worker]}), sizes


def _workload(service: Object, spec: Object, head: Workload, pod: Object) -> Workload:
    predictor = service["spec"]["predictor"]
    own = inherited(annotations_of(service))
    if SOURCE_URI in head.annotations:
        own[SOURCE_URI] = head.annotations[SOURCE_URI]
    return Workload(
        name=f"{service['metadata']['name']}-predictor-worker",
        namespace=head.namespace,
        labels={
            **(spec.get("labels") or {}),
            **labels_of(service),
            **(predictor.get("labels") or {}),
            GENERATION_LABEL: str(service["metadata"]["generation"]),
            SERVICE_LABEL: service["metadata"]["name"],
            COMPONENT_LABEL: "predictor",
        },
        annotations={**(spec.get("annotations") or {}), **own, **inherited(predictor.get("annotations") or {})},
        pod=pod,
        component=predictor,
    )


def _set_head(service: Object, serving: Object, sizes: Sizes, parallel: tuple[int, int], uri: str) -> None:
    values = {
        "PIPELINE_PARALLEL_SIZE": str(parallel[0]),
        "TENSOR_PARALLEL_SIZE": str(parallel[1]),
        "RAY_NODE_COUNT": str(sizes.nodes),
        "REQUEST_GPU_COUNT": str(sizes.head_gpus),
        "MODEL_NAME": service["metadata"]["name"],
    }
    if uri.partition("://")[0] in ("pvc", "oci"):
        values["MODEL_DIR"] = MODEL_PATH
    for name, value in values.items():
        set_env(serving, name, value)


def _set_worker(service: Object, worker: Object, sizes: Sizes, parallel: tuple[int, int]) -> None:
    values = {
        "RAY_NODE_COUNT": str(sizes.nodes),
        "REQUEST_GPU_COUNT": str(sizes.worker_gpus),
        "PIPELINE_PARALLEL_SIZE": str(parallel[0]),
        "TENSOR_PARALLEL_SIZE": str(parallel[1]),
        "ISVC_NAME": service["metadata"]["name"],
        "HEAD_SVC": head_service_name(service),
        "WORKER_SVC": workers_service_name(service),
    }
    for name, value in values.items():
        set_env(worker, name, value)


def _ray(total: int, head: Object, worker: Object) -> Sizes:
    """Nodes for a Ray cluster of `total` GPUs, from what head and worker containers request."""
    on_head, on_worker = _gpus(head), _gpus(worker)
    if not on_head and not on_worker:
        return Sizes(total, 1, 1)
    if not on_worker:
        nodes = 1 + max(0, total - on_head)
        return _checked(total, Sizes(nodes, on_head, 1))
    nodes = math.ceil(total / on_worker)
    if on_head and math.ceil(total / on_head) == 1:
        nodes = 1
    if nodes == 1:
        return Sizes(1, total, 0)
    return _checked(total, Sizes(nodes, on_head or total - on_worker * (nodes - 1), on_worker))


def _checked(total: int, sizes: Sizes) -> Sizes:
    elsewhere = sizes.worker_gpus * (sizes.nodes - 1)
    if total > sizes.head_gpus + elsewhere:
        text = (
            f"the total required number of GPUs({total}) is less than the number of GPUs assigned to "
            f"the head node({sizes.head_gpus}) + worker node({elsewhere})"
        )
        raise RefusedError(text, condition=("InvalidGPUAllocation", text))
    return sizes


def _gpus(item: Object) -> int:
    requests = (item.get("resources") or {}).get("requests") or {}
    return next((int(requests[name]) for name in GPUS if name in requests), 0)


def set_gpus(item: Object, count: int) -> None:
    """Gives a container its GPUs, of the kind it already names or nvidia.com/gpu."""
    resources = item.setdefault("resources", {})
    named = [
        name
        for name in GPUS
        if any(str((resources.get(kind) or {}).get(name, "0")) != "0" for kind in ("limits", "requests"))
    ]
    for kind in ("limits", "requests"):
        resources.setdefault(kind, {})[named[0] if named else GPUS[0]] = str(count)
