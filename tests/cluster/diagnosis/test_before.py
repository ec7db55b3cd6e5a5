"""KServe's silent traps, said of real objects before anything is applied: nothing is made, nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.offers import until
from tests.cluster.ui_service import Ran, pvserve

from .scenes import service
from .stage import Stage

pytestmark = pytest.mark.cluster
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")


@pytest.fixture(scope="module")
def origins(stage: Stage) -> Stage:
    """Services to start from, stopped, each with what KServe takes without a word."""
    stop = {"serving.kserve.io/stop": "true"}
    stage.create(
        service(
            "many",
            "s3://models/good",
            model={"storage": {"key": "s3", "path": "x"}},
            predictor={"minReplicas": 2, "maxReplicas": 2},
            annotations=stop,
        ),
        service("canary", "s3://models/good", predictor={"canaryTrafficPercent": 20}, annotations=stop),
        service("hub", "s3://models/good", model={"image": "vllm/vllm-openai:none"}, annotations=stop),
        service("writable", "s3://models/good", annotations={**stop, "storage.kserve.io/readonly": "false"}),
    )
    return stage


def serve(stage: Stage, *words: str, command: str = "serve") -> Ran:
    yes = ("-y",) if command == "serve" else ()
    return pvserve(command, "trapped", *words, "-n", stage.namespace, *yes)


def planned(stage: Stage, origin: str) -> dict[str, Any]:
    """The plan to serve from an existing directory what `origin` serves; nothing is carried out."""
    ran = serve(stage, "--from", origin, "--claim", "models", "--path", "good", "--dry-run")
    assert ran.code == 0, ran.explained()
    return dict(next(line for line in ran.lines if "plan" in line)["plan"])


def refused(stage: Stage, *words: str) -> dict[str, Any]:
    """The refusal, with nothing made."""
    ran = serve(stage, *words)
    assert ran.code == 3, ran.explained()
    assert stage.cluster.find(*SERVICE, "trapped", stage.namespace) is None
    return ran.error


def test_both_sources_and_replicas_on_a_claim_of_one_node(origins: Stage) -> None:
    notes = " ".join(planned(origins, "many")["notes"])
    assert "names both storage and storageUri, which KServe does not serve" in notes
    assert "up to 2 replicas share claim models" in notes
    assert "choose deploymentStrategy.type: Recreate" in notes


def test_canary_on_a_claim_of_one_node(origins: Stage) -> None:
    error = refused(origins, "--from", "canary", "--claim", "models", "--path", "good")
    assert error["reason"] == "CanaryOnOneNode"
    assert "remove spec.predictor.canaryTrafficPercent" in error["remedy"][0]


def test_deadline_shorter_than_the_load_and_a_server_that_asks_the_hub(origins: Stage, tmp_path: Path) -> None:
    """Of a model of 200 GiB, which takes no room here."""
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "weights.dat").open("wb") as file:
        file.truncate(200 << 30)
    words = ("--from", "hub", "--name", "trapped", "--claim", "large", "--retain", "no", "-n", origins.namespace)
    ran = pvserve("plan", tmp_path, *words)
    assert ran.code == 0, ran.explained()
    notes = " ".join(ran.lines[-1]["plan"]["notes"])
    assert "after 600 s without progress the Deployment is called failed" in notes
    assert "does not set HF_HUB_OFFLINE=1" in notes


def test_runtime_that_must_write(origins: Stage) -> None:
    assert "mounts the model writable" in " ".join(planned(origins, "writable")["notes"])


@pytest.mark.parametrize(("path", "reason"), [("nowhere", "PathMissing"), ("empty", "PathEmpty")])
def test_path_is_missing_or_empty(stage: Stage, path: str, reason: str) -> None:
    error = refused(stage, "--runtime", "shell", "--claim", "models", "--path", path)
    assert error["reason"] == reason
    assert f"pvserve load MODEL_DIRECTORY pvc://models/{path} -n {stage.namespace}" in error["remedy"]


def test_path_is_a_file(stage: Stage) -> None:
    error = refused(stage, "--runtime", "shell", "--claim", "models", "--path", "good/model.bin")
    assert error["reason"] == "PathIsFile"
    assert error["remedy"] == ["name the directory that it lies in: --path good"]


def test_claim_is_in_another_namespace(stage: Stage, narrow: Stage) -> None:
    ran = pvserve("serve", "trapped", "--runtime", "shell", "--claim", "models", "--path", "x", "-n", narrow.namespace)
    assert ran.code == 3, ran.explained()
    assert ran.error["reason"] == "ClaimElsewhere"
    share = f"pvserve share models --to {narrow.namespace} -n {stage.namespace}"
    assert any(share in line for line in ran.error["remedy"]) or "models" in ran.error["message"]


@pytest.mark.parametrize(
    ("runtime", "reason"), [("nowhere", "NoSuchRuntime"), ("off", "RuntimeDisabled"), ("shell", "FormatUnsupported")]
)
def test_runtime_is_missing_disabled_or_not_for_the_format(stage: Stage, runtime: str, reason: str) -> None:
    words = ("--runtime", runtime, "--format", "onnx" if runtime == "shell" else "shell")
    assert refused(stage, *words, "--claim", "models", "--path", "good")["reason"] == reason


def test_claim_that_another_pod_holds_alone_is_known_beforehand(stage: Stage) -> None:
    """And what `doctor` would only say once a pod waits."""
    until("it runs", lambda: stage.cluster.get("v1", "Pod", "holder", stage.namespace)["status"]["phase"] == "Running")
    ran = serve(stage, "--runtime", "shell", "--claim", "alone", "--path", "x", "--dry-run")
    assert "holder" in ran.out, ran.explained()
