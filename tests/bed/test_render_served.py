"""Rendered charts and kustomizations, by the real tools: the same objects as `--to yaml`, and a service that serves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from bed import models
from bed.build import installed
from bed.environment import variables
from bed.s3 import Bucket
from bed.settings import settings
from pvserve.render.helm import KEEP

from .kubectl import Kubectl
from .test_render_kubectl import pvserve

pytestmark = pytest.mark.bed
Helm = Callable[..., str]


@pytest.fixture
def helm(kubectl: Kubectl, tmp_path: Path) -> Helm:
    """The command, with nothing of this machine's user; stdout, or an AssertionError with what it said."""
    homes = {f"HELM_{kind}_HOME": str(tmp_path / "helm" / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}

    def run(*args: str, code: int = 0) -> str:
        bed = settings()
        command = [str(installed(bed)["helm"]), "--kubeconfig", str(bed.kubeconfig), "-n", kubectl.namespace, *args]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **homes}, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    return run


@pytest.fixture
def origin(kubectl: Kubectl) -> list[str]:
    """Flags that make a service from one of the dashboard, which is there with its runtime and does not run."""
    runtime = yaml.safe_load(files("bed").joinpath("manifests/runtimes/llama-server.yaml").read_text())
    model = {"modelFormat": {"name": "gguf"}, "runtime": "llama-server", "storage": {"key": "s3", "path": "granite"}}
    service: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "granite",
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment", "serving.kserve.io/stop": "true"},
        },
        "spec": {"predictor": {"minReplicas": 1, "model": model}},
    }
    kubectl.apply(runtime, service)
    return ["--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--path", "granite", "--retain", "no"]


def rendered(kubectl: Kubectl, directory: Path, form: str, *flags: str) -> Path:
    pvserve("render", *flags, "--to", form, "--dir", str(directory), namespace=kubectl.namespace)
    return directory / "granite-pvc"


def sorted_by_name(text: str) -> list[dict[str, Any]]:
    """The documents without Helm's word to keep a claim, which `--to yaml` has no use for."""
    found = [item for item in yaml.safe_load_all(text) if item]
    for item in found:
        annotations = item["metadata"].get("annotations", {})
        for word in KEEP:
            annotations.pop(word, None)
        if not annotations:
            item["metadata"].pop("annotations", None)
    return sorted(found, key=lambda item: (item["kind"], item["metadata"]["name"]))


def test_the_default_output_of_the_chart_is_what_yaml_is(
    kubectl: Kubectl, origin: list[str], helm: Helm, tmp_path: Path
) -> None:
    directory = tmp_path / "granite"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    chart = str(rendered(kubectl, tmp_path / "out", "helm", str(directory), *origin))
    text = pvserve("render", str(directory), *origin, namespace=kubectl.namespace)
    assert sorted_by_name(helm("template", "granite-pvc", chart)) == sorted_by_name(text)
    helm("lint", chart, "--strict")

    helm("install", "granite-pvc", chart)
    helm("uninstall", "granite-pvc")
    assert not kubectl.get("pvc", "cache")["metadata"].get("deletionTimestamp")

    other = ["--set", "name=other,claim.name=disk,claim.size=3Gi,path=v2"]
    made = {item["kind"]: item for item in yaml.safe_load_all(helm("template", "x", chart, *other)) if item}
    assert made["PersistentVolumeClaim"]["metadata"]["name"] == "disk"
    assert made["InferenceService"]["spec"]["predictor"]["model"]["storageUri"] == "pvc://disk/v2"
    for wrong, word in (("from=granite", "from"), ("claim.accessMode=Sometimes", "accessMode"), ("name=null", "name")):
        assert word in helm("template", "x", chart, "--set", wrong, code=1)


def test_charts_that_want_one_copy_of_a_class_are_installed_side_by_side(
    kubectl: Kubectl, origin: list[str], helm: Helm, tmp_path: Path
) -> None:
    copied, directory = f"{kubectl.namespace}-copy", tmp_path / "granite"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    base = kubectl.get("storageclass", "gp3-csi")
    kubectl.apply({**base, "metadata": {"name": copied}, "mountOptions": ["noatime"]})  # no other copy is equal
    try:
        for release in ("one", "two"):
            flags = ["--from", "granite", "--name", release, "--claim", release, "--storage-class", copied]
            out = ["--to", "helm", "--dir", str(tmp_path / "charts")]
            pvserve("render", str(directory), *flags, *out, namespace=kubectl.namespace)
        for release in ("one", "two", "one"):
            helm("upgrade", "--install", release, str(tmp_path / "charts" / release))
            assert kubectl.get("pvc", release)["spec"]["storageClassName"] == f"{copied}-retain"
        owner = kubectl.get("storageclass", f"{copied}-retain")["metadata"]["annotations"]
        assert owner["meta.helm.sh/release-name"] == "one"
        assert "kind: StorageClass" in helm("get", "manifest", "one")
        assert "kind: StorageClass" not in helm("get", "manifest", "two")
    finally:
        kubectl("delete", "storageclass", copied, f"{copied}-retain", "--ignore-not-found")


def test_chart_and_kustomization_serve(kubectl: Kubectl, origin: list[str], helm: Helm, tmp_path: Path) -> None:
    model = tmp_path / "granite"
    models.make("gguf", model)
    # Before the service: a pod without fsGroup that mounts a fresh volume first leaves it to root.
    pvserve("load", str(model), "pvc://cache/granite", "--retain", "no", "-y", namespace=kubectl.namespace)
    chart = rendered(kubectl, tmp_path / "out", "helm", *origin, "--no-load")
    helm("install", "granite-pvc", str(chart))
    serves(kubectl)
    helm("uninstall", "granite-pvc", "--wait")
    overlay = rendered(kubectl, tmp_path / "git", "kustomize", *origin, "--no-load") / "overlays" / kubectl.namespace
    kubectl("apply", "-k", str(overlay))
    serves(kubectl)


def serves(kubectl: Kubectl) -> None:
    """The service is Ready, and proven to serve from the claim."""
    kubectl("wait", "--for=condition=Ready", "inferenceservice/granite-pvc", "--timeout=180s")
    pvserve("verify", "granite-pvc", namespace=kubectl.namespace)


def test_a_rendered_job_fetches_from_s3_without_a_client(kubectl: Kubectl, origin: list[str], tmp_path: Path) -> None:
    given = {key.removeprefix("PVSERVE_TEST_S3_"): value for key, value in variables(settings()).items()}
    local = given["LOCAL_ENDPOINT"].removeprefix("http://")
    bucket = Bucket(local, given["ACCESS_KEY"], given["SECRET_KEY"], kubectl.namespace)
    bucket.make()
    keys = bucket.upload(models.make("gguf", tmp_path / "granite"), "granite")
    try:
        words = {"AWS_ACCESS_KEY_ID": bucket.access, "AWS_SECRET_ACCESS_KEY": bucket.secret}
        words["AWS_S3_ENDPOINT"] = given["ENDPOINT"]
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "models"}, "stringData": words})
        source = [f"s3://{bucket.name}/granite", "--connection", "models", *origin]
        pvserve("render", *source, "--to", "job", "--dir", str(tmp_path / "job"), namespace=kubectl.namespace)
        written = "".join(path.read_text() for path in (tmp_path / "job").iterdir())
        assert bucket.secret not in written
        kubectl("apply", "-f", str(tmp_path / "job"))
        kubectl("wait", "--for=condition=Complete", "job", "--all", "--timeout=120s")
        pvserve("verify", "pvc://cache/granite", namespace=kubectl.namespace)
        pvserve("load", *source[:3], "pvc://cache/granite", "-y", namespace=kubectl.namespace)
    finally:
        bucket.remove(keys)
