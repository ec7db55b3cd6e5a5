"""A runtime that lies in an OpenShift Template, as Open Data Hub ships them, is copied and serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster

from .ui_service import gguf, leaving_nothing, make, pvserve, runtime

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
TEMPLATES = "template.openshift.io/v1"
ANNOTATIONS = {
    "opendatahub.io/apiProtocol": "REST",
    "opendatahub.io/template-name": "llama-server-template",
    "opendatahub.io/template-display-name": "llama.cpp",
}


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    if cluster.serves(TEMPLATES) is not True:
        pytest.skip("the cluster has no Templates: it is no OpenShift")
    with leaving_nothing(cluster):
        yield


def template() -> dict[str, Any]:
    """As Open Data Hub ships them; the image is a parameter, as in older releases."""
    inside = runtime()
    container = inside["spec"]["containers"][0]
    image, container["image"] = container["image"], "${IMAGE}"
    return {
        "apiVersion": TEMPLATES,
        "kind": "Template",
        "metadata": {
            "name": "llama-server-template",
            "labels": {"opendatahub.io/dashboard": "true"},
            "annotations": {"openshift.io/display-name": "llama.cpp", "opendatahub.io/apiProtocol": "REST"},
        },
        "parameters": [{"name": "IMAGE", "value": image}],
        "objects": [inside],
    }


def test_runtime_in_a_template_is_copied_and_serves(cluster: Cluster, tmp_path: Path) -> None:
    make(cluster, template())
    command = ["deploy", gguf(tmp_path / "granite", 1_000_000), "--runtime", "llama-server-template"]
    command += ["--name", "granite-pvc", "--claim", "cache", "-n", cluster.namespace, "-y"]
    done = pvserve(*command)
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    made = cluster.get("serving.kserve.io/v1alpha1", "ServingRuntime", "granite-pvc")
    assert ANNOTATIONS.items() <= made["metadata"]["annotations"].items()
    assert made["spec"] == runtime()["spec"] | {"containers": made["spec"]["containers"]}
    assert made["spec"]["containers"] == runtime()["spec"]["containers"]
    again = pvserve(*command)
    assert again.code == 0, again.explained()
    assert not [line for line in again.lines if line["type"] == "transfer"]
