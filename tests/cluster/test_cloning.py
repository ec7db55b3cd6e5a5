"""`clone` on a live cluster: a second claim with every byte of the first, and a life of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Right, known, name
from pvserve.plan.lifecycle.snapshotting import API, KIND, data_source
from pvserve.plan.rights import required

from .accounts import Account
from .offers import class_by_mode, until
from .test_volumes_lifecycle import a_pod
from .ui_service import Ran, gguf, leaving_nothing, make, own_pods, pvserve, volumes_of

pytestmark = pytest.mark.cluster
CLASSES = (
    Right("list", "snapshot.storage.k8s.io", "volumesnapshotclasses"),
    Right("get", "storage.k8s.io", "storageclasses"),
)


def run(cluster: Cluster, *words: str | os.PathLike[str], code: int = 0) -> Ran:
    ran = pvserve(*words, "-n", cluster.namespace, *(() if words[0] == "verify" else ("-y",)))
    assert ran.code == code, ran.explained()
    return ran


def cloned(cluster: Cluster, *words: str | os.PathLike[str]) -> Ran:
    """The command; skips where the driver says that it does not clone."""
    ran = pvserve("clone", *words, "--try", "-n", cluster.namespace, "-y")
    if ran.code == 3 and ran.error["reason"] == "CannotClone":
        assert cluster.find("v1", "PersistentVolumeClaim", str(words[1]), cluster.namespace) is None
        pytest.skip(f"the class does not clone: {ran.error['message']}")
    assert ran.code == 0, ran.explained()
    return ran


@pytest.mark.parametrize("mode", ["WaitForFirstConsumer", "Immediate"])
def test_a_clone_holds_every_byte_and_outlives_its_source(cluster: Cluster, tmp_path: Path, mode: str) -> None:
    storage_class = class_by_mode(cluster, mode)
    with leaving_nothing(cluster):
        model = gguf(tmp_path / "granite", padding=5_000_000)
        run(cluster, "load", model, "pvc://a/granite", "--retain", "no", "--storage-class", storage_class)
        rights = required(("clone", "prove"), cluster.namespace)
        account = Account(cluster, cluster.namespace, rights)
        unknown = pvserve("clone", "a", "b", "--dry-run", "-n", cluster.namespace)
        assert unknown.code == 0 or unknown.error["reason"] in ("CloneUnknown", "CannotClone"), unknown.explained()
        cloned(cluster, "a", "b", "--kubeconfig", account.kubeconfig(tmp_path))
        account.forget()
        assert cluster.get("v1", "PersistentVolumeClaim", "b", cluster.namespace)["spec"]["dataSource"]["name"] == "a"
        proof = run(cluster, "verify", "pvc://b/granite")
        assert set(proof.checks.values()) == {"passed"}, proof.explained()
        assert pvserve("clone", "a", "b", "--try", "-n", cluster.namespace, "-y").lines[-1]["done"] == []
        assert len({name(volume) for volume in volumes_of(cluster)}) == 2

        run(cluster, "rm", "pvc://a/granite")
        assert set(run(cluster, "verify", "pvc://b/granite").checks.values()) == {"passed"}
        assert own_pods(cluster) == []


def test_a_clone_for_many_nodes_is_read_only_and_what_the_driver_refuses_goes_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    with leaving_nothing(cluster):
        storage_class = class_by_mode(cluster, "Immediate")
        model = gguf(tmp_path / "granite", padding=2_000_000)
        run(cluster, "load", model, "pvc://a/granite", "--retain", "no", "--storage-class", storage_class)
        cloned(cluster, "a", "many", "--access-mode", "ROX")
        claim = cluster.get("v1", "PersistentVolumeClaim", "many", cluster.namespace)
        assert claim["status"]["accessModes"] == ["ReadOnlyMany"]
        assert set(run(cluster, "verify", "pvc://many/granite").checks.values()) == {"passed"}
        assert run(cluster, "load", model, "pvc://many/other", code=3).error["reason"] == "ClaimReadOnly"

        ran = pvserve("clone", "a", "one", "--access-mode", "RWOP", "--try", "-n", cluster.namespace, "-y")
        if ran.code == 0:
            pytest.skip("the driver of the class that binds at once admits ReadWriteOncePod too")
        assert (ran.code, ran.error["reason"]) == (3, "CannotClone"), ran.explained()
        assert "ReadWriteOncePod" in ran.error["message"]
        assert cluster.find("v1", "PersistentVolumeClaim", "one", cluster.namespace) is None


def test_a_snapshot_is_taken_of_a_claim_in_use_and_its_claim_outlives_both(cluster: Cluster, tmp_path: Path) -> None:
    storage_class = class_by_mode(cluster, "WaitForFirstConsumer")
    driver = cluster.get("storage.k8s.io/v1", "StorageClass", storage_class)["provisioner"]
    if driver not in [item["driver"] for item in known(cluster.find_all(API, "VolumeSnapshotClass"), ())]:
        pytest.skip(f"driver {driver} has no VolumeSnapshotClass")
    with leaving_nothing(cluster):
        model = gguf(tmp_path / "granite", padding=5_000_000)
        run(cluster, "load", model, "pvc://a/granite", "--retain", "no", "--storage-class", storage_class)
        make(cluster, a_pod("a"))
        until(
            "the pod runs", lambda: cluster.get("v1", "Pod", "user", cluster.namespace)["status"]["phase"] == "Running"
        )
        rights = [*required(("clone", "snapshot"), cluster.namespace), *CLASSES]
        account = Account(cluster, cluster.namespace, rights)
        words = ("clone", "a", "b", "--snapshot", "-n", cluster.namespace, "-y")
        ran = pvserve(*words, "--kubeconfig", account.kubeconfig(tmp_path))
        account.forget()
        assert ran.code == 0, ran.explained()
        assert pvserve(*words).lines[-1]["done"] == []
        assert cluster.get("v1", "PersistentVolumeClaim", "b", cluster.namespace)["spec"]["dataSource"] == data_source(
            "b"
        )
        assert set(run(cluster, "verify", "pvc://b/granite").checks.values()) == {"passed"}
        cluster.delete("v1", "Pod", "user", grace_seconds=0)
        run(cluster, "rm", "pvc://a/granite")
        cluster.delete(API, KIND, "b", cluster.namespace)
        assert set(run(cluster, "verify", "pvc://b/granite").checks.values()) == {"passed"}
