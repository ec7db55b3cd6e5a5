"""The main job on a real cluster: from a service of the dashboard to one that is served from a claim, and back.

Covered: conversion and proof; nothing to do on a second run; damage found by verify; in place and back; a saved plan.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster

from .ui_service import (
    gguf,
    leaving_nothing,
    live_pods,
    make,
    own_pods,
    pvserve,
    run_on_claim,
    runtime,
    service,
    volumes_of,
)

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
ISVC = ("serving.kserve.io/v1beta1", "InferenceService")
RUNTIME = ("serving.kserve.io/v1alpha1", "ServingRuntime")
CLAIM = ("v1", "PersistentVolumeClaim")
S3 = {"storage": {"key": "granite-s3", "path": "granite"}}
CONVERTED = "pvc://vllm-model-cache/granite-7b-lab"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf(tmp_path_factory.mktemp("models") / "granite-7b-lab")


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


@pytest.fixture(params=["kubernetes", "openshift"])
def profile(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """What assigns uid and group: pvserve, or the namespace's ranges as in a project of OpenShift."""
    if request.param == "openshift":
        ranges = {f"openshift.io/sa.scc.{key}": "1000770000/10000" for key in ("uid-range", "supplemental-groups")}
        cluster.patch("v1", "Namespace", cluster.namespace, "", {"metadata": {"annotations": ranges}})
    return str(request.param)


def deploy(cluster: Cluster, model: Path, *more: str) -> list[str]:
    """The command of the README."""
    where = ["-n", cluster.namespace, "-y"]
    return [
        "deploy",
        str(model),
        "--from",
        "granite",
        "--name",
        "granite-pvc",
        "--claim",
        "vllm-model-cache",
        *where,
        *more,
    ]


def test_service_of_the_dashboard_is_served_from_a_claim_and_proven(
    cluster: Cluster, model: Path, profile: str
) -> None:
    make(cluster, runtime(), service(S3))
    done = pvserve(*deploy(cluster, model))
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    assert len(done.checks) == 11
    _check_objects(cluster)
    _check_pod(cluster)
    assert own_pods(cluster) == []
    [volume] = volumes_of(cluster)
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    _check_second_run(cluster, model)
    _check_damage_is_found(cluster, profile)


def _check_objects(cluster: Cluster) -> None:
    """Names, runtime link and storage differ; nothing else does."""
    made, origin = (cluster.get(*ISVC, which, cluster.namespace) for which in ("granite-pvc", "granite"))
    predictor, before = made["spec"]["predictor"], origin["spec"]["predictor"]
    assert predictor["model"].pop("storageUri") == CONVERTED
    assert predictor["model"].pop("runtime") == "granite-pvc"
    assert before["model"].pop("storage") == S3["storage"]
    assert before["model"].pop("runtime") == "llama-server"
    assert made["spec"] == origin["spec"]
    assert made["metadata"]["annotations"] == origin["metadata"]["annotations"]
    assert made["metadata"]["labels"] == origin["metadata"]["labels"] | {"app.kubernetes.io/managed-by": "pvserve"}
    assert cluster.get(*RUNTIME, "granite-pvc")["spec"] == cluster.get(*RUNTIME, "llama-server")["spec"]


def _check_pod(cluster: Cluster) -> None:
    [pod] = live_pods(cluster, "granite-pvc")
    assert not pod["spec"].get("initContainers")
    [container] = [item for item in pod["spec"]["containers"] if item["name"] == "kserve-container"]
    [mount] = [item for item in container["volumeMounts"] if item["mountPath"] == "/mnt/models"]
    assert (mount["subPath"], mount["readOnly"]) == ("granite-7b-lab", True)
    [volume] = [item for item in pod["spec"]["volumes"] if item["name"] == mount["name"]]
    assert volume["persistentVolumeClaim"]["claimName"] == "vllm-model-cache"


def _versions(cluster: Cluster) -> list[Any]:
    claim = cluster.get(*CLAIM, "vllm-model-cache")["metadata"]
    kinds = [cluster.get(*kind, "granite-pvc")["metadata"]["generation"] for kind in (ISVC, RUNTIME)]
    return [claim["resourceVersion"], claim["uid"], *kinds]


def _check_second_run(cluster: Cluster, model: Path) -> None:
    before = _versions(cluster)
    again = pvserve(*deploy(cluster, model))
    assert again.code == 0, again.explained()
    assert not [line for line in again.lines if line["type"] == "transfer"]
    assert _versions(cluster) == before
    changes = pvserve("plan", *deploy(cluster, model)[1:-1], "--detailed-exitcode")
    assert changes.code == 0, changes.explained()


def _check_damage_is_found(cluster: Cluster, profile: str) -> None:
    """One byte is changed by a pod that has nothing to do with pvserve."""
    script = "printf X | dd of=/claim/granite-7b-lab/padding-00001-of-00002.bin bs=1 seek=4242 conv=notrunc; sync"
    run_on_claim(
        cluster, "vllm-model-cache", script, {"runAsUser": 1000, "fsGroup": 1000} if profile == "kubernetes" else {}
    )
    quick = pvserve("verify", "granite-pvc", "--quick", "-n", cluster.namespace)
    assert quick.checks["digests"] == "passed"
    full = pvserve("verify", "granite-pvc", "-n", cluster.namespace)
    assert full.code == 6, full.explained()
    [check] = [check for check in full.lines[-1]["proof"]["checks"] if check["name"] == "digests"]
    assert "padding-00001-of-00002.bin" in check["evidence"]


def test_in_place_with_a_connection_and_back(cluster: Cluster, model: Path, profile: str) -> None:
    """The connection is of type `uri`, whose webhook deletes the new storageUri when it is taken away carelessly."""
    first = pvserve("load", model, "pvc://origin/granite", "-n", cluster.namespace, "-y")
    assert first.code == 0, first.explained()
    old = "pvc://origin/granite"
    connection = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "granite-uri",
            "labels": {"opendatahub.io/dashboard": "true", "opendatahub.io/managed": "true"},
            "annotations": {"opendatahub.io/connection-type-protocol": "uri"},
        },
        "data": {"URI": base64.b64encode(old.encode()).decode()},
    }
    annotation = {"opendatahub.io/connections": "granite-uri"}
    make(cluster, runtime(), connection, service({"storageUri": old}, **annotation))
    where = ["-n", cluster.namespace, "-y"]
    in_place = ["deploy", str(model), "--in-place", "--name", "granite", "--claim", "vllm-model-cache", *where]
    done = pvserve(*in_place)
    assert done.code == 0, done.explained()
    live = cluster.get(*ISVC, "granite")
    assert live["spec"]["predictor"]["model"]["storageUri"] == CONVERTED
    assert not {"opendatahub.io/connections", "serving.kserve.io/stop"} & live["metadata"]["annotations"].keys()
    assert pvserve(*in_place).code == 0
    assert cluster.get(*ISVC, "granite")["metadata"]["generation"] == live["metadata"]["generation"]

    back = pvserve("rollback", "granite", *where)
    assert back.code == 0, back.explained()
    live = cluster.get(*ISVC, "granite")
    assert live["spec"]["predictor"]["model"]["storageUri"] == old
    assert live["metadata"]["annotations"]["opendatahub.io/connections"] == "granite-uri"
    assert pvserve("verify", "granite", "-n", cluster.namespace).code == 0
    again = pvserve("rollback", "granite", *where)
    assert (again.code, again.error["reason"]) == (3, "NothingToRollBack")


def test_saved_plan_is_carried_out_or_refused_as_stale(cluster: Cluster, model: Path, tmp_path: Path) -> None:
    make(cluster, runtime(), service(S3))
    plan = tmp_path / "plan.json"
    wanted = ["--from", "granite", "--name", "granite-pvc", "--claim", "vllm-model-cache", "-n", cluster.namespace]
    planned = pvserve("plan", model, *wanted, "--out", plan, "--detailed-exitcode")
    assert planned.code == 9, planned.explained()
    cluster.patch(*ISVC, "granite", cluster.namespace, {"spec": {"predictor": {"timeout": 78}}})
    stale = pvserve("deploy", plan, "-y")
    assert (stale.code, stale.error["reason"]) == (8, "PlanIsStale"), stale.explained()
    assert cluster.find(*CLAIM, "vllm-model-cache") is None

    cluster.patch(*ISVC, "granite", cluster.namespace, {"spec": {"predictor": {"timeout": 77}}})
    done = pvserve("deploy", plan, "-y")
    assert done.code == 0, done.explained()
    assert json.loads(plan.read_text())["service"] == "granite-pvc"
