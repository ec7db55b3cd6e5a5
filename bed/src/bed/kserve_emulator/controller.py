"""The controller: brings the cluster to what `service` wants, and writes what it sees into the status.

Triggered as KServe is: by changes of InferenceServices, of their Deployments and Services, of the init containers of
their pods, and of runtimes that are in use. Owns retries and events; decides nothing about objects.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from . import config as settings
from .api import Api, ApiError
from .credentials import Keys, secret_names
from .names import (
    APP_LABEL,
    AUTOSCALER_CLASS,
    COMPONENT_LABEL,
    CONFIG_MAP,
    FINALIZER,
    NAMESPACE,
    SERVICE_LABEL,
    SERVICE_VERSION,
    Object,
    annotations_of,
    labels_of,
    predictor_name,
    stopped,
)
from .service import Desired, Facts, Seen, desired, mode_of, new_status

WORKLOADS = ("Service", "Deployment", "HorizontalPodAutoscaler")
EVENT_SOURCE = "v1beta1Controllers"  # KServe's name for itself in events
log = logging.getLogger("controller")


class RetryError(Exception):
    """To be looked at again: at once where somebody else was faster, else with growing pauses."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


async def reconcile(api: Api, namespace: str, name: str) -> None:
    """One InferenceService, once.

    Raises:
        RetryError: refused by KServe's rules, or overtaken by a change.
        ApiError: the API server refused something.
    """
    service = await api.get("InferenceService", name, namespace)
    if service is None:
        return
    finalizers = service["metadata"].get("finalizers") or []
    if service["metadata"].get("deletionTimestamp"):
        if FINALIZER in finalizers:
            rest = [item for item in finalizers if item != FINALIZER]
            await api.merge("InferenceService", name, namespace, {"metadata": {"finalizers": rest}})
        return
    facts = await _facts(api, service)
    mode = mode_of(service, facts.config)
    if mode == "ModelMesh":
        return
    if FINALIZER not in finalizers:
        patch = {"metadata": {"finalizers": [*finalizers, FINALIZER]}}
        service = await api.merge("InferenceService", name, namespace, patch)
        facts = Facts(service, facts.config, facts.runtimes, facts.cluster_runtimes, facts.keys)
    if mode == "Knative":
        text = "It is not possible to use Knative deployment mode when Knative Services are not available"
        await _emit(api, service, "Warning", "ServerlessModeRejected", text)
        await _write_status(api, facts, Desired(), Seen())
        return
    wanted = desired(facts)
    seen = Seen()
    if wanted.refused is None:
        seen = await _bring_about(api, service, wanted)
    else:
        await _emit(api, service, "Warning", "InternalError", str(wanted.refused))
    again = await _write_status(api, facts, wanted, seen)
    if wanted.refused is not None:
        raise RetryError(str(wanted.refused))
    if again:
        raise RetryError("the storage initializer runs again after it failed", 1.0)


async def _facts(api: Api, service: Object) -> Facts:
    namespace = service["metadata"]["namespace"]
    config_map = await api.get("ConfigMap", CONFIG_MAP, NAMESPACE)
    if config_map is None:
        raise ApiError(404, f"ConfigMap {NAMESPACE}/{CONFIG_MAP} is missing: python -m bed.kserve_emulator install")
    config = settings.read(config_map)
    keys = Keys()
    if service["spec"].get("predictor", {}).get("storageUris"):
        account = service["spec"]["predictor"].get("serviceAccountName") or "default"
        keys = await read_keys(api, namespace, account, annotations_of(service), config)
    runtimes = await api.list("ServingRuntime", namespace)
    cluster_runtimes = await api.list("ClusterServingRuntime")
    return Facts(service, config, runtimes, cluster_runtimes, keys)


async def read_keys(
    api: Api, namespace: str, account: str, annotations: dict[str, str], config: settings.Config
) -> Keys:
    """The service account and the secrets that the storage initializer may need."""
    found = await api.get("ServiceAccount", account, namespace)
    names = secret_names(annotations, config, found)
    secrets = {name: await api.get("Secret", name, namespace) for name in names}
    return Keys(found, {name: secret for name, secret in secrets.items() if secret is not None})


async def _bring_about(api: Api, service: Object, wanted: Desired) -> Seen:
    """Creates, updates and deletes workloads; returns the Deployments as they were found, or made."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    selector = f"{SERVICE_LABEL}={name}"
    present: dict[tuple[str, str], Object] = {}
    for kind in WORKLOADS:
        for item in await api.list(kind, namespace, selector):
            present[kind, item["metadata"]["name"]] = {**item, "kind": kind}
    halted = stopped(service)
    live: dict[str, Object] = {}
    for item in () if halted else wanted.objects:
        existing = present.get((item["kind"], item["metadata"]["name"]))
        stored = await _ensure(api, item, existing)
        if item["kind"] == "Deployment":
            live[item["metadata"]["name"]] = stored
    await _prune(api, service, wanted, present)
    pods: list[Object] = []
    if ("Deployment", predictor_name(service)) in present:  # one made just now has no pods in KServe's cache yet
        pods = await api.list("Pod", namespace, f"{APP_LABEL}=isvc.{predictor_name(service)}")
    return Seen(_deployments(wanted.predictor, live), _deployments(wanted.transformer, live), pods)


def _deployments(wanted: Sequence[Object], live: dict[str, Object]) -> list[Object]:
    return [
        live[item["metadata"]["name"]]
        for item in wanted
        if item["metadata"]["name"] in live and item["kind"] == "Deployment"
    ]


async def _ensure(api: Api, item: Object, existing: Object | None) -> Object:
    """Makes the workload exist as wanted; returns it as it was before an update, with the status it has."""
    if existing is None:
        return await api.create(item)
    if item["kind"] == "Service":
        changed = any(item["spec"].get(key) != existing["spec"].get(key) for key in ("ports", "selector"))
        if changed:
            kept = {key: existing["spec"][key] for key in ("clusterIP", "clusterIPs")}
            await api.replace(_over(item, existing, {**item["spec"], **kept}))
        return existing
    spec = dict(item["spec"])
    if item["kind"] == "Deployment" and annotations_of(existing).get(AUTOSCALER_CLASS) != "none":
        spec["replicas"] = existing["spec"].get("replicas", 1)  # the autoscaler's to decide
    update = _over(item, existing, spec)
    if (await api.replace(update, dry_run=True))["spec"] != existing["spec"]:
        await api.replace(update)
    return existing


def _over(item: Object, existing: Object, spec: Object) -> Object:
    """The update of an existing workload; what Kubernetes' own controllers noted on it stays."""
    own = {key: value for key, value in annotations_of(existing).items() if key.startswith("deployment.kubernetes.io/")}
    metadata = {
        **item["metadata"],
        "annotations": {**item["metadata"]["annotations"], **own},
        "resourceVersion": existing["metadata"]["resourceVersion"],
    }
    return {**item, "metadata": metadata, "spec": spec}


async def _prune(api: Api, service: Object, wanted: Desired, present: dict[tuple[str, str], Object]) -> None:
    """Deletes the predictor's workloads that are no longer wanted, and all of them when the service is stopped."""
    keep = set() if stopped(service) else {(item["kind"], item["metadata"]["name"]) for item in wanted.objects}
    for key, item in present.items():
        owned = any(
            owner["uid"] == service["metadata"]["uid"] for owner in item["metadata"].get("ownerReferences") or ()
        )
        if owned and key not in keep and (stopped(service) or labels_of(item).get(COMPONENT_LABEL) == "predictor"):
            log.info("deleting %s %s of InferenceService %s", *key, service["metadata"]["name"])
            await api.delete(item)


async def _write_status(api: Api, facts: Facts, wanted: Desired, seen: Seen) -> bool:
    service = facts.service
    status, again = new_status(facts, wanted, seen, _now())
    old = service.get("status") or {}
    if status == old:
        return again
    try:
        await api.replace({**service, "status": status}, status=True)
    except ApiError as error:
        if error.code == 409:
            raise RetryError("the InferenceService changed meanwhile", 0.0) from error
        raise
    was_ready, is_ready = _ready(old), _ready(status)
    name = service["metadata"]["name"]
    if was_ready == "True" and is_ready == "False":
        failed = ", ".join(item["type"] for item in status["conditions"] if item["status"] == "False")
        text = f"InferenceService [{name}] is no longer Ready because of: {failed}"
        await _emit(api, service, "Warning", "InferenceServiceNotReady", text)
    elif was_ready != "True" and is_ready == "True":
        await _emit(api, service, "Normal", "InferenceServiceReady", f"InferenceService [{name}] is Ready")
    return again


def _ready(status: Object) -> str:
    return next((str(item["status"]) for item in status.get("conditions") or () if item["type"] == "Ready"), "")


async def _emit(api: Api, service: Object, kind: str, reason: str, message: str) -> None:
    """An event, or one more of the same."""
    metadata = service["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']}{reason}{message}".encode()).hexdigest()[:16]
    name, now = f"{metadata['name']}.{digest}", _now()
    existing = await api.get("Event", name, metadata["namespace"])
    if existing is not None:
        more = {"count": existing.get("count", 1) + 1, "lastTimestamp": now}
        await api.merge("Event", name, metadata["namespace"], more)
        return
    involved = {"apiVersion": SERVICE_VERSION, "kind": "InferenceService"}
    involved |= {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": involved,
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": EVENT_SOURCE},
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
    }
    await api.create(event)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
