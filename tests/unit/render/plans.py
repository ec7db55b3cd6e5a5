"""Plans as `plan.build` makes them, written by hand."""

import copy
from dataclasses import replace
from typing import Any

from pvserve.facts.objects import ObjectKey
from pvserve.plan.steps import ApplyObject, Load, LoadJob, NotDone, PatchObject, Plan, Prove, RetainVolume, WaitReady
from pvserve.render import Options
from pvserve.render import render as written

MANAGED = {"app.kubernetes.io/managed-by": "pvserve"}
SERVER_SIDE = {
    "uid": "9d1f",
    "resourceVersion": "17",
    "generation": 2,
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "managedFields": [{"manager": "kubectl"}],
}


def storage_class() -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "gp3-csi-retain", "labels": MANAGED},
        "provisioner": "ebs.csi.aws.com",
        "reclaimPolicy": "Retain",
    }


def claim() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "vllm-model-cache", "namespace": "llm", "labels": MANAGED},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "20Gi"}},
            "storageClassName": "gp3-csi-retain",
        },
    }


def runtime(**env: str) -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    container = {"name": "kserve-container", "image": "vllm:1", "args": ["--port=8080", "y"], "env": variables}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "granite-pvc", "namespace": "llm", "labels": MANAGED},
        "spec": {"containers": [container], "supportedModelFormats": [{"name": "vLLM", "version": "1"}]},
    }


def service(uri: str = "pvc://vllm-model-cache/granite-7b-lab") -> dict[str, Any]:
    model = {"modelFormat": {"name": "vLLM"}, "runtime": "granite-pvc", "storageUri": uri}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "granite-pvc",
            "namespace": "llm",
            "labels": {"opendatahub.io/dashboard": "true", **MANAGED},
            "annotations": {"openshift.io/display-name": "yes"},
        },
        "spec": {"predictor": {"minReplicas": 1, "model": model}},
    }


def apply(obj: dict[str, Any]) -> ApplyObject:
    return ApplyObject(obj["kind"].lower(), f"make {obj['kind']}", obj)


def load(**fields: Any) -> Load:
    given = {
        "source": "/home/ada/models/granite-7b-lab",
        "claim": "vllm-model-cache",
        "path": "granite-7b-lab",
        "pod": {"spec": {"containers": [{"name": "pvserve", "image": "vllm:1"}]}},
        "bytes": 13 << 30,
        "files": 12,
        "fingerprint": "abc",
        "manifest_digest": "sha256:" + "e" * 64,
    }
    return Load("load", "load granite-7b-lab", **{**given, **fields})


def whole(**fields: Any) -> Plan:
    """A plan that makes everything, in an order that a file should not keep."""
    steps = (
        apply(service()),
        apply(runtime()),
        apply(storage_class()),
        apply(claim()),
        load(),
        RetainVolume("retain", "keep the volume", "vllm-model-cache"),
        WaitReady("ready", "wait until granite-pvc is Ready", "granite-pvc"),
        Prove("prove", "prove that granite-pvc serves", "granite-pvc"),
    )
    given: dict[str, Any] = {"namespace": "llm", "service": "granite-pvc", "claim": "vllm-model-cache"}
    return Plan(**{**given, "path": "granite-7b-lab", "steps": steps, **fields})


def in_place() -> Plan:
    """A service with a connection, edited in the safe order of steps."""
    live = service("s3://models/granite")
    live["metadata"] |= {"annotations": {"opendatahub.io/connections": "my-s3"}, **SERVER_SIDE}
    live["status"] = {"conditions": []}
    target = ObjectKey(live["apiVersion"], live["kind"], "llm", "granite-pvc")
    stop = {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}}
    gone = {"metadata": {"annotations": {"opendatahub.io/connections": None}}}
    moved = {"spec": {"predictor": {"model": {"storageUri": "pvc://vllm-model-cache/granite-7b-lab"}}}}
    start = {"metadata": {"annotations": {"serving.kserve.io/stop": None}}}
    patches = [PatchObject(f"p{n}", "patch", target, body, live) for n, body in enumerate((stop, gone, moved, start))]
    return whole(steps=tuple(patches))


def not_allowed() -> NotDone:
    return NotDone("keep the volume", "you may not patch persistentvolumes", "kubectl patch pv x -p '{}'")


POD_SPEC = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
    "affinity": {"nodeAffinity": {}},
    "nodeSelector": {"accelerator": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "containers": [
        {
            "name": "pvserve",
            "image": "vllm:1",
            "command": ["sh", "-c", "idle"],
            "env": [{"name": "HOME", "value": "/tmp"}],
            "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
            "volumeMounts": [
                {"name": "claim", "mountPath": "/claim", "readOnly": False},
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "source", "mountPath": "/source", "readOnly": True},
            ],
        }
    ],
    "volumes": [
        {"name": "claim", "persistentVolumeClaim": {"claimName": "vllm-model-cache", "readOnly": False}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "source", "persistentVolumeClaim": {"claimName": "workbench", "readOnly": True}},
    ],
}


def copy_step() -> Load:
    """A load whose model lies on a claim that the cluster can read."""
    pod = {"metadata": {"generateName": "pvserve-load-", "labels": {**MANAGED, "pvserve.io/loader": "5e"}}}
    return load(
        source="pvc://workbench/models/granite",
        source_claim="workbench",
        source_path="models/granite",
        exclude=("original/*",),
        pod={**pod, "spec": POD_SPEC},
    )


def copying(*steps: Any, **fields: Any) -> Plan:
    """A plan with such a load; `steps` beside it, or all that a plan has."""
    rest = steps or tuple(item for item in whole().steps if not isinstance(item, Load))
    return whole(**{"steps": (*rest, copy_step()), **fields})


def fetch_step() -> LoadJob:
    """A load whose model lies in S3."""
    spec = copy.deepcopy(POD_SPEC)
    container, claim = spec["containers"][0], {"name": "claim", "mountPath": "/claim"}
    volumes = [spec["volumes"][0], spec["volumes"][1]]
    volumes += [
        {"name": "ca", "configMap": {"name": "odh-trusted-ca-bundle", "optional": True}},
        {"name": "connection", "secret": {"secretName": "aws-models"}},
    ]
    container["command"] = ["python3", "-X", "utf8", "-I", "-S", "/pvserve/load.py"]
    container["volumeMounts"] = [
        claim,
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "pvserve-program", "mountPath": "/pvserve", "readOnly": True},
        {"name": "ca", "mountPath": "/pvserve-ca", "readOnly": True},
        {"name": "connection", "mountPath": "/pvserve-secret", "readOnly": True},
    ]
    template = {"metadata": {"labels": MANAGED}, "spec": {**spec, "volumes": volumes}}
    return LoadJob(
        "load",
        "fetch granite",
        source="s3://models/granite",
        claim="vllm-model-cache",
        path="granite-7b-lab",
        job={"metadata": {}, "spec": {"template": template}},
        order={
            "source": {"scheme": "s3", "uri": "s3://models/granite", "secret": "aws-models"},
            "claim": "vllm-model-cache",
        },
        bytes=13 << 30,
        files=12,
        fingerprint="abc",
    )


def fetching() -> Plan:
    """A plan with such a load."""
    rest = tuple(item for item in whole().steps if not isinstance(item, Load))
    return whole(steps=(*rest, fetch_step()))


REPOSITORY = Options("https://git.example/models.git", "main", "clusters/one")


def cache() -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "LocalModelNamespaceCache",
        "metadata": {"name": "granite-pvc", "namespace": "llm", "labels": MANAGED},
        "spec": {"sourceModelUri": "hf://ibm/granite:main", "modelSize": "13Gi", "pvcRef": "vllm-model-cache"},
    }


def importing(plan: Plan) -> Plan:
    """The plan whose model KServe imports."""
    steps = tuple(step for step in plan.steps if not isinstance(step, Load))
    return replace(plan, steps=(*steps, apply(cache())))


def render(plan: Plan, form: str) -> dict[str, str]:
    """With what any form has to be told."""
    return written(importing(plan) if form == "kserve-cache" else plan, form, REPOSITORY)
