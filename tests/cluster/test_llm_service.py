"""An LLMInferenceService on a real cluster: served from a claim, proven, in use, edited in place and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Unknown

from .offers import image, lacking, until
from .ui_service import gguf, leaving_nothing, make, own_pods, pvserve, runtime

pytestmark = pytest.mark.cluster
LLM = ("serving.kserve.io/v1alpha1", "LLMInferenceService")
PLACE = "pvc://cache/granite"


@pytest.fixture(autouse=True)
def _kind_is_served(cluster: Cluster) -> Iterator[None]:
    if isinstance(cluster.find_all(*LLM, cluster.namespace), Unknown):
        lacking("the cluster has no LLMInferenceService")
    with leaving_nothing(cluster):
        yield


def service(name: str, uri: str) -> dict[str, Any]:
    """llama.cpp's server as its whole pod, and labels and annotations of the dashboard and of Kueue's kind."""
    serving = runtime()["spec"]["containers"][0]
    probe = {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 1, "failureThreshold": 120}
    main = {
        "name": "main",
        "image": image("llama"),
        "command": serving["command"],
        "args": ["--model_name=llama", "--model_dir=/mnt/models", "--port=8000"],
        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
        "readinessProbe": probe,
        "resources": serving["resources"],
        "securityContext": serving["securityContext"],
    }
    labels = {"opendatahub.io/dashboard": "true", "example.com/team": "bank"}
    annotations = {"openshift.io/display-name": "Llama", "opendatahub.io/hardware-profile-name": "small"}
    return {
        "apiVersion": LLM[0],
        "kind": LLM[1],
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"model": {"uri": uri, "name": "llama"}, "replicas": 1, "template": {"containers": [main]}},
    }


def test_llm_service_beside_another_is_served_from_a_claim_and_proven(cluster: Cluster, tmp_path: Path) -> None:
    make(cluster, service("llama", "s3://models/llama"))
    where = ["-n", cluster.namespace]
    deploy = ["deploy", gguf(tmp_path / "granite", 1_000_000), "--from", "llama", "--name", "llama-pvc"]
    deploy += ["--claim", "cache", *where, "-y"]
    done = pvserve(*deploy)
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    assert len(done.checks) == 11
    assert own_pods(cluster) == []
    made, origin = cluster.get(*LLM, "llama-pvc"), cluster.get(*LLM, "llama")
    assert made["spec"]["model"].pop("uri") == PLACE
    assert origin["spec"]["model"].pop("uri") == "s3://models/llama"
    assert made["spec"] == origin["spec"]
    assert made["metadata"]["annotations"] == origin["metadata"]["annotations"]
    assert made["metadata"]["labels"] == origin["metadata"]["labels"] | {"app.kubernetes.io/managed-by": "pvserve"}
    again = pvserve(*deploy)
    assert again.code == 0, again.explained()
    assert cluster.get(*LLM, "llama-pvc")["metadata"]["generation"] == made["metadata"]["generation"]
    _check_in_use(cluster, where)
    _check_looked_at(cluster, where, tmp_path)


def _check_in_use(cluster: Cluster, where: list[str]) -> None:
    listed = pvserve("ls", *where)
    [row] = [row for row in listed.lines[-1]["claims"] if row["claim"] == "cache"]
    assert row["services"] == ["LLMInferenceService/llama-pvc"]
    removed = pvserve("rm", PLACE, *where, "-y")
    assert removed.code == 3, removed.explained()
    assert f"LLMInferenceService {cluster.namespace}/llama-pvc" in removed.error["message"]


def _check_looked_at(cluster: Cluster, where: list[str], directory: Path) -> None:
    state = pvserve("status", "llama-pvc", *where)
    assert (state.code, state.lines[-1]["uri"]) == (0, PLACE), state.explained()
    healthy = pvserve("doctor", "llama-pvc", *where)
    assert healthy.code == 0, healthy.explained()
    assert "LLMInferenceService llama-pvc is Ready" in healthy.out
    broken = pvserve("doctor", "llama", *where)
    assert broken.code == 1, broken.explained()
    assert "PresetsCombined is False" in broken.out
    written = directory / "init.yaml"
    written.write_text(pvserve("init", "llama-pvc", *where).lines[-1]["modelFile"])
    assert "LLMInferenceService" in written.read_text()
    planned = pvserve("plan", "-f", written, "--detailed-exitcode")
    assert planned.code == 0, planned.explained()
    assert {item["service"] for item in pvserve("doctor", *where).lines[-1]["services"]} == {"llama", "llama-pvc"}


def test_llm_service_in_place_and_back(cluster: Cluster, tmp_path: Path) -> None:
    model, where = gguf(tmp_path / "granite", 1_000_000), ["-n", cluster.namespace, "-y"]
    first = pvserve("load", model, "pvc://origin/granite", *where)
    assert first.code == 0, first.explained()
    make(cluster, service("llama", "pvc://origin/granite"))
    until("the service is Ready", lambda: pvserve("status", "llama", *where[:2]).code == 0, seconds=120, every=2)
    done = pvserve("deploy", model, "--in-place", "--name", "llama", "--claim", "cache", *where)
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    assert cluster.get(*LLM, "llama")["spec"]["model"]["uri"] == PLACE
    back = pvserve("rollback", "llama", *where)
    assert back.code == 0, back.explained()
    assert cluster.get(*LLM, "llama")["spec"]["model"]["uri"] == "pvc://origin/granite"
    assert pvserve("verify", "llama", *where[:2]).code == 0
