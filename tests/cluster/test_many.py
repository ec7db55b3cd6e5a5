"""A directory of model files on a real cluster: interrupted, carried out, carried out again, edited behind its back.

Covered: stale plans of several models; Ctrl-C in the middle and the same command; one refused model among others; a
second run that changes nothing; drift of services, runtimes, claims and content; init and back.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster

from .offers import default_class, until
from .ui_service import Ran, gguf, interrupted, leaving_nothing, make, own_pods, pvserve, runtime, service, volumes_of

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
ISVC = ("serving.kserve.io/v1beta1", "InferenceService")
RUNTIME = ("serving.kserve.io/v1alpha1", "ServingRuntime")
CLAIM = ("v1", "PersistentVolumeClaim")
S3 = {"storage": {"key": "granite-s3", "path": "granite"}}
STOPPED = {"serving.kserve.io/stop": "true"}  # the service to start from needs no pod
MODELS = {
    "one.yaml": "model: ../data/one\nname: one\nfrom: granite\nclaim: models\n",
    "two.yaml": "model: ../data/two\nname: two\nfrom: granite\nclaim: models\n",
    "three.yaml": "model: ../data/three\nname: three\nruntime: llama-server\nformat: gguf\n"
    "claim: {name: other, size: 1Gi}\n",
}


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


@pytest.fixture
def files(cluster: Cluster, tmp_path: Path) -> Path:
    """The directory of model files; what they start from is on the cluster."""
    make(cluster, runtime(), service(S3, **STOPPED))
    for name, text in MODELS.items():
        gguf(tmp_path / "data" / name.removesuffix(".yaml"), 40_000_000)
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / name).write_text(text)
    return tmp_path / "models"


def run(cluster: Cluster, command: str, files: Path, *more: str) -> Ran:
    return pvserve(command, "-f", files, "-n", cluster.namespace, *more)


def rows(ran: Ran) -> dict[str, tuple[str, int]]:
    """State and exit code of each model, from the summary."""
    summary = ran.lines[-1]
    assert summary["type"] == "summary", ran.explained()
    return {row["model"]: (row["state"], row["exitCode"]) for row in summary["models"]}


def differing(ran: Ran) -> dict[str, list[str]]:
    """The paths of each object that differs."""
    found = [item for line in ran.lines if line["type"] == "result" for item in line["differences"]]
    return {
        item["subject"]: sorted(".".join(map(str, change["path"])) for change in item["changes"]) or [item["kind"]]
        for item in found
    }


def edited(cluster: Cluster, version: str, what: str, body: dict[str, Any]) -> None:
    """As somebody would with kubectl: the fields are theirs then."""
    path = f"/apis/serving.kserve.io/{version}/namespaces/{cluster.namespace}/{what}?fieldManager=somebody"
    answer = cluster.raw("PATCH", path, json.dumps(body).encode(), {"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200, answer.body


def versions(cluster: Cluster) -> list[Any]:
    claims = [cluster.get(*CLAIM, name)["metadata"]["resourceVersion"] for name in ("models", "other")]
    services = [cluster.get(*ISVC, name)["metadata"]["generation"] for name in ("one", "two", "three")]
    return [*claims, *services, *(cluster.get(*RUNTIME, name)["metadata"]["generation"] for name in ("one", "two"))]


def test_a_directory_of_models_is_carried_out_and_kept_as_it_says(cluster: Cluster, files: Path) -> None:
    plan = files.parent / "plan.json"
    planned = run(cluster, "plan", files, "--out", str(plan), "--detailed-exitcode", "--set", "timeout=240")
    assert planned.code == 9, planned.explained()
    _check_stale(cluster, plan)
    _check_interrupted(cluster, files)
    done = run(cluster, "deploy", files, "-y", "--set", "timeout=240")
    assert done.code == 0, done.explained()
    assert rows(done) == dict.fromkeys(("one", "two", "three"), ("ok", 0))
    assert {line["model"] for line in done.lines if line["type"] == "step"} == {"one", "two", "three"}
    assert own_pods(cluster) == []
    assert {pv["spec"]["persistentVolumeReclaimPolicy"] for pv in volumes_of(cluster)} == {"Retain"}
    assert pvserve("deploy", plan, "-y").code == 8  # it was made for a cluster without the claims
    _check_second_run(cluster, files)
    _check_drift(cluster, files)
    _check_one_refused(cluster, files)
    _check_init(cluster, files)


def _check_stale(cluster: Cluster, plan: Path) -> None:
    """The service that two start from changed since: both are refused, and nothing is made for them."""
    only = json.loads(plan.read_text())
    only["plans"] = [each for each in only["plans"] if each["claim"] == "models"]
    stale = plan.with_name("stale.json")
    stale.write_text(json.dumps(only))
    cluster.patch(*ISVC, "granite", cluster.namespace, {"spec": {"predictor": {"timeout": 78}}})
    refused = pvserve("deploy", stale, "-y")
    assert refused.code == 8, refused.explained()
    assert rows(refused) == {"one": ("failed", 8), "two": ("failed", 8)}
    assert cluster.find(*CLAIM, "models") is None
    cluster.patch(*ISVC, "granite", cluster.namespace, {"spec": {"predictor": {"timeout": 77}}})


def _check_interrupted(cluster: Cluster, files: Path) -> None:
    argv = ["deploy", "-f", files, "-n", cluster.namespace, "-y", "--set", "timeout=240"]
    stopped = interrupted(argv, signal.SIGINT, '"type": "transfer"')
    assert stopped.code == 130, stopped.explained()
    assert rows(stopped)["two"] == ("stopped", 130)  # it waited for `one`, whose claim it shares
    assert own_pods(cluster) == []


def _check_second_run(cluster: Cluster, files: Path) -> None:
    before = versions(cluster)
    again = run(cluster, "deploy", files, "--set", "timeout=240")  # nobody needs to say yes to nothing
    assert again.code == 0, again.explained()
    assert not [line for line in again.lines if line["type"] == "transfer"]
    assert versions(cluster) == before
    assert run(cluster, "plan", files, "--detailed-exitcode").code == 0
    same = run(cluster, "diff", files)
    assert same.code == 0, same.explained()
    assert rows(same) == dict.fromkeys(("one", "two", "three"), ("same", 0))


def _check_drift(cluster: Cluster, files: Path) -> None:
    edit = {"spec": {"predictor": {"timeout": 5, "model": {"storageUri": "pvc://models/elsewhere"}}}}
    edited(cluster, "v1beta1", "inferenceservices/one", edit)
    edited(cluster, "v1alpha1", "servingruntimes/two", {"spec": {"supportedModelFormats": [{"name": "other"}]}})
    cluster.delete(*ISVC, "three", cluster.namespace)
    until("the service is gone", lambda: cluster.find(*ISVC, "three") is None)
    padding = files.parent / "data/three/padding-00001-of-00002.bin"
    padding.write_bytes(padding.read_bytes() + b"more")
    found = run(cluster, "diff", files, "--set", "claim.size=2Gi")
    assert found.code == 9, found.explained()
    where = cluster.namespace
    assert differing(found) == {
        "claim models": ["spec.resources.requests.storage"],
        "claim other": ["spec.resources.requests.storage"],
        f"InferenceService {where}/one": ["spec.predictor.model.storageUri", "spec.predictor.timeout"],
        f"ServingRuntime {where}/two": ["spec.supportedModelFormats.0.autoSelect", "spec.supportedModelFormats.0.name"],
        f"InferenceService {where}/three": ["missing"],
        "pvc://other/three": ["bytes"],
    }
    kept = run(cluster, "deploy", files / "two.yaml", "-y")
    assert (kept.code, kept.error["reason"]) == (3, "FieldConflict"), kept.explained()
    mended = run(
        cluster, "deploy", files, "-y", "--force-conflicts", "--set", "timeout=240", "--set", "loader.replace=true"
    )
    assert mended.code == 0, mended.explained()
    assert run(cluster, "diff", files).code == 0
    assert run(cluster, "diff", files / "one.yaml", "--full").code == 0


def _check_one_refused(cluster: Cluster, files: Path) -> None:
    mixed = files.with_name("mixed")
    mixed.mkdir()
    (mixed / "none.yaml").write_text("model: ../data/one\nname: none\nfrom: nowhere\nclaim: models\npath: none\n")
    (mixed / "three.yaml").write_text(MODELS["three.yaml"])
    found = run(cluster, "deploy", mixed, "-y", "--set", "timeout=240")
    assert found.code == 3, found.explained()
    assert rows(found) == {"none": ("refused", 3), "three": ("ok", 0)}


def _check_init(cluster: Cluster, files: Path) -> None:
    """Of a service that is served from a claim: its file plans nothing new."""
    written = files.parent / "init.yaml"
    written.write_text(pvserve("init", "one", "-n", cluster.namespace).lines[-1]["modelFile"])
    assert run(cluster, "plan", written, "--detailed-exitcode").code == 0
    done = run(cluster, "deploy", written, "-y")
    assert done.code == 0, done.explained()


def test_init_of_what_the_dashboard_made_plans_the_main_job_and_deploys(cluster: Cluster, tmp_path: Path) -> None:
    make(cluster, runtime(), service(S3, **STOPPED))
    gguf(tmp_path / "granite", 1_000_000)
    file = tmp_path / "model.yaml"
    file.write_text(pvserve("init", "granite", "-n", cluster.namespace).lines[-1]["modelFile"])
    planned = pvserve("plan", "-f", file)
    assert planned.code == 0, planned.explained()
    (result,) = planned.lines
    steps = [step["id"] for step in result["plan"]["steps"]]
    assert steps == ["class", "claim", "load", "runtime", "service", "ready", "prove"] or steps == [
        step for step in steps if step != "class"
    ]
    assert (result["plan"]["refusals"], result["plan"]["service"]) == ([], "granite-pvc")
    done = pvserve("deploy", "-f", file, "-y", "--storage-class", default_class(cluster))
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    assert pvserve("diff", "-f", file).code == 0
