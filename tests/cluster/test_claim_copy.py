"""From claim to claim on a real cluster: one pod mounts both, blocks are shared within one volume, nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster

from .ui_service import gguf, leaving_nothing, live_pods, make, pvserve, run_on_claim, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
SOURCE = "pvc://workbench/models/granite"


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def test_copies_share_blocks_or_are_made_in_the_pod_and_are_proven(cluster: Cluster, tmp_path: Path) -> None:
    where = ["-n", cluster.namespace, "-y"]
    loaded = pvserve("load", gguf(tmp_path / "granite"), SOURCE, "--size", "2Gi", *where)
    assert loaded.code == 0, loaded.explained()
    for target in ("pvc://vllm/granite", "pvc://workbench/copies/granite"):
        copied = pvserve("load", SOURCE, target, *where)
        assert copied.code == 0, copied.explained()
        assert {line["channel"] for line in copied.lines if line["type"] == "transfer" and line["channel"]} == {"claim"}
        assert copied.lines[-1]["manifest"] == loaded.lines[-1]["manifest"]
        proof = pvserve("verify", target, "-n", cluster.namespace)
        assert proof.code == 0, proof.explained()

    again = pvserve("load", SOURCE, "pvc://vllm/granite", *where)
    assert again.code == 0, again.explained()
    assert [line for line in again.lines if line["type"] == "transfer"] == []
    part = pvserve("load", SOURCE, "pvc://vllm/part", "--exclude", "padding-*", *where)
    assert part.code == 0, part.explained()
    assert part.lines[-1]["manifest"] != loaded.lines[-1]["manifest"]

    gone = pvserve("load", "pvc://workbench/models/gone", "pvc://vllm/gone", *where)
    assert (gone.code, gone.error["reason"]) == (3, "NoSuchSource"), gone.explained()
    inner = pvserve("load", SOURCE, "pvc://workbench/models/granite/inner", *where)
    assert (inner.code, inner.error["reason"]) == (3, "SourceIsTarget"), inner.explained()
    nobody = pvserve("load", "pvc://nobody/granite", "pvc://vllm/other", *where)
    assert (nobody.code, nobody.error["reason"]) == (3, "NoSuchClaim"), nobody.explained()


def test_a_model_on_a_claim_is_deployed_from_a_copy_that_answers(cluster: Cluster, tmp_path: Path) -> None:
    """From the claim of a workbench to one of its own; weights that were cut meanwhile are refused by name."""
    where = ["-n", cluster.namespace, "-y"]
    make(cluster, runtime(), service({"storage": {"key": "granite-s3", "path": "granite"}}))
    loaded = pvserve("load", gguf(tmp_path / "granite"), SOURCE, "--size", "1Gi", *where)
    assert loaded.code == 0, loaded.explained()
    named = ["--from", "granite", "--name", "granite-pvc", "--claim", "vllm"]
    done = pvserve("deploy", SOURCE, *named, *where)
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    assert {"digests", "answers"} <= done.checks.keys()
    [pod] = live_pods(cluster, "granite-pvc")
    claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in pod["spec"]["volumes"]]
    assert [claim for claim in claims if claim] == ["vllm"]

    cut = "cd /claim/models/granite && for file in *.gguf; do truncate -s $(($(stat -c %s $file) - 1)) $file; done"
    run_on_claim(cluster, "workbench", cut, {"runAsUser": 1000, "fsGroup": 1000})
    broken = pvserve("load", SOURCE, "pvc://vllm/broken", "--checksum", *where)
    assert (broken.code, broken.error["reason"]) == (3, "GgufDamaged"), broken.explained()
    assert ".gguf" in broken.error["subject"]
