"""The controller of LLMInferenceServices: brings the cluster to what `llm` wants, and writes its status.

Owns nothing else; decides nothing about objects.
"""

from __future__ import annotations

from datetime import UTC, datetime

from .api import Api, ApiError
from .controller import RetryError
from .llm import KIND, deployment_name, llm_objects, llm_status, workload_labels
from .names import Object, RefusedError, annotations_of, stopped

FINALIZER = "serving.kserve.io/llmisvc-finalizer"
KEPT = "deployment.kubernetes.io/"


async def reconcile_llm(api: Api, namespace: str, name: str) -> None:
    """One LLMInferenceService, once.

    Raises:
        RetryError: overtaken by a change.
        ApiError: the API server refused something.
    """
    service = await api.get(KIND, name, namespace)
    if service is None:
        return
    finalizers = service["metadata"].get("finalizers") or []
    if service["metadata"].get("deletionTimestamp"):
        if FINALIZER in finalizers:
            rest = [item for item in finalizers if item != FINALIZER]
            await api.merge(KIND, name, namespace, {"metadata": {"finalizers": rest}})
        return
    if FINALIZER not in finalizers:
        service = await api.merge(KIND, name, namespace, {"metadata": {"finalizers": [*finalizers, FINALIZER]}})
    refused = await _bring_about(api, service)
    deployment = await api.get("Deployment", deployment_name(service), namespace)
    status = llm_status(service, deployment, refused, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    if status != service.get("status"):
        await _write(api, {**service, "status": status})


async def _bring_about(api: Api, service: Object) -> RefusedError | None:
    """Makes or removes its objects; returns why none are wanted."""
    refused: RefusedError | None = None
    try:
        for item in llm_objects(service):
            await _ensure(api, item)
    except RefusedError as error:
        refused = error
    if stopped(service):
        await _remove(api, service)
    return refused


async def _write(api: Api, service: Object) -> None:
    try:
        await api.replace(service, status=True)
    except ApiError as error:
        if error.code == 409:
            raise RetryError("the LLMInferenceService changed meanwhile", 0.0) from error
        raise


async def _ensure(api: Api, item: Object) -> None:
    """Makes the object exist as wanted; a Service is left as it was made."""
    metadata = item["metadata"]
    existing = await api.get(item["kind"], metadata["name"], metadata["namespace"])
    if existing is None:
        await api.create(item)
    elif item["kind"] == "Deployment":
        own = {key: value for key, value in annotations_of(existing).items() if key.startswith(KEPT)}
        version = existing["metadata"]["resourceVersion"]
        spec = {"replicas": existing["spec"].get("replicas", 1), **item["spec"]}
        update = {**item, "metadata": {**metadata, "annotations": own, "resourceVersion": version}, "spec": spec}
        if (await api.replace(update, dry_run=True))["spec"] != existing["spec"]:
            await api.replace(update)


async def _remove(api: Api, service: Object) -> None:
    labels = ",".join(f"{key}={value}" for key, value in workload_labels(service).items())
    for kind in ("Deployment", "Service"):
        for found in await api.list(kind, service["metadata"]["namespace"], labels):
            await api.delete({**found, "kind": kind})
