"""`rm` on a live claim: refused while anybody uses the model, and then gone without a trace of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pvserve.api import models, volumes
from pvserve.cluster import Cluster
from pvserve.errors import Refused
from pvserve.facts import Object, annotations_of
from pvserve.plan.rights import required

from .accounts import Account
from .offers import image, until
from .ui_service import Ran, gguf, leaving_nothing, make, own_pods, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return gguf(tmp_path / "granite", padding=5_000_000)


def run(cluster: Cluster, *words: str | os.PathLike[str], code: int = 0) -> Ran:
    ran = pvserve(*words, "-n", cluster.namespace, *(() if words[0] == "verify" else ("-y",)))
    assert ran.code == code, ran.explained()
    return ran


def claim_of(cluster: Cluster) -> Object:
    return cluster.get("v1", "PersistentVolumeClaim", "a", cluster.namespace)


def shell(cluster: Cluster, script: str, read_only: bool = False) -> Any:
    """A pod with the claim's root at /claim, which sleeps once the script has ended."""
    mount = {"name": "c", "mountPath": "/claim", "readOnly": read_only}
    container = {"name": "sh", "image": image("busybox"), "command": ["sh", "-c", script], "volumeMounts": [mount]}
    volume = {"name": "c", "persistentVolumeClaim": {"claimName": "a"}}
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [volume],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sh"}, "spec": spec}


def said_by_shell(cluster: Cluster, script: str) -> str:
    make(cluster, shell(cluster, script))
    phase = until(
        "the shell ended",
        lambda: (
            (found := cluster.get("v1", "Pod", "sh", cluster.namespace)["status"].get("phase"))
            in ("Succeeded", "Failed")
            and found
        ),
    )
    out = cluster.logs("sh", cluster.namespace, "sh", tail=100)
    cluster.delete("v1", "Pod", "sh", cluster.namespace)
    until("the shell is gone", lambda: cluster.find("v1", "Pod", "sh", cluster.namespace) is None)
    assert phase == "Succeeded", out
    return out


def test_a_model_is_kept_while_it_is_used_and_then_goes_without_a_trace(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    with leaving_nothing(cluster):
        run(cluster, "load", model, "pvc://a/granite", "--retain", "no")
        run(cluster, "load", gguf(tmp_path / "second", padding=3_000_000), "pvc://a/team/second")
        run(cluster, "load", gguf(tmp_path / "third", padding=1_000_000), "pvc://a/granite", "--replace")
        stopped = {"serving.kserve.io/stop": "true"}
        make(cluster, runtime(), service({"storageUri": "pvc://a/granite"}, **stopped))
        ran = run(cluster, "rm", "pvc://a/granite", code=3)
        assert ran.error["reason"] == "ModelInUse"
        assert "granite" in ran.error["message"]

        shown = run(cluster, "rm", "pvc://a/team/second", "--dry-run")
        assert "team/second" in annotations_of(claim_of(cluster))["pvserve.io/models"], shown.out
        account = Account(cluster, cluster.namespace, required(("rm",), cluster.namespace))
        done = run(cluster, "rm", "pvc://a/team/second", "--kubeconfig", account.kubeconfig(tmp_path))
        account.forget()
        assert done.lines[-1]["removed"]["bytes"] >= 3_000_000
        assert "team/second" not in annotations_of(claim_of(cluster))["pvserve.io/models"]
        assert run(cluster, "rm", "pvc://a/team/second").lines[-1]["removed"] == {
            "found": False,
            "bytes": 0,
            "files": 0,
        }
        assert run(cluster, "verify", "pvc://a/granite").code == 0, "the model beside it is whole"

        cluster.delete(*SERVICE, "granite", cluster.namespace)
        until("the service is gone", lambda: cluster.find(*SERVICE, "granite", cluster.namespace) is None)
        make(cluster, shell(cluster, "sleep 600"))
        until("the pod runs", lambda: cluster.get("v1", "Pod", "sh", cluster.namespace)["status"]["phase"] == "Running")
        assert run(cluster, "rm", "pvc://a/granite", code=3).error["reason"] == "ModelInUse"
        cluster.delete("v1", "Pod", "sh", cluster.namespace)
        until("the pod is gone", lambda: cluster.find("v1", "Pod", "sh", cluster.namespace) is None)

        run(cluster, "rm", "pvc://a/granite")
        assert "/replaced/granite/" in said_by_shell(cluster, "find /claim -type f")
        run(cluster, "rm", "pvc://a/granite", "--all")
        assert said_by_shell(cluster, "find /claim -type f").strip() == ""
        assert "pvserve.io/models" not in annotations_of(claim_of(cluster))
        assert "dashboard.opendatahub.io/model-path" not in annotations_of(claim_of(cluster))
        assert own_pods(cluster) == []


def test_what_pvserve_did_not_put_there_needs_its_name_typed(cluster: Cluster, model: Path) -> None:
    with leaving_nothing(cluster):
        run(cluster, "load", model, "pvc://a/granite", "--retain", "no")
        said_by_shell(
            cluster, "mkdir -p /claim/mine && echo precious > /claim/mine/notes && chmod -R a+rwX /claim/mine"
        )
        assert run(cluster, "rm", "pvc://a/mine", code=3).error["reason"] == "NotOurs"
        assert run(cluster, "rm", "pvc://a/mine", "--name", "mien", code=3).error["reason"] == "NameDiffers"
        assert run(cluster, "rm", "pvc://a", code=2).error["reason"] == "NotAPlace"
        assert "precious" in said_by_shell(cluster, "cat /claim/mine/notes")
        run(cluster, "rm", "pvc://a/mine", "--name", "mine")
        assert "mine" not in said_by_shell(cluster, "ls /claim")


def test_a_service_made_after_the_plan_keeps_its_model(cluster: Cluster, model: Path) -> None:
    with leaving_nothing(cluster):
        run(cluster, "load", model, "pvc://a/granite", "--retain", "no")
        planned = volumes.rm("pvc://a/granite", cluster)
        make(cluster, service({"storageUri": "pvc://a/granite"}, **{"serving.kserve.io/stop": "true"}))
        with pytest.raises(Refused) as refused:
            models.apply(planned, cluster)
        assert refused.value.reason == "ModelInUse"
        assert "granite" in annotations_of(claim_of(cluster))["pvserve.io/models"]
        assert run(cluster, "verify", "pvc://a/granite").code == 0
        assert own_pods(cluster) == []
