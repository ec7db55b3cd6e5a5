"""With which credentials and CAs the cluster reads a source: by reference alone.

Owns the choice of the Secret, and how a pod mounts it. Pure.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pvserve.facts import Facts, annotations_of
from pvserve.plan.edit_service import CONNECTION, storage_of
from pvserve.spec.model import ModelSpec

SECRET_MOUNT, CA_MOUNT = "/pvserve-secret", "/pvserve-ca"  # where the program looks
STORAGE_CONFIG = "storage-config"  # KServe's default name (config/configmap/inferenceservice.yaml, credentials)
STORAGE_ENTRY = "storage.json"  # the name under which it looks for an entry of KServe's storage-config
TRUSTED_CA = "odh-trusted-ca-bundle"  # Open Data Hub puts it into every namespace (ux.md 2.1)


class Connection(NamedTuple):
    """A Secret with credentials, and its entry where it is a storage-config; `inherited` from the service."""

    name: str = ""
    key: str = ""
    inherited: bool = False

    def __str__(self) -> str:
        return f"Secret {self.name}" + (f", entry {self.key}" if self.key else "")


def connection(spec: ModelSpec, facts: Facts) -> Connection:
    """The one that was named; else, for S3, that of the service to start from, where it lies in this namespace.

    Source: kserve/pkg/credentials/service_account_credentials.go (`storage.key` is an entry of storage-config), and
    opendatahub-operator's annotation for connections.
    """
    if spec.fetch.connection or spec.fetch.anonymous or not (spec.model or "").startswith("s3://"):
        return Connection(spec.fetch.connection or "", spec.fetch.key or "")
    origin = facts.origin_service
    if (
        not isinstance(origin, dict)
        or origin["metadata"].get("namespace", facts.namespace.name) != facts.namespace.name
    ):
        return Connection()
    if secret := annotations_of(origin).get(CONNECTION):
        return Connection(secret, inherited=True)
    key = storage_of(origin).key
    return Connection(STORAGE_CONFIG, key, inherited=True) if key else Connection()


def mount_sources(spec: ModelSpec, pod: dict[str, Any], connected: Connection) -> None:
    """Secret and CAs, by reference, as files."""
    fetch = spec.fetch
    ca: dict[str, Any] = {"name": fetch.ca or TRUSTED_CA}
    if not fetch.ca:
        ca["optional"] = True
    volumes = [{"name": "ca", "configMap": ca}]
    mounts = [{"name": "ca", "mountPath": CA_MOUNT, "readOnly": True}]
    if connected.name:
        secret: dict[str, Any] = {"secretName": connected.name}
        if connected.key:
            secret["items"] = [{"key": connected.key, "path": STORAGE_ENTRY}]
        volumes.append({"name": "connection", "secret": secret})
        mounts.append({"name": "connection", "mountPath": SECRET_MOUNT, "readOnly": True})
    container = pod["containers"][0]
    container["volumeMounts"] = [*container["volumeMounts"], *mounts]
    pod["volumes"] = [*pod["volumes"], *volumes]
