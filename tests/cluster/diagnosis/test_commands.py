"""`pvserve doctor` and `pvserve status`, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .stage import Stage

pytestmark = pytest.mark.cluster

PVSERVE = Path(sys.executable).with_name("pvserve")


def run(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [str(PVSERVE), *arguments, "-n", stage.namespace]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_doctor_names_cause_evidence_and_remedy(stage: Stage) -> None:
    stage.wait("no-runtime", "RuntimeMissing")
    done = run(stage, "doctor", "no-runtime")
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "no-runtime"
    assert lines[1].startswith("fail (RuntimeMissing): InferenceService no-runtime asks for serving runtime nowhere")
    assert any(line.startswith("  seen: InferenceService no-runtime: InternalError:") for line in lines)
    assert f"  -> kubectl -n {stage.namespace} get servingruntimes" in lines


def test_doctor_of_a_healthy_service_lists_its_checks(stage: Stage) -> None:
    stage.ready("healthy")
    done = run(stage, "doctor", "healthy", "-o", "json")
    assert done.returncode == 0
    found = json.loads(done.stdout)["services"][0]
    healthy = found["findings"][-1]
    assert (found["service"], healthy["code"]) == ("healthy", "Healthy")
    assert healthy["evidence"][0]["observed"] == "ok Ready"


def test_doctor_without_a_name_looks_at_all(stage: Stage) -> None:
    done = run(stage, "doctor", "-o", "json")
    assert done.returncode == 1
    services = {item["service"]: item["findings"][0]["code"] for item in json.loads(done.stdout)["services"]}
    assert services["both"] == "StorageTwice"
    assert "healthy" in services


def test_status_shows_each_object(stage: Stage) -> None:
    stage.ready("healthy")
    done = run(stage, "status", "healthy")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "healthy: Ready, served from pvc://models/good"
    assert "  ok       PersistentVolumeClaim models: Bound to " in done.stdout
    broken = run(stage, "status", "both")
    assert broken.returncode == 1
    assert broken.stdout.splitlines()[-1] == "  -> pvserve doctor both"
