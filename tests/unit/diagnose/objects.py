"""Evidence as values: what real KServe made (tests/emulator/recordings), and what is laid over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pvserve.diagnose import Evidence, PodEvidence

Object = dict[str, Any]
RECORDINGS = Path(__file__).parents[2] / "emulator" / "recordings"
NAMESPACE = "llm"
START = "2026-11-24T12:00:00Z"
LATER = "2026-11-24T12:10:00Z"


def recorded(case: str) -> Evidence:
    """A recording as evidence, ten minutes after it began; its events are given the names they lack."""
    text = (RECORDINGS / f"{case}.yaml").read_text().replace("NAMESPACE", NAMESPACE)
    found = yaml.safe_load(text)
    objects: list[Object] = found["objects"]
    by_kind = {kind: tuple(item for item in objects if item["kind"] == kind) for kind in ("Deployment", "Pod")}
    service = next(item for item in objects if item["kind"] == "InferenceService")
    names = {item["kind"]: item["metadata"]["name"] for item in objects}
    events = tuple(
        event(kind, names.get(kind, ""), reason, message, LATER) for kind, reason, message in found["events"]
    )
    return Evidence(
        name="granite",
        namespace=NAMESPACE,
        now=LATER,
        service=service,
        deployments=by_kind["Deployment"],
        pods=by_kind["Pod"],
        events=events,
    )


def event(kind: str, name: str, reason: str, message: str, at: str = START, type: str = "Warning") -> Object:
    return {
        "metadata": {"name": f"{name}.{reason}"},
        "involvedObject": {"kind": kind, "name": name},
        "type": type,
        "reason": reason,
        "message": message,
        "firstTimestamp": at,
        "lastTimestamp": at,
    }


def pod(name: str = "pod", **status: Any) -> Object:
    """A pod of one container that waits on no node, altered by fields of its status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": [{"controller": True, "name": "set"}]},
        "spec": {"containers": [{"name": "server", "image": "image:1"}]},
        "status": {"phase": "Pending", **status},
    }


def on_node(pod: Object, node: str = "node1") -> Object:
    pod["spec"]["nodeName"] = node
    return pod


def with_claim(pod: Object, claim: str) -> Object:
    pod["spec"]["volumes"] = [{"name": "model", "persistentVolumeClaim": {"claimName": claim}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "model", "mountPath": "/mnt/models", "subPath": "granite"}]
    return pod


def unscheduled(message: str, name: str = "pod", since: str = START) -> Object:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastTransitionTime": since,
    }
    return pod(name, conditions=[condition])


def container(restarts: int = 0, ready: bool = False, last: Object | None = None, **state: Object) -> Object:
    """A container's status: `waiting=`, `running=` or `terminated=`."""
    last_state = {"lastState": {"terminated": last}} if last else {}
    return {"name": "server", "restartCount": restarts, "ready": ready, "state": state, **last_state}


def crashed(restarts: int, code: int = 1, reason: str = "Error") -> Object:
    """The container's status between two starts."""
    return container(
        restarts,
        waiting={"reason": "CrashLoopBackOff"},
        last={"exitCode": code, "reason": reason, "finishedAt": START},
    )


def claim(name: str = "models", phase: str = "Pending", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "creationTimestamp": START},
        "spec": {"accessModes": ["ReadWriteOnce"], **spec},
        "status": {"phase": phase},
    }


def storage_class(name: str, default: bool = False, mode: str = "Immediate") -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "volumeBindingMode": mode}


def pods(*found: Object, now: str = LATER, **more: Any) -> PodEvidence:
    """Evidence of pods alone."""
    return PodEvidence(namespace=NAMESPACE, now=now, pods=found, **more)


def ready_service(uri: str = "pvc://models/granite", generation: int = 1, written: str = START) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "granite",
            "namespace": NAMESPACE,
            "generation": generation,
            "managedFields": [{"time": written, "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {"predictor": {"model": {"storageUri": uri}}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def deployment(uri: str = "pvc://models/granite", touched: str = START, **status: Any) -> Object:
    """One replica, rolled out, serving `uri`; altered by fields of its status."""
    rolled_out = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "granite-predictor",
            "generation": 1,
            "annotations": {"internal.serving.kserve.io/storage-initializer-sourceuri": uri},
            "managedFields": [{"time": touched, "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "granite"}}},
        "status": {**rolled_out, **status},
    }


def service_evidence(service: Object, *deployments: Object, now: str = LATER, **more: Any) -> Evidence:
    return Evidence(
        name="granite", namespace=NAMESPACE, now=now, service=service, deployments=tuple(deployments), **more
    )
