"""The main job with no laptop in the path: a service that is served from S3 is served from a claim that a Job filled.

Needs an S3 server beside the cluster: PVSERVE_TEST_S3_ENDPOINT as pods reach it, PVSERVE_TEST_S3_LOCAL_ENDPOINT as this
machine does, and PVSERVE_TEST_S3_ACCESS_KEY, PVSERVE_TEST_S3_SECRET_KEY.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bed.s3 import Bucket
from pvserve.cluster import Cluster

from .offers import told
from .shop import secret
from .ui_service import gguf, leaving_nothing, make, own_pods, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
ISVC = ("serving.kserve.io/v1beta1", "InferenceService")


@pytest.fixture
def bucket(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A bucket with the model below `granite`."""
    made = Bucket(
        urlsplit(told("S3_LOCAL_ENDPOINT")).netloc,
        told("S3_ACCESS_KEY"),
        told("S3_SECRET_KEY"),
        f"test-{cluster.namespace}",
    )
    made.make()
    keys: list[str] = []
    try:
        keys = made.upload(gguf(tmp_path / "granite"), "granite")
        with leaving_nothing(cluster):
            yield made.name
    finally:
        made.remove(keys)


def test_a_service_served_from_s3_is_served_from_a_claim_with_its_own_connection(cluster: Cluster, bucket: str) -> None:
    entry = {
        "type": "s3",
        "access_key_id": told("S3_ACCESS_KEY"),
        "secret_access_key": told("S3_SECRET_KEY"),
        "endpoint_url": told("S3_ENDPOINT"),
        "bucket": bucket,
    }
    secret(cluster, "storage-config", **{"granite-s3": json.dumps(entry)})
    make(cluster, runtime(), service({"storage": {"key": "granite-s3", "path": "granite"}}))
    argv = ["deploy", f"s3://{bucket}/granite", "--from", "granite", "--name", "granite-pvc", "--claim", "vllm"]
    ran = pvserve(*argv, "-n", cluster.namespace, "-y")
    assert ran.code == 0, ran.explained()
    assert set(ran.checks.values()) == {"passed"}, ran.checks
    assert told("S3_SECRET_KEY") not in ran.out + ran.err
    stored = cluster.get(*ISVC, "granite-pvc", cluster.namespace)
    assert stored["spec"]["predictor"]["model"]["storageUri"] == "pvc://vllm/granite"
    again = pvserve(*argv, "-n", cluster.namespace, "-y")
    assert again.code == 0, again.explained()
    assert [line for line in again.lines if line["type"] == "transfer"] == []
    assert own_pods(cluster) == []
