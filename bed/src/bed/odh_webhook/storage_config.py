"""The secret `storage-config` of a namespace, made of its S3 connections, as odh-model-controller keeps it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from bed.kserve_emulator.credentials import data_of
from bed.kserve_emulator.names import Object, annotations_of, compact_json

NAME = "storage-config"
MANAGED = "opendatahub.io/managed"
SELECTOR = f"{MANAGED}=true,opendatahub.io/dashboard=true"
CONNECTION_TYPE = "opendatahub.io/connection-type"
# KServe's word for it, the connection's key.
FIELDS = {
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "endpoint_url": "AWS_S3_ENDPOINT",
    "bucket": "AWS_S3_BUCKET",
    "region": "AWS_DEFAULT_REGION",
}


def storage_config(namespace: str, connections: Sequence[Object]) -> Object:
    """The secret for a namespace.

    Args:
        connections: the secrets with both of Open Data Hub's labels (SELECTOR).
    """
    entries = {}
    for secret in connections:
        data = data_of(secret)
        entry = {"type": annotations_of(secret).get(CONNECTION_TYPE, "")}
        entry |= {field: data.get(key, "") for field, key in FIELDS.items()}
        entries[secret["metadata"]["name"]] = base64.b64encode(compact_json(entry).encode()).decode()
    metadata = {"name": NAME, "namespace": namespace, "labels": {MANAGED: "true"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": entries}
