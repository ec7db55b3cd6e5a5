"""A service as the dashboard makes it, a model for it, and the command under test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from pvserve.cluster import Cluster
from pvserve.facts import Object, name

from .offers import image, make_namespace, until

CLASS_LABEL = "app.kubernetes.io/managed-by=pvserve"


@dataclass(frozen=True)
class Ran:
    """How a command ended; `lines` are the JSON lines on its stdout."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    @property
    def checks(self) -> dict[str, str]:
        """Result by check of the proof."""
        return {check["name"]: check["result"] for check in self.lines[-1]["proof"]["checks"]}

    @property
    def error(self) -> dict[str, Any]:
        return next(line["error"] for line in self.lines if line["type"] == "error")

    def explained(self) -> str:
        """For a failed assertion."""
        return f"exit code {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"


def pvserve(*args: str | os.PathLike[str], seconds: float = 240) -> Ran:
    """Runs the command as a user would, for machines."""
    done = subprocess.run(_argv(args), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)
    return Ran(done.returncode, done.stdout, done.stderr)


def interrupted(args: Sequence[str | os.PathLike[str]], number: signal.Signals, when: Any) -> Ran:
    """Starts the command and sends it a signal: after `when` seconds, or once a line holds the text `when`."""
    process = subprocess.Popen(_argv(args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    seen = b""
    if isinstance(when, str):
        while when.encode() not in seen and (line := process.stdout.readline()):
            seen += line
    else:
        time.sleep(when)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, (seen + out).decode(), err.decode())


def _argv(args: Sequence[str | os.PathLike[str]]) -> list[str]:
    return [sys.executable, "-m", "pvserve.cli.main", *map(os.fspath, args), "-o", "json"]


def runtime() -> dict[str, Any]:
    """llama.cpp's server as a ServingRuntime, with the image of the cluster under test."""
    made: dict[str, Any] = yaml.safe_load(files("bed").joinpath("manifests/runtimes/llama-server.yaml").read_text())
    made["spec"]["containers"][0]["image"] = image("llama")
    return made


def service(storage: dict[str, Any], service_name: str = "granite", **annotations: str) -> dict[str, Any]:
    """As in the recording odh-style, with a field that pvserve does not know of."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": service_name,
            "annotations": {
                "serving.kserve.io/deploymentMode": "RawDeployment",
                "openshift.io/display-name": "Granite",
                "security.opendatahub.io/enable-auth": "false",
                "opendatahub.io/model-type": "generative",
                **annotations,
            },
            "labels": {"opendatahub.io/dashboard": "true", "networking.kserve.io/visibility": "exposed"},
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "minReplicas": 1,
                "maxReplicas": 1,
                "timeout": 77,
                "model": {"modelFormat": {"name": "gguf"}, "runtime": "llama-server", **storage},
            }
        },
    }


def make(cluster: Cluster, *objects: dict[str, Any]) -> None:
    """Creates the objects in the cluster's namespace."""
    for obj in objects:
        cluster.create({**obj, "metadata": {**obj["metadata"], "namespace": cluster.namespace}})


def volumes_of(cluster: Cluster) -> list[Object]:
    """The volumes of claims of the cluster's namespace, bound or released."""
    found = cluster.list("v1", "PersistentVolume")
    return [pv for pv in found if (pv["spec"].get("claimRef") or {}).get("namespace") == cluster.namespace]


@contextmanager
def leaving_nothing(cluster: Cluster) -> Iterator[None]:
    """Takes away what Retain keeps after a test: the volumes of claims in its namespace."""
    try:
        yield
    finally:
        for volume in volumes_of(cluster):
            delete = {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}
            cluster.patch("v1", "PersistentVolume", name(volume), "", delete)


@contextmanager
def own_namespace(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with a namespace of its own, of which nothing stays."""
    with make_namespace(cluster) as namespace:
        own = Cluster.connect(namespace=namespace)
        with leaving_nothing(own):
            yield own


@contextmanager
def leaving_no_class(cluster: Cluster) -> Iterator[None]:
    """Takes away pvserve's copies of storage classes that were not there before."""
    before = {name(item) for item in cluster.list("storage.k8s.io/v1", "StorageClass")}
    try:
        yield
    finally:
        for item in cluster.list("storage.k8s.io/v1", "StorageClass", label_selector=CLASS_LABEL):
            if name(item) not in before:
                cluster.delete("storage.k8s.io/v1", "StorageClass", name(item))


def own_pods(cluster: Cluster) -> list[str]:
    """pvserve's own pods that are left."""
    pods = cluster.list("v1", "Pod", cluster.namespace)
    return [name(pod) for pod in pods if name(pod).startswith(("pvserve-load", "pvserve-list", "pvserve-reader"))]


def live_pods(cluster: Cluster, service_name: str) -> list[Object]:
    """The service's pods that are not being deleted."""
    selector = f"serving.kserve.io/inferenceservice={service_name}"
    pods = cluster.list("v1", "Pod", cluster.namespace, label_selector=selector)
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def gguf(directory: Path, padding: int = 20_000_000) -> Path:
    """A model that llama.cpp serves, with `padding` bytes beside it that give it weight."""
    from bed import models

    models.make("gguf", directory)
    return models.pad(directory, padding, files=2)


def run_on_claim(cluster: Cluster, claim: str, script: str, identity: dict[str, int]) -> None:
    """A script in a pod that mounts the claim at /claim and has nothing to do with pvserve."""
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **identity},
            "containers": [{
                "name": "sh", "image": image("busybox"), "command": ["sh", "-c", script],
                "securityContext": restricted, "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
            }],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }  # fmt: skip
    make(cluster, pod)
    phase = until("the other pod has ended", lambda: _ended(cluster.get("v1", "Pod", "other")))
    assert phase == "Succeeded", cluster.logs("other", cluster.namespace, "sh")
    cluster.delete("v1", "Pod", "other", grace_seconds=0)


def _ended(pod: Object) -> str:
    phase = str(pod["status"]["phase"])
    return phase if phase in ("Succeeded", "Failed") else ""
