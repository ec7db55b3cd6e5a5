"""The settings in ConfigMap `kserve/inferenceservice-config`, as values. Owns their defaults; reads no cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .names import CONFIG_MAP, NAMESPACE, STANDARD, Object


@dataclass(frozen=True)
class Config:
    """One InferenceService's world as far as the administrator decides it. Keys and meanings are KServe's."""

    initializer: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Any] = field(default_factory=dict)
    ingress: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    default_mode: str = STANDARD
    mount_token: bool = True

    @property
    def s3(self) -> Mapping[str, str]:
        """Defaults for S3 credentials: names of a secret's keys, endpoint, region, …."""
        found: Mapping[str, str] = self.credentials.get("s3", {})
        return found

    def url(self, name: str, namespace: str) -> str:
        """The outside address of an InferenceService or a component."""
        template = self.ingress["domainTemplate"]
        values = {"Name": name, "Namespace": namespace, "IngressDomain": self.ingress["ingressDomain"]}
        for key, value in values.items():
            template = template.replace("{{ ." + key + " }}", value)
        return f"{self.ingress['urlScheme']}://{template}"


def read(config_map: Object) -> Config:
    """Reads the ConfigMap's JSON values.

    Raises:
        ValueError: a value is not JSON; the message names the key.
    """
    values: dict[str, Any] = {}
    for key, text in (config_map.get("data") or {}).items():
        try:
            values[key] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"ConfigMap {config_map['metadata']['name']}, key {key}: {error}") from error
    return Config(
        initializer=values.get("storageInitializer", {}),
        credentials=values.get("credentials", {}),
        ingress=values.get("ingress", {}),
        metrics=values.get("metricsAggregator", {}),
        resource=values.get("inferenceService", {}).get("resource", {}),
        default_mode=values.get("deploy", {}).get("defaultDeploymentMode", STANDARD),
        mount_token=values.get("security", {}).get("autoMountServiceAccountToken", True),
    )


# KServe's defaults, but Standard mode and no ingress, as in the recordings.
DEFAULTS: dict[str, dict[str, Any]] = {
    "storageInitializer": {
        "memoryRequest": "100Mi",
        "memoryLimit": "1Gi",
        "cpuRequest": "100m",
        "cpuLimit": "1",
        "caBundleConfigMapName": "",
        "caBundleVolumeMountPath": "/etc/ssl/custom-certs",
        "enableModelcar": True,
        "cpuModelcar": "10m",
        "memoryModelcar": "15Mi",
        "uidModelcar": 1010,
    },
    "credentials": {
        "storageSpecSecretName": "storage-config",
        "storageSecretNameAnnotation": "serving.kserve.io/storageSecretName",
        "s3": {"s3AccessKeyIDName": "AWS_ACCESS_KEY_ID", "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY"},
    },
    "ingress": {
        "ingressDomain": "example.com",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
        "disableIstioVirtualHost": True,
        "disableIngressCreation": True,
    },
    "deploy": {"defaultDeploymentMode": STANDARD},
    "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "false"},
    "security": {"autoMountServiceAccountToken": True},
    "inferenceService": {
        "resource": {"cpuLimit": "1", "memoryLimit": "2Gi", "cpuRequest": "1", "memoryRequest": "2Gi"}
    },
}


def default_map(storage_initializer: str) -> Object:
    """The ConfigMap as the bed installs it.

    Args:
        storage_initializer: the image that downloads models.
    """
    values = {**DEFAULTS, "storageInitializer": {"image": storage_initializer, **DEFAULTS["storageInitializer"]}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE},
        "data": {key: json.dumps(value, indent=2) for key, value in values.items()},
    }
