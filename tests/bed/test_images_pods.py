"""The bed's images run as its runtimes say: in a restricted namespace, as a random user id, on a read-only root."""

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from bed import models, services
from bed.settings import settings

pytestmark = pytest.mark.bed
USER = 1000770000  # as OpenShift gives a namespace
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass
class Namespace:
    """A restricted namespace and what a test does in it."""

    api: client.CoreV1Api
    name: str

    def serve(self, runtime: str, model: Path) -> None:
        """Start the pod KServe would make of a runtime, with the model in a ConfigMap instead of on a claim."""
        self.store(runtime, model)
        spec = runtime_spec(runtime)
        spec["containers"][0]["volumeMounts"].append({"name": "model", "mountPath": "/mnt/models", "readOnly": True})
        spec["volumes"].append({"name": "model", "configMap": {"name": runtime}})
        self.start(runtime, spec)

    def store(self, name: str, model: Path) -> None:
        """Put the files of a small model into a ConfigMap."""
        content = {path.name: base64.b64encode(path.read_bytes()).decode() for path in model.iterdir()}
        self.api.create_namespaced_config_map(self.name, {"metadata": {"name": name}, "binaryData": content})

    def start(self, pod: str, spec: dict[str, Any]) -> None:
        """Start a pod and wait until it is ready, or fail with its log."""
        self.api.create_namespaced_pod(self.name, {"metadata": {"name": pod}, "spec": spec})
        self.wait_ready(pod)

    def wait_ready(self, pod: str, seconds: int = 300) -> None:
        deadline = time.monotonic() + seconds
        while True:
            status = self.api.read_namespaced_pod_status(pod, self.name).status
            (container,) = status.container_statuses or [None]
            if container and container.ready:
                return
            if (container and container.restart_count) or time.monotonic() > deadline:
                log = self.api.read_namespaced_pod_log(pod, self.name, tail_lines=40)
                pytest.fail(f"{pod} is not ready: {status}\n{log}")
            time.sleep(0.2)

    def ask(self, pod: str, path: str, question: Any) -> Any:
        """POST to the pod's port 8080 through the API server."""
        connection = self.api.api_client
        request = connection.param_serialize(
            method="POST",
            resource_path=f"/api/v1/namespaces/{self.name}/pods/{pod}:8080/proxy{path}",
            header_params={"Content-Type": "application/json", "Accept": "application/json"},
            body=question,
            auth_settings=["BearerToken"],
        )
        answer = connection.call_api(*request)
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)


def runtime_spec(runtime: str) -> dict[str, Any]:
    """Return what a runtime of the bed says of its pods, for a model named tiny."""
    manifest = files("bed").joinpath(f"manifests/runtimes/{runtime}.yaml").read_text()
    spec = yaml.safe_load(manifest.replace("{{.Name}}", "tiny"))["spec"]
    security = {"runAsUser": USER, "fsGroup": USER}
    return {"containers": spec["containers"], "volumes": spec["volumes"], "securityContext": security}


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    config.load_kube_config(os.environ["KUBECONFIG"])
    api = client.CoreV1Api()
    wanted = {"metadata": {"generateName": "img-test-", "labels": RESTRICTED}}
    name = api.create_namespace(wanted).metadata.name
    yield Namespace(api, name)
    api.delete_namespace(name)
    shutil.rmtree(settings().home / "s3" / name, ignore_errors=True)  # the bucket: versitygw keeps it as a directory


def test_llama_server_completes_a_prompt(namespace: Namespace, tmp_path: Path) -> None:
    namespace.serve("llama-server", models.make("gguf", tmp_path))
    question = {"model": "tiny", "prompt": "Hello world", "max_tokens": 12, "temperature": 0}
    answers = [namespace.ask("llama-server", "/v1/completions", question) for _ in range(2)]
    assert answers[0]["model"] == "tiny"
    assert answers[0]["usage"]["completion_tokens"] == 12
    assert answers[0]["choices"][0]["text"] == answers[1]["choices"][0]["text"] != ""


def test_mlserver_tells_flowers_apart(namespace: Namespace, tmp_path: Path) -> None:
    namespace.serve("mlserver", models.make("iris", tmp_path))
    flowers = [5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3]  # a setosa and a virginica of the data set
    question = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": flowers}]}
    answer = namespace.ask("mlserver", "/v2/models/tiny/infer", question)
    assert answer["outputs"][0]["data"] == [0, 2]


UPLOAD = """
import boto3, os, pathlib, sys
s3 = boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
bucket = s3.create_bucket(Bucket=sys.argv[1])
for path in pathlib.Path("/uploaded").glob("*.*"):
    if path.is_file():
        bucket.upload_file(str(path), f"models/tiny/{path.name}")
"""


def test_storage_initializer_copies_from_s3_what_llama_server_then_serves(namespace: Namespace, tmp_path: Path) -> None:
    namespace.store("s3-model", models.make("gguf", tmp_path))
    spec = runtime_spec("llama-server")
    spec["containers"][0]["volumeMounts"].append({"name": "model", "mountPath": "/mnt/models", "readOnly": True})
    access, secret = services.s3_keys(settings())
    common = {
        "image": "bed.local/storage-initializer:1",
        "securityContext": spec["containers"][0]["securityContext"],
        "env": [
            {"name": "AWS_ENDPOINT_URL", "value": services.S3_ENDPOINT},
            {"name": "AWS_ACCESS_KEY_ID", "value": access},
            {"name": "AWS_SECRET_ACCESS_KEY", "value": secret},
        ],
    }
    upload = {"name": "upload", "command": ["python3", "-c", UPLOAD, namespace.name]}
    upload["volumeMounts"] = [{"name": "uploaded", "mountPath": "/uploaded"}]
    copy = {"name": "storage-initializer", "args": [f"s3://{namespace.name}/models/tiny", "/mnt/models"]}
    copy["volumeMounts"] = [{"name": "model", "mountPath": "/mnt/models"}]
    spec["initContainers"] = [common | upload, common | copy]
    spec["volumes"] += [{"name": "model", "emptyDir": {}}, {"name": "uploaded", "configMap": {"name": "s3-model"}}]
    namespace.start("from-s3", spec)
    log = namespace.api.read_namespaced_pod_log("from-s3", namespace.name, container="storage-initializer")
    assert f"Successfully copied s3://{namespace.name}/models/tiny to /mnt/models" in log
    answer = namespace.ask("from-s3", "/v1/completions", {"model": "tiny", "prompt": "Hello", "max_tokens": 3})
    assert answer["usage"]["completion_tokens"] == 3
