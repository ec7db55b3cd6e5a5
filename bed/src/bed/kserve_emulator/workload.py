"""A component's Deployments, Services and HorizontalPodAutoscaler. Pure."""

from __future__ import annotations

from copy import deepcopy

from .multinode import Sizes, set_gpus
from .names import (
    AGENT_PORT,
    APP_LABEL,
    AUTOSCALER_CLASS,
    GENERATION_LABEL,
    HTTP_PORT,
    ROLE_LABEL,
    SERVICE_VERSION,
    SERVING_CONTAINER,
    TRANSFORMER_CONTAINER,
    WORKER_CONTAINER,
    Object,
    container,
)
from .predictor import Workload

POD_DEFAULTS = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "schedulerName": "default-scheduler",
}
CONTAINER_DEFAULTS = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def owner_reference(service: Object) -> Object:
    """By which Kubernetes deletes a workload together with its InferenceService."""
    return {
        "apiVersion": SERVICE_VERSION,
        "kind": "InferenceService",
        "name": service["metadata"]["name"],
        "uid": service["metadata"].get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def deployment(workload: Workload, owner: Object) -> Object:
    """The Deployment of a component's pods."""
    app = f"isvc.{workload.name}"
    workload.labels[APP_LABEL] = app
    _default_pod(workload.pod)
    spec: Object = {
        "selector": {"matchLabels": {APP_LABEL: app}},
        "template": {"metadata": _metadata(workload), "spec": workload.pod},
    }
    strategy = workload.component.get("deploymentStrategy")
    if strategy is not None:
        spec["strategy"] = deepcopy(strategy)
    else:
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
        spec |= {"revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
    if workload.annotations.get(AUTOSCALER_CLASS) == "none" and workload.component.get("minReplicas") is not None:
        spec["replicas"] = workload.component["minReplicas"]
    return _object("apps/v1", "Deployment", workload, owner, spec)


def multinode_deployments(head: Workload, worker: Workload, sizes: Sizes, owner: Object) -> list[Object]:
    """Head and worker Deployments with their GPUs; the workers' old pods stay until the new ones are ready."""
    made = [deployment(head, owner), deployment(worker, owner)]
    workers = made[1]["spec"]
    if workers["strategy"].get("type", "RollingUpdate") == "RollingUpdate":
        workers["strategy"]["rollingUpdate"] = {"maxSurge": "100%", "maxUnavailable": "0%"}
    workers["replicas"] = sizes.nodes - 1
    for item, name, gpus in (
        (made[0], SERVING_CONTAINER, sizes.head_gpus),
        (made[1], WORKER_CONTAINER, sizes.worker_gpus),
    ):
        target = container(item["spec"]["template"]["spec"], name)
        assert target is not None
        set_gpus(target, gpus)
    return made


def network_service(workload: Workload, owner: Object) -> Object:
    """The Service of a component: its first port as 80, the others as they are."""
    serving = container(workload.pod, TRANSFORMER_CONTAINER)
    ports = _service_ports(serving if serving is not None else workload.pod["containers"][0], workload.name)
    if workload.component.get("logger") is not None or workload.component.get("batcher") is not None:
        ports[0]["targetPort"] = AGENT_PORT
    spec = {"selector": {APP_LABEL: f"isvc.{workload.name}"}, "ports": ports}
    return _object("v1", "Service", workload, owner, spec)


def headless_service(head: Workload, name: str, role: str, owner: Object) -> Object:
    """The Service by which head and workers find each other before they are ready."""
    app = f"isvc.{head.name}" + ("-worker" if role == "worker" else "")
    spec = {
        "selector": {APP_LABEL: app, GENERATION_LABEL: head.labels[GENERATION_LABEL]},
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
    }
    made = _object("v1", "Service", head, owner, spec)
    made["metadata"]["name"] = name
    made["metadata"]["labels"][ROLE_LABEL] = role
    return made


def autoscaler(workload: Workload, owner: Object) -> Object | None:
    """The HorizontalPodAutoscaler; None where the class is not "hpa"."""
    if workload.annotations.get(AUTOSCALER_CLASS, "hpa") != "hpa":
        return None
    component = workload.component
    least = max(1, component.get("minReplicas", 1))
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name},
        "minReplicas": least,
        "maxReplicas": max(least, component.get("maxReplicas", 0)),
        "metrics": _metrics(component),
        "behavior": {},  # so the API server writes its defaults into it
    }
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", workload, owner, spec)


def _metrics(component: Object) -> list[Object]:
    if component.get("autoScaling") is not None:
        return [made for item in component["autoScaling"].get("metrics") or () if (made := _resource_metric(item))]
    name, target = component.get("scaleMetric", "cpu"), component.get("scaleTarget")
    if name == "memory" and target is None:  # KServe has no default for memory
        return []
    if name not in ("cpu", "memory"):
        return []
    value = {"type": "Utilization", "averageUtilization": 80 if target is None else target}
    return [{"type": "Resource", "resource": {"name": name, "target": value}}]


def _resource_metric(metric: Object) -> Object | None:
    resource = metric.get("resource")
    if resource is None:
        return None
    target = dict(resource["target"])
    if resource["name"] == "cpu":
        target = {"type": "Utilization", "averageUtilization": target.get("averageUtilization", 80)}
    return {"type": "Resource", "resource": {"name": resource["name"], "target": target}}


def _service_ports(serving: Object, name: str) -> list[Object]:
    if not serving.get("ports"):
        return [{"name": name, "port": 80, "targetPort": HTTP_PORT, "protocol": "TCP"}]
    made = []
    for index, port in enumerate(serving["ports"]):
        number = port["containerPort"]
        entry = {"port": 80 if index == 0 else number, "targetPort": number, "protocol": port.get("protocol", "TCP")}
        label = port.get("name", "")
        if label:
            entry["name"] = label
        if "grpc" in label or "h2c" in label:
            entry["appProtocol"] = "kubernetes.io/h2c"
        made.append(entry)
    return made


def _default_pod(pod: Object) -> None:
    for key, value in POD_DEFAULTS.items():
        pod.setdefault(key, value)
    pod.setdefault("securityContext", {})
    for item in pod["containers"]:
        for key, value in CONTAINER_DEFAULTS.items():
            item.setdefault(key, value)
        item.setdefault("resources", {})
        if item["name"] in (SERVING_CONTAINER, TRANSFORMER_CONTAINER) and item.get("readinessProbe") is None:
            port = item["ports"][0]["containerPort"] if item.get("ports") else HTTP_PORT
            item["readinessProbe"] = {"tcpSocket": {"port": port}, **PROBE}


def _metadata(workload: Workload) -> Object:
    return {
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": dict(workload.labels),
        "annotations": dict(workload.annotations),
    }


def _object(version: str, kind: str, workload: Workload, owner: Object, spec: Object) -> Object:
    metadata = {**_metadata(workload), "ownerReferences": [dict(owner)]}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
