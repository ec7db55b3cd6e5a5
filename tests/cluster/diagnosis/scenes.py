"""Services that do not work, one reason each, as objects to apply. Data only.

Busybox stands for a server where only its container's fate matters; a real one where its words do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
API, V1 = "serving.kserve.io/v1beta1", "serving.kserve.io/v1alpha1"
SERVES = "mkdir -p /tmp/www && exec httpd -f -p 8080 -h /tmp/www"
# Words of a driver and of a server: no accelerator and no driver with a pool of its own is asked for.
NO_SPACE = (
    'failed to provision volume with StorageClass "fast": rpc error: code = ResourceExhausted desc = '
    "volume group has insufficient free space (512 extents): 16384 required"
)
GPU_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a total of 8.00 GiB"
SMALL = {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}}


def shell(script: str) -> list[str]:
    """A container's command."""
    return ["/bin/sh", "-c", script]


def runtime(image: str, name: str = "shell", **spec: Any) -> Object:
    """A runtime for the format "shell" that serves port 8080 at once."""
    container = {
        "name": "kserve-container",
        "image": image,
        "command": shell(SERVES),
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": SMALL,
    }
    formats = [{"name": "shell", "autoSelect": True}]
    return _object(V1, "ServingRuntime", name, {"supportedModelFormats": formats, "containers": [container], **spec})


def llama(image: str) -> Object:
    """llama.cpp's server, with its own words when it fails."""
    container = {
        "name": "kserve-container",
        "image": image,
        "command": ["/usr/local/bin/llama-server"],
        "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--port=8080"],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": True},
    }
    formats = [{"name": "gguf", "autoSelect": True}]
    return _object(V1, "ServingRuntime", "llama", {"supportedModelFormats": formats, "containers": [container]})


def service(
    name: str,
    uri: str = "",
    *,
    script: str = "",
    model: Object | None = None,
    predictor: Object | None = None,
    annotations: dict[str, str] | None = None,
) -> Object:
    """An InferenceService of runtime "shell", altered by what is given."""
    inner: Object = {"modelFormat": {"name": "shell"}, "runtime": "shell", "resources": SMALL}
    if uri:
        inner["storageUri"] = uri
    if script:
        inner["command"] = shell(script)
    spec = {"terminationGracePeriodSeconds": 1, **(predictor or {}), "model": {**inner, **(model or {})}}
    found = _object(API, "InferenceService", name, {"predictor": spec})
    found["metadata"]["annotations"] = annotations or {}
    return found


def claim(name: str, storage_class: str | None, mode: str = "ReadWriteOnce", volume: str = "") -> Object:
    """64 MiB, of a class, of none (""), or of the default (None); bound to `volume` where one is named."""
    spec: Object = {"accessModes": [mode], "resources": {"requests": {"storage": "64Mi"}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    if volume:
        spec["volumeName"] = volume
    return _object("v1", "PersistentVolumeClaim", name, spec)


def volume_elsewhere(name: str, namespace: str, claim_name: str) -> Object:
    """A volume that only a zone without nodes can reach."""
    expression = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["zone-without-nodes"]}
    spec = {
        "capacity": {"storage": "64Mi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": namespace, "name": claim_name},
        "local": {"path": "/nowhere"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def silent_class(name: str) -> Object:
    """A class whose provisioner nobody runs."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "silent.example/nobody",
        "volumeBindingMode": "Immediate",
    }


def said_of_claim(claim: Object, message: str) -> Object:
    """What a driver says of a claim that it cannot make a volume for, in the words of its provisioner."""
    subject = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": claim["metadata"]["uid"]}
    names = {"namespace": claim["metadata"]["namespace"], "name": claim["metadata"]["name"]}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{names['name']}.told", "namespace": names["namespace"]},
        "involvedObject": subject | names,
        "type": "Warning",
        "reason": "ProvisioningFailed",
        "message": message,
        "source": {"component": "silent.example/nobody"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def class_elsewhere(name: str) -> Object:
    """A class whose volumes only a zone without nodes can have."""
    expression = {"key": "topology.kubernetes.io/zone", "values": ["zone-without-nodes"]}
    topologies = [{"matchLabelExpressions": [expression]}]
    return {**silent_class(name), "volumeBindingMode": "WaitForFirstConsumer", "allowedTopologies": topologies}


def refusing_policy(name: str, namespace: str, service_name: str, message: str) -> tuple[Object, Object]:
    """A cluster's own rule that refuses the pods of one service in words that nobody knows beforehand."""
    label = "object.metadata.?labels[?'serving.kserve.io/inferenceservice'].orValue('')"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"{label} != '{service_name}'", "message": message}],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    api, kind = "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"
    return _object(api, kind, name, policy), _object(api, f"{kind}Binding", name, binding)


def silent_webhook(name: str, namespace: str, service_name: str) -> Object:
    """A webhook that must be asked of the pods of one service, and that does not answer."""
    hook = {
        "name": "silent.example.com",
        "clientConfig": {"service": {"name": "nobody", "namespace": namespace, "path": "/"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": {"serving.kserve.io/inferenceservice": service_name}},
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [hook],
    }


def marked_pod(name: str, image: str, service_name: str) -> Object:
    """A pod that counts as one of the service's."""
    found = _object("v1", "Pod", name, {"containers": [{"name": "main", "image": image}]})
    found["metadata"]["labels"] = {"serving.kserve.io/inferenceservice": service_name}
    return found


def tainted_node(name: str) -> Object:
    """A node that exists in the API alone, with a taint; nothing can run there."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"pvserve-test": name}},
        "spec": {"taints": [{"key": "only", "value": "gpu-jobs", "effect": "NoSchedule"}]},
    }


def pod(name: str, image: str, claim_name: str, script: str) -> Object:
    """A pod that mounts a claim at /claim."""
    container = {
        "name": "main",
        "image": image,
        "command": shell(script),
        "resources": SMALL,
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
    }
    volume = {"name": "claim", "persistentVolumeClaim": {"claimName": claim_name}}
    spec = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 1}
    return _object("v1", "Pod", name, spec)


def late_deployment(service_name: str, image: str) -> Object:
    """A Deployment of a service, with a deadline shorter than KServe ever sets (600 s), that cannot meet it."""
    labels = {
        "serving.kserve.io/inferenceservice": service_name,
        "app": f"late.{service_name}",
        "component": "predictor",
    }
    container = {"name": "main", "image": image, "command": shell("sleep 1000"), "resources": SMALL}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "nodeSelector": {"no-node": "has-this"}},
    }
    spec = {
        "replicas": 1,
        "progressDeadlineSeconds": 3,
        "selector": {"matchLabels": {"app": labels["app"]}},
        "template": template,
    }
    found = _object("apps/v1", "Deployment", f"{service_name}-late", spec)
    found["metadata"]["labels"] = labels
    return found


def closed_network(name: str, service_name: str, direction: str = "Ingress") -> Object:
    """A NetworkPolicy that lets nobody reach a service's pods, or lets them reach nobody (Egress)."""
    selector = {"matchLabels": {"serving.kserve.io/inferenceservice": service_name}}
    spec = {"podSelector": selector, "policyTypes": [direction]}
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, spec)


def _object(api_version: str, kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}
