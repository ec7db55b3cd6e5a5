"""What Open Data Hub's dashboard makes when a user serves a model from S3: data only.

Labels and annotations are those of the recording `odh-style`, with the connection that the dashboard adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from bed import services
from bed.s3 import Bucket

Object = dict[str, Any]
CONNECTION, SERVICE, COPY, CLAIM = "granite-s3", "granite", "granite-pvc", "vllm-model-cache"
MODEL = "granite-7b-lab"  # the directory's name; the model in it is a small llama with random weights
PREFIX = f"models/{MODEL}"


@dataclass(frozen=True)
class Server:
    """A model server: its runtime's file, the format it is listed under, and the model that bed.models makes for it."""

    runtime: str
    model_format: str
    model: str
    image: str
    seconds: float  # to wait for it at most


SERVERS = {
    "llama": Server("llama-server", "gguf", "gguf-43m", "llama-server", 180),
    "vllm": Server("vllm-cpu", "vLLM", "llama-43m", "vllm-cpu", 600),
}


def namespace(name: str) -> Object:
    """A data science project, as OpenShift has them: pods get these ids and are restricted."""
    labels = {"opendatahub.io/dashboard": "true", "pod-security.kubernetes.io/enforce": "restricted"}
    ids = {f"openshift.io/sa.scc.{what}": "1000770000/10000" for what in ("uid-range", "supplemental-groups")}
    metadata = {"name": name, "labels": labels, "annotations": ids}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def connection(project: str, bucket: Bucket) -> Object:
    """The connection to the bucket."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": CONNECTION,
            "namespace": project,
            "labels": {"opendatahub.io/dashboard": "true", "opendatahub.io/managed": "true"},
            "annotations": {
                "opendatahub.io/connection-type": "s3",
                "opendatahub.io/connection-type-protocol": "s3",
                "openshift.io/display-name": "Granite's bucket",
            },
        },
        "stringData": {
            "AWS_ACCESS_KEY_ID": bucket.access,
            "AWS_SECRET_ACCESS_KEY": bucket.secret,
            "AWS_S3_ENDPOINT": services.S3_ENDPOINT,
            "AWS_S3_BUCKET": bucket.name,
            "AWS_DEFAULT_REGION": bucket.region,
        },
    }


def runtime(project: str, server: Server) -> Object:
    """The ServingRuntime: the dashboard gives it the service's name."""
    text = files("bed").joinpath(f"manifests/runtimes/{server.runtime}.yaml").read_text()
    made: Object = yaml.safe_load(text)
    made["metadata"] |= {"name": SERVICE, "namespace": project}
    return made


def service(project: str, server: Server) -> Object:
    """The InferenceService."""
    model = {"modelFormat": {"name": server.model_format}, "runtime": SERVICE, "name": "", "resources": {}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": SERVICE,
            "namespace": project,
            "annotations": {
                "serving.kserve.io/deploymentMode": "RawDeployment",
                "openshift.io/display-name": "Granite",
                "security.opendatahub.io/enable-auth": "false",
                "opendatahub.io/model-type": "generative",
                "opendatahub.io/connections": CONNECTION,
                "opendatahub.io/connection-path": PREFIX,
            },
            "labels": {"opendatahub.io/dashboard": "true", "networking.kserve.io/visibility": "exposed"},
        },
        "spec": {"predictor": {"automountServiceAccountToken": False, "model": model}},
    }
