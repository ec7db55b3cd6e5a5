"""New content rolls out to a new directory and switches the service; rollback switches back, without copying."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster

from .ui_service import Ran, gguf, leaving_nothing, make, pvserve, runtime

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
ISVC = ("serving.kserve.io/v1beta1", "InferenceService")


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def uri(cluster: Cluster) -> str:
    return str(cluster.get(*ISVC, "granite")["spec"]["predictor"]["model"]["storageUri"])


def transfers(ran: Ran) -> list[object]:
    return [line for line in ran.lines if line["type"] == "transfer"]


def test_new_content_switches_the_service_and_rollback_switches_back(cluster: Cluster, tmp_path: Path) -> None:
    make(cluster, runtime())
    first, second = gguf(tmp_path / "v1", 1_000_000), gguf(tmp_path / "v2", 2_000_000)
    options = ["--name", "granite", "--claim", "cache", "--runtime", "llama-server", "-n", cluster.namespace, "-y"]
    assert pvserve("deploy", first, *options).code == 0
    switched = pvserve("deploy", second, *options)
    assert switched.code == 0, switched.explained()
    assert set(switched.checks.values()) == {"passed"}
    assert uri(cluster) == "pvc://cache/v2"

    back = pvserve("rollback", "granite", "-n", cluster.namespace, "-y")
    assert back.code == 0, back.explained()
    assert not transfers(back)
    assert uri(cluster) == "pvc://cache/v1"
    proof = pvserve("verify", "granite", "-n", cluster.namespace)
    assert proof.code == 0, proof.explained()
    assert pvserve("rollback", "granite", "-n", cluster.namespace, "-y").error["reason"] == "NothingToRollBack"

    again = pvserve("deploy", second, *options)
    assert again.code == 0, again.explained()
    assert not transfers(again)
    assert uri(cluster) == "pvc://cache/v2"
