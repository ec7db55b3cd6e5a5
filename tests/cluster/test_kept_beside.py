"""What a service has beside its model is kept: other models of it, transformer, hardware profile, queue.

One deploy and one serve carry all of it, since each waits for pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.cluster import Cluster
from pvserve.facts import Object

from .offers import image, until
from .ui_service import Ran, gguf, leaving_nothing, live_pods, make, own_pods, pvserve, runtime, service

pytestmark = pytest.mark.cluster
ISVC = ("serving.kserve.io/v1beta1", "InferenceService")
STOPPED = {"serving.kserve.io/stop": "true"}
LORA = {"uri": "pvc://cache/lora", "mountPath": "/mnt/lora"}
MORE = {"uri": "pvc://adapters/more", "mountPath": "/mnt/more"}
PROFILE = {
    "opendatahub.io/hardware-profile-name": "small",
    "opendatahub.io/hardware-profile-namespace": "redhat-ods-applications",
}
LABELS = {"modelregistry.opendatahub.io/model-version-id": "7", "example.com/team": "bank"}
QUEUE = {"kueue.x-k8s.io/queue-name": "gpus"}


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def transformer() -> dict[str, Any]:
    """A server of its own before the predictor, which has nothing to do with the model."""
    script = "mkdir -p /tmp/www && exec httpd -f -p 8080 -h /tmp/www"
    container = {
        "name": "kserve-container",
        "image": image("busybox"),
        "command": ["/bin/sh", "-c", script],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
    }
    return {"minReplicas": 1, "maxReplicas": 1, "containers": [container]}


def origin(name: str = "granite") -> dict[str, Any]:
    """A base model and a LoRA adapter (as in recording storage-uris-pvc), with a transformer; it is stopped."""
    made = service({}, name, **STOPPED, **PROFILE)
    made["metadata"]["labels"] |= LABELS
    made["spec"]["predictor"]["storageUris"] = [{"uri": "s3://models/base", "mountPath": "/mnt/models"}, LORA, MORE]
    made["spec"]["transformer"] = transformer()
    return made


def adapters() -> dict[str, Any]:
    """A claim of its own, of the default class, on which nothing lies."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "adapters"}, "spec": spec}


def custom() -> dict[str, Any]:
    """A predictor that is its own container, and names its model in STORAGE_URI; it is stopped."""
    container = dict(runtime()["spec"]["containers"][0])
    container["args"] = ["--model_name=custom", "--model_dir=/mnt/models", "--port=8080"]
    container["env"] = [*container["env"], {"name": "STORAGE_URI", "value": "s3://models/base"}]
    container["volumeMounts"] = []
    made = service({}, "custom", **STOPPED)
    made["spec"]["predictor"] = {"minReplicas": 1, "maxReplicas": 1, "containers": [container]}
    return made


def run(cluster: Cluster, *words: Any, code: int = 0) -> Ran:
    ran = pvserve(*words, "-n", cluster.namespace)
    assert ran.code == code, ran.explained()
    return ran


def mounts(pod: Object) -> dict[str, tuple[str, str]]:
    """Claim and directory by the place in the container that serves."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    [server] = [item for item in pod["spec"]["containers"] if item["name"] == "kserve-container"]
    return {
        mount["mountPath"]: (claims[mount["name"]], mount.get("subPath", ""))
        for mount in server["volumeMounts"]
        if mount["name"] in claims
    }


def test_lora_adapters_beside_a_base_model_stay_and_a_custom_predictor_serves_the_same_path(
    cluster: Cluster, tmp_path: Path
) -> None:
    make(cluster, runtime(), origin(), custom(), adapters())
    model = gguf(tmp_path / "base", 1_000_000)
    deploy = ("deploy", model, "--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--retain", "no", "-y")
    done = run(cluster, *deploy)
    assert set(done.checks.values()) == {"passed"}
    told = " ".join(next(line for line in done.lines if "plan" in line)["plan"]["notes"])
    assert "loses the sub-path" in told
    assert "pvc://cache/lora" in told
    assert "its files are at /mnt/more/more" in told
    _check_made(cluster)
    again = run(cluster, *deploy)
    assert not [line for line in again.lines if line["type"] == "transfer"]
    healthy = run(cluster, "doctor", "granite-pvc")
    assert "Healthy" in healthy.out

    second = ("serve", "second", "--from", "custom", "--claim", "cache", "--path", "base", "-y")
    assert set(run(cluster, *second).checks.values()) == {"passed"}
    [container] = cluster.get(*ISVC, "second")["spec"]["predictor"]["containers"]
    assert {"name": "STORAGE_URI", "value": "pvc://cache/base"} in container["env"]
    [row] = [row for row in run(cluster, "ls").lines[-1]["claims"] if row["claim"] == "cache"]
    assert [(item["path"], item["services"]) for item in row["models"]] == [("base", ["granite-pvc", "second"])]
    refused = run(cluster, "rm", "pvc://cache/base", "-y", code=3)
    assert refused.error["reason"] == "ModelInUse"
    assert all(f"{cluster.namespace}/{name}" in refused.error["message"] for name in ("granite-pvc", "second"))
    assert own_pods(cluster) == []


def _check_made(cluster: Cluster) -> None:
    made, old = cluster.get(*ISVC, "granite-pvc"), cluster.get(*ISVC, "granite")
    assert made["spec"]["transformer"] == old["spec"]["transformer"]
    assert PROFILE.items() <= made["metadata"]["annotations"].items()
    assert LABELS.items() <= made["metadata"]["labels"].items()
    assert made["spec"]["predictor"]["storageUris"] == [MORE]
    assert len(old["spec"]["predictor"]["storageUris"]) == 3

    def seen() -> list[dict[str, tuple[str, str]]]:
        pods = [
            pod for pod in live_pods(cluster, "granite-pvc") if pod["metadata"]["labels"]["component"] == "predictor"
        ]
        return [mounts(pod) for pod in pods] if len(pods) == 1 else []

    # KServe mounts the root of the claim for what stays in the list; what is on the model's claim has its directory.
    [found] = until("one pod of the predictor", seen)
    assert found == {
        "/mnt/models": ("cache", "base"),
        "/mnt/lora": ("cache", "lora"),
        "/mnt/more": ("adapters", ""),
    }


def test_explainer_and_kueue_queue_are_kept_as_the_api_server_would_store_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Planned alone: the bed has neither KServe's explainers nor Kueue."""
    made = service({"storage": {"key": "x", "path": "x"}}, **STOPPED)
    made["metadata"]["labels"] |= QUEUE
    made["spec"]["explainer"] = transformer()
    make(cluster, runtime(), made)
    words = ("--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--retain", "no")
    planned = run(cluster, "plan", gguf(tmp_path / "base", 0), *words)
    [wanted] = [step["object"] for step in planned.lines[-1]["plan"]["steps"] if step["id"] == "service"]
    stored = cluster.create(wanted, dry_run=True)
    assert QUEUE.items() <= stored["metadata"]["labels"].items()
    assert stored["spec"]["explainer"] == cluster.get(*ISVC, "granite")["spec"]["explainer"]


@pytest.fixture
def cluster_runtime(any_cluster: Cluster, run_id: str) -> Iterator[str]:
    """llama.cpp's server as a ClusterServingRuntime, which KServe chooses for nobody by itself."""
    made = runtime()
    wanted = f"pvst-llama-{run_id}"
    made["kind"], made["metadata"]["name"] = "ClusterServingRuntime", wanted
    made["spec"]["supportedModelFormats"] = [{"name": "gguf", "autoSelect": False}]
    any_cluster.create(made)
    yield wanted
    any_cluster.delete(made["apiVersion"], made["kind"], wanted)


def test_a_service_in_a_file_with_a_runtime_of_the_whole_cluster_is_deployed_with_a_copy_of_it(
    cluster: Cluster, cluster_runtime: str, tmp_path: Path
) -> None:
    """As exported from another cluster; the dashboard joins service and runtime by name, in the namespace."""
    kept = service({"storage": {"key": "x", "path": "x"}}, **PROFILE)
    kept["spec"]["predictor"]["model"]["runtime"] = cluster_runtime
    file = tmp_path / "granite.yaml"
    file.write_text(yaml.safe_dump(kept))
    words = ("deploy", gguf(tmp_path / "base", 1_000_000), "--from", file, "--name", "granite-pvc", "--claim", "cache")
    done = run(cluster, *words, "--retain", "no", "-y")
    assert set(done.checks.values()) == {"passed"}
    assert cluster.find(*ISVC, "granite") is None
    made = cluster.get(*ISVC, "granite-pvc")
    assert PROFILE.items() <= made["metadata"]["annotations"].items()
    assert made["spec"]["predictor"]["model"]["runtime"] == "granite-pvc"
    api = "serving.kserve.io/v1alpha1"
    original = cluster.get(api, "ClusterServingRuntime", cluster_runtime)
    assert cluster.get(api, "ServingRuntime", "granite-pvc")["spec"] == original["spec"]
