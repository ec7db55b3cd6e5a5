"""An LLMInferenceService: the Deployment and Service that KServe makes of it, and its status. Pure.

A small part of KServe's (pkg/controller/v1alpha2/llmisvc, aaac4e2), unrecorded: one node, a model on a claim, a pod
spec in full. All else is refused by name. Must not know a cluster.
"""

from __future__ import annotations

from copy import deepcopy

from .names import CLAIM_VOLUME, GROUP, MODEL_PATH, Object, RefusedError, container, stopped
from .workload import POD_DEFAULTS

VERSION, KIND = f"{GROUP}/v1alpha1", "LLMInferenceService"
SERVING, PORT = "main", 8000
LEFT_OUT = ("worker", "scaling", "router", "prefill", "tracing", "baseRefs", "parallelism", "rolloutStrategy")
PARTS = ("PresetsCombined", "WorkloadsReady", "RouterReady")  # Ready is all of these
STOPPED = ("Stopped", "Service is stopped")


def deployment_name(service: Object) -> str:
    """Of the pods that serve."""
    return f"{service['metadata']['name']}-kserve"


def workload_labels(service: Object) -> dict[str, str]:
    """By which the Service finds its pods, and everybody else what belongs to the service."""
    return {
        "app.kubernetes.io/component": "llminferenceservice-workload",
        "app.kubernetes.io/name": service["metadata"]["name"],
        "app.kubernetes.io/part-of": "llminferenceservice",
    }


def llm_objects(service: Object) -> tuple[Object, ...]:
    """Deployment and Service; none of a service that is stopped.

    Raises:
        RefusedError: it asks for what the emulator leaves out.
    """
    pod = _pod(service)
    if stopped(service):
        return ()
    spec, labels = service["spec"], workload_labels(service)
    own = {**labels, "kserve.io/component": "workload", "llm-d.ai/role": "both"}
    template = {
        "metadata": {
            "labels": {**(spec.get("labels") or {}), **own},
            "annotations": dict(spec.get("annotations") or {}),
        },
        "spec": pod,
    }
    wanted: Object = {"selector": {"matchLabels": own}, "template": template}
    if "replicas" in spec:
        wanted["replicas"] = spec["replicas"]
    name = service["metadata"]["name"]
    ports = [{"name": "http", "appProtocol": "http", "port": PORT, "targetPort": PORT, "protocol": "TCP"}]
    selector = {key: value for key, value in own.items() if key not in ("app.kubernetes.io/component", "llm-d.ai/role")}
    return (
        _object("apps/v1", "Deployment", deployment_name(service), service, own, wanted),
        _object(
            "v1", "Service", f"{name}-kserve-workload-svc", service, labels, {"ports": ports, "selector": selector}
        ),
    )


def _pod(service: Object) -> Object:
    """The template with the model mounted."""
    spec = service["spec"]
    left_out = [field for field in LEFT_OUT if spec.get(field)]
    if (spec.get("model") or {}).get("lora"):
        left_out.append("model.lora")
    if left_out:
        raise RefusedError(f"the KServe emulator does not know {', '.join(left_out)} of an {KIND}")
    pod: Object = deepcopy(spec.get("template") or {})
    serving = container(pod, SERVING)
    if serving is None or not serving.get("image"):
        raise RefusedError(f"the KServe emulator has no presets: name container {SERVING} of spec.template in full")
    for key, value in POD_DEFAULTS.items():
        pod.setdefault(key, value)
    if (spec.get("storageInitializer") or {}).get("enabled") is False:
        return pod
    uri = str((spec.get("model") or {}).get("uri") or "")
    if not uri.startswith("pvc://"):
        raise RefusedError(f"the KServe emulator serves an {KIND} from pvc:// alone, not from {uri}")
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    mount = {"name": CLAIM_VOLUME, "mountPath": MODEL_PATH, "readOnly": True, **({"subPath": path} if path else {})}
    serving["volumeMounts"] = [*(serving.get("volumeMounts") or ()), mount]
    volume = {"name": CLAIM_VOLUME, "persistentVolumeClaim": {"claimName": claim}}
    pod["volumes"] = [*(pod.get("volumes") or ()), volume]
    return pod


def _object(version: str, kind: str, name: str, service: Object, labels: dict[str, str], spec: Object) -> Object:
    owner = {
        "apiVersion": VERSION,
        "kind": KIND,
        "name": service["metadata"]["name"],
        "uid": service["metadata"].get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    namespace = service["metadata"]["namespace"]
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels), "ownerReferences": [owner]}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def llm_status(service: Object, deployment: Object | None, refused: RefusedError | None, now: str) -> Object:
    """The status after one reconcile; `deployment` as the cluster has it, `now` RFC 3339 for what changes."""
    old = {item["type"]: item for item in (service.get("status") or {}).get("conditions") or ()}
    wanted = _conditions(service, deployment, refused)
    unhappy = next((wanted[part] for part in PARTS if wanted[part][0] != "True"), ("True", "", ""))
    wanted["Ready"] = unhappy
    conditions = []
    for kind, (status, reason, message) in sorted(wanted.items()):
        fresh = {"type": kind, "status": status, "reason": reason, "message": message}
        fresh = {key: value for key, value in fresh.items() if value}
        before = {key: value for key, value in old.get(kind, {}).items() if key != "lastTransitionTime"}
        at = old[kind]["lastTransitionTime"] if before == fresh else now
        conditions.append({**fresh, "lastTransitionTime": at})
    return {"conditions": conditions, "observedGeneration": service["metadata"].get("generation", 0)}


def _conditions(
    service: Object, deployment: Object | None, refused: RefusedError | None
) -> dict[str, tuple[str, str, str]]:
    """Type -> status, reason, message."""
    if refused is not None:
        told = ("False", "CombineBaseError", str(refused))
        return {"PresetsCombined": told, "WorkloadsReady": ("Unknown", "", ""), "RouterReady": ("Unknown", "", "")}
    work = ("False", *STOPPED) if stopped(service) else _available(deployment)
    return {
        "PresetsCombined": ("True", "", ""),
        "MainWorkloadReady": work,
        "WorkloadsReady": work,
        "RouterReady": ("True", "", ""),
    }


def _available(deployment: Object | None) -> tuple[str, str, str]:
    told = {item["type"]: item for item in ((deployment or {}).get("status") or {}).get("conditions") or ()}
    found = told.get("Available")
    if found is None:
        return "Unknown", "Progressing", "Deployment has not reported yet"
    if found["status"] == "True":
        return "True", "", ""
    return "False", found.get("reason", ""), found.get("message", "")
