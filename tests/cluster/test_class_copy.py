"""The Retain copy of a class, which another run may take away: known beforehand, and made again for a claim."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import name
from pvserve.plan.claim import retain_class

from .offers import class_by_mode
from .ui_service import Ran, gguf, leaving_nothing, make, own_pods, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
CLASS = ("storage.k8s.io/v1", "StorageClass")
CLAIM = ("v1", "PersistentVolumeClaim")
STOPPED = {"serving.kserve.io/stop": "true"}


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


@pytest.fixture
def plain(cluster: Cluster, run_id: str) -> Iterator[str]:
    """A class of its own to copy, so that no other copy is equal and nobody else takes this one."""
    base = cluster.get(*CLASS, class_by_mode(cluster, "WaitForFirstConsumer"))
    kept = ("provisioner", "parameters", "volumeBindingMode", "allowedTopologies")
    wanted = f"pvst-plain-{run_id}"
    metadata = {"apiVersion": CLASS[0], "kind": CLASS[1], "metadata": {"name": wanted}}
    options = [*(base.get("mountOptions") or ()), "noatime", "nodiratime"]
    made = {key: base[key] for key in kept if key in base}
    cluster.create({**metadata, **made, "reclaimPolicy": "Delete", "mountOptions": options})
    yield wanted
    cluster.delete(*CLASS, wanted)


def run(cluster: Cluster, *words: str | os.PathLike[str]) -> Ran:
    ran = pvserve(*words, "-n", cluster.namespace, *(("-y",) if words[0] == "load" else ()))
    assert ran.code == 0, ran.explained()
    return ran


def a_copy(cluster: Cluster, plain: str) -> dict[str, Any]:
    return retain_class(cluster.get(*CLASS, plain))


def test_a_copy_that_goes_between_plan_and_apply_makes_the_plan_stale_before_a_claim_is_made(
    cluster: Cluster, plain: str, tmp_path: Path
) -> None:
    copy, file = a_copy(cluster, plain), tmp_path / "plan.json"
    cluster.apply(copy)
    make(cluster, runtime(), service({"storage": {"key": "x", "path": "x"}}, **STOPPED))
    words = ("--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--storage-class", plain, "--out", file)
    planned = run(cluster, "plan", gguf(tmp_path / "granite", 0), *words)
    assert "class" not in [step["id"] for step in planned.lines[-1]["plan"]["steps"]]
    cluster.delete(*CLASS, name(copy))
    stale = pvserve("deploy", file, "-y")
    assert (stale.code, stale.error["reason"]) == (8, "PlanIsStale"), stale.explained()
    assert f"StorageClass {name(copy)} is gone" in stale.error["message"]
    assert "run the same command again" in stale.error["remedy"]
    assert cluster.find(*CLAIM, "cache") is None


def test_a_claim_that_waits_for_a_copy_which_is_gone_gets_it_again(
    cluster: Cluster, plain: str, tmp_path: Path
) -> None:
    copy = name(a_copy(cluster, plain))
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": copy,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    make(cluster, {"apiVersion": CLAIM[0], "kind": CLAIM[1], "metadata": {"name": "cache"}, "spec": spec})
    assert cluster.find(*CLASS, copy) is None
    run(cluster, "load", gguf(tmp_path / "granite", 0), "pvc://cache/granite")
    assert cluster.get(*CLASS, copy)["reclaimPolicy"] == "Retain"
    assert cluster.get(*CLAIM, "cache")["status"]["phase"] == "Bound"
    assert own_pods(cluster) == []
