"""The main scenario: a service as Open Data Hub's dashboard makes it, on S3, with KServe's own storage initializer.

This is what users have before they convert it: a copy of the model in an emptyDir, made at each pod's start.
"""

from __future__ import annotations

import base64
import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bed import models, services
from bed.settings import settings
from tests.bed.kubectl import Kubectl, until

from .services import connection

pytestmark = pytest.mark.bed

UPLOAD = """
import boto3, pathlib, sys
s3 = boto3.resource("s3")
bucket = s3.create_bucket(Bucket=sys.argv[1])
for path in pathlib.Path("/uploaded").glob("*.*"):
    if path.is_file():
        bucket.upload_file(str(path), f"models/tiny/{path.name}")
"""


def test_service_of_the_dashboard_is_served_from_s3(kubectl: Kubectl, tmp_path: Path) -> None:
    bucket = kubectl.namespace
    try:
        _upload(kubectl, bucket, models.make("gguf", tmp_path))
        kubectl("apply", "-f", str(files("bed").joinpath("manifests/runtimes/llama-server.yaml")))
        kubectl.apply(connection("s3", "my-s3", _s3_values(bucket)))
        until("the connection is known to KServe", lambda: "storage-config" in kubectl("get", "secrets", "-o", "name"))
        kubectl.apply(_service_of_the_dashboard())
        until("the service is Ready", lambda: _ready(kubectl), 180)
        _check_pod(kubectl, bucket)
        _check_answer(kubectl)
    finally:
        shutil.rmtree(settings().home / "s3" / bucket, ignore_errors=True)


def _s3_values(bucket: str) -> dict[str, str]:
    access, secret = services.s3_keys(settings())
    return {
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_S3_ENDPOINT": services.S3_ENDPOINT,
        "AWS_S3_BUCKET": bucket,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _service_of_the_dashboard() -> dict[str, Any]:
    """As recorded in odh-style, with the connection that the dashboard adds."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "granite",
            "annotations": {
                "serving.kserve.io/deploymentMode": "RawDeployment",
                "openshift.io/display-name": "Granite",
                "security.opendatahub.io/enable-auth": "false",
                "opendatahub.io/model-type": "generative",
                "opendatahub.io/connections": "my-s3",
                "opendatahub.io/connection-path": "models/tiny",
            },
            "labels": {"opendatahub.io/dashboard": "true", "networking.kserve.io/visibility": "exposed"},
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "model": {"modelFormat": {"name": "gguf"}, "runtime": "llama-server", "name": "", "resources": {}},
            }
        },
    }


def _upload(kubectl: Kubectl, bucket: str, model: Path) -> None:
    content = {path.name: base64.b64encode(path.read_bytes()).decode() for path in model.iterdir()}
    values = _s3_values(bucket)
    env = [{"name": key, "value": values[key]} for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    env.append({"name": "AWS_ENDPOINT_URL", "value": services.S3_ENDPOINT})
    container = {
        "name": "upload",
        "image": "bed.local/storage-initializer:1",
        "command": ["python3", "-c", UPLOAD, bucket],
        "env": env,
        "volumeMounts": [{"name": "uploaded", "mountPath": "/uploaded"}],
    }
    volume = {"name": "uploaded", "configMap": {"name": "model"}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "model"}, "binaryData": content}
    kubectl("create", "-f", "-", stdin=json.dumps(held))  # apply would keep a second copy, in an annotation
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "upload"}, "spec": spec})

    def ended() -> bool:
        phase = kubectl.get("pod", "upload")["status"]["phase"]
        assert phase != "Failed", kubectl("logs", "upload")
        return bool(phase == "Succeeded")

    until("the model is uploaded", ended)


def _ready(kubectl: Kubectl) -> bool:
    conditions = kubectl.get("isvc", "granite").get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def _check_pod(kubectl: Kubectl, bucket: str) -> None:
    """The pod holds a copy of the model, made by the real storage initializer."""
    selector = "serving.kserve.io/inferenceservice=granite"
    (pod,) = json.loads(kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    (initializer,) = pod["spec"]["initContainers"]
    assert initializer["args"] == [f"s3://{bucket}/models/tiny", "/mnt/models"]
    assert pod["spec"]["serviceAccountName"] == "my-s3-sa"
    assert {"name": "kserve-provision-location", "emptyDir": {}} in pod["spec"]["volumes"]
    log = kubectl("logs", pod["metadata"]["name"], "-c", "storage-initializer")
    assert f"Successfully copied s3://{bucket}/models/tiny to /mnt/models" in log
    account = kubectl.get("serviceaccount", "my-s3-sa")
    assert account["secrets"] == [{"name": "my-s3"}]
    model = kubectl.get("isvc", "granite")["spec"]["predictor"]["model"]
    assert model["storage"] == {"key": "my-s3", "path": "models/tiny"}


def _check_answer(kubectl: Kubectl) -> None:
    path = f"/api/v1/namespaces/{kubectl.namespace}/services/granite-predictor:80/proxy/v1/completions"
    question = json.dumps({"model": "granite", "prompt": "Hello", "max_tokens": 3, "temperature": 0})
    answer = json.loads(kubectl("create", "--raw", path, "-f", "-", stdin=question))
    assert answer["usage"]["completion_tokens"] == 3
