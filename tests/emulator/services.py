"""Objects that the emulator's tests on the bed apply: runtimes, InferenceServices, connections. Data only."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
SERVES = ["httpd", "-f", "-p", "8080", "-h", "/"]  # busybox: answers at once, so the service becomes Ready
IDLES = ["sleep", "3600"]


def runtime(name: str = "server", command: list[str] | None = None, **more: Any) -> Object:
    """A ServingRuntime for the format "gguf" whose container is busybox."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": "gguf", "autoSelect": True}],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "bed.local/busybox:1",
                    "command": ["busybox", *(command or SERVES)],
                    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                }
            ],
            **more,
        },
    }


def service(name: str = "tiny", annotations: dict[str, str] | None = None, **model: Any) -> Object:
    """An InferenceService of the format "gguf"; `model` is added to spec.predictor.model.

    Its pods end at once: busybox as first process of a container ignores SIGTERM.
    """
    predictor = {"terminationGracePeriodSeconds": 1, "model": {"modelFormat": {"name": "gguf"}, **model}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"predictor": predictor},
    }


CONNECTION_VALUES = {
    "s3": {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_S3_ENDPOINT": "http://127.0.0.1:1",
        "AWS_S3_BUCKET": "models",
        "AWS_DEFAULT_REGION": "us-east-1",
    },
    "uri": {"URI": "https://example.com/model.gguf"},
    "oci": {"OCI_HOST": "registry.example", "ACCESS_TYPE": "[]", ".dockerconfigjson": "{}"},
}


def connection(kind: str, name: str = "store", values: dict[str, str] | None = None) -> Object:
    """A connection as Open Data Hub's dashboard makes it: a secret with labels and annotations."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": {"opendatahub.io/dashboard": "true", "opendatahub.io/managed": "true"},
            "annotations": {
                "opendatahub.io/connection-type": kind,
                "opendatahub.io/connection-type-protocol": kind,
                "openshift.io/display-name": name,
            },
        },
        "stringData": values or CONNECTION_VALUES[kind],
    }
