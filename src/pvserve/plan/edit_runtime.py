"""A ServingRuntime beside the service that uses it.

Owns the copy of a ServingRuntime or ClusterServingRuntime and what is read from one. Pure.
"""

from __future__ import annotations

from typing import Any

from pvserve.facts import Object
from pvserve.plan.copies import copy_of
from pvserve.plan.edit_service import MANAGED_BY

API, KIND = "serving.kserve.io/v1alpha1", "ServingRuntime"
SERVING_CONTAINER = "kserve-container"


def new_runtime(origin: Object, runtime: str, namespace: str) -> dict[str, Any]:
    """`origin` as a ServingRuntime of `namespace`: the dashboard joins service and runtime by name there, and
    shows a runtime of the cluster as unknown (ux: odh-dashboard, model serving)."""
    made = copy_of(origin, runtime, namespace)
    made["apiVersion"], made["kind"] = API, KIND
    made["metadata"].setdefault("labels", {})[MANAGED_BY] = "pvserve"
    return made


def serving_image(runtime: Object | None) -> str:
    """The image of the container that serves, "" where it cannot be told."""
    containers = ((runtime or {}).get("spec") or {}).get("containers") or ()
    for container in containers:
        if container.get("name") == SERVING_CONTAINER:
            return str(container.get("image") or "")
    return str(containers[0].get("image") or "") if containers else ""


def formats_of(runtime: Object | None) -> tuple[str, ...]:
    """The model formats that it serves, by name."""
    listed = ((runtime or {}).get("spec") or {}).get("supportedModelFormats") or ()
    return tuple(sorted({str(item.get("name")) for item in listed}))


def is_disabled(runtime: Object) -> bool:
    """Whether KServe refuses to use it."""
    return bool((runtime.get("spec") or {}).get("disabled"))
