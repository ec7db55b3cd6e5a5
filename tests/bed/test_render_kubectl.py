"""Rendered files through a real kubectl and API server: read as they were meant, and what a live run would make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from bed.settings import settings
from pvserve.render.scalars import dump, dump_all

from .kubectl import Kubectl

pytestmark = pytest.mark.bed

# Words that kubectl takes for something else than text where they are not quoted.
WORD_LINES = (
    "y|n|Y|N|yes|no|on|Off|true|FALSE|null|~||0o17|0O17|08|0755|1e3|1E+3|12e4567|1_000|0x1F|0X1f|0b1|0B1|-0o17|+1|-_1|_1|.5|5.",
    ".inf|-.Inf|.nan|1:30|2026-01-01|2026-01-01T00:00:00Z|=|<<|- a|a: b",
    "a #b|#a|@x|`x|%x|!x|&a|*a|{a|[a|\"a|'a|?|-|---|...",
    "--max-model-len|1500m|100Mi|a\nb|a\n|\na| a|a |a\tb|a\r\nb|\u2028|\x85|\ufeffx|\x1b[2J|naïve 😀",
)
WORDS = [word for line in WORD_LINES for word in line.split("|")]


def test_every_text_is_a_text_to_kubectl(kubectl: Kubectl) -> None:
    spec = {"list": WORDS, "keys": dict.fromkeys(WORDS, "x"), "numbers": [1, 1.5, True, None]}
    made = {"apiVersion": "example.com/v1", "kind": "Words", "metadata": {"name": "a"}, "spec": spec}
    read = kubectl("annotate", "--local", "-f", "-", "a=b", "-o", "json", stdin=dump(made))
    assert json.loads(read)["spec"] == spec


def pvserve(*args: str, namespace: str) -> str:
    env = {**os.environ, "KUBECONFIG": str(settings().kubeconfig)}
    command = [sys.executable, "-m", "pvserve.cli.main", *args, "-n", namespace]
    done = subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def converting(kubectl: Kubectl, tmp_path: Path) -> list[str]:
    """Flags that convert a service of the dashboard, which is there with its runtime."""
    runtime = yaml.safe_load(files("bed").joinpath("manifests/runtimes/llama-server.yaml").read_text())
    model = {"modelFormat": {"name": "gguf"}, "runtime": "llama-server", "storage": {"key": "s3", "path": "granite"}}
    service: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "granite",
            "labels": {"opendatahub.io/dashboard": "true"},
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment", "openshift.io/display-name": "yes"},
        },
        "spec": {"predictor": {"minReplicas": 0, "model": model}},
    }
    kubectl.apply(runtime, service)
    directory = tmp_path / "granite-7b-lab"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    return [str(directory), "--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--retain", "no"]


def test_rendered_files_are_accepted_and_are_what_a_live_run_would_make(
    kubectl: Kubectl, converting: list[str], tmp_path: Path
) -> None:
    text = pvserve("render", *converting, namespace=kubectl.namespace)
    assert pvserve("render", *converting, namespace=kubectl.namespace) == text
    documents = list(yaml.safe_load_all(text))
    assert [item["kind"] for item in documents] == ["PersistentVolumeClaim", "ServingRuntime", "InferenceService"]
    stored = json.loads(kubectl("apply", "--dry-run=server", "-f", "-", "-o", "json", stdin=text))["items"]
    assert [item["metadata"]["name"] for item in stored] == ["cache", "granite-pvc", "granite-pvc"]

    directory = tmp_path / "git"
    pvserve("render", *converting, "--to", "kustomize", "--dir", str(directory), namespace=kubectl.namespace)
    overlay = str(directory / "granite-pvc" / "overlays" / kubectl.namespace)
    built = yaml.safe_load_all(kubectl("kustomize", overlay))
    assert sorted(built, key=str) == sorted(documents, key=str)

    kubectl("apply", "-k", overlay)
    plan = json.loads(pvserve("plan", *converting, "-o", "json", namespace=kubectl.namespace))["plan"]
    assert [step["step"] for step in plan["steps"]] == ["Load", "WaitReady", "Prove"]


def test_documents_divided_by_dashes_are_so_to_kubectl(kubectl: Kubectl) -> None:
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "---\nkind: Pod\n"}}
        for name in ("one", "two")
    ]
    read = kubectl("create", "--dry-run=client", "-f", "-", "-o", "json", stdin=dump_all(maps))
    apart = read.replace("}\n{", "},{")
    assert [item["data"] for item in json.loads(f"[{apart}]")] == [maps[0]["data"]] * 2
