"""retain, release, adopt and resize on a volume with data: what becomes of the claim, the volume and the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pvserve.api import models, volumes
from pvserve.apply.lease import lease_name
from pvserve.cluster import Cluster
from pvserve.errors import Refused
from pvserve.facts import Object, annotations_of, name
from pvserve.plan.rights import Use, required
from pvserve.transfer import Target
from pvserve.transfer.agent.place import FIRST_LEASE
from pvserve.transfer.values import place_word

from .accounts import Account
from .offers import image, storage_classes, until
from .test_removal import said_by_shell
from .ui_service import gguf, leaving_nothing, make, own_namespace, pvserve, service, volumes_of

pytestmark = pytest.mark.cluster


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return gguf(tmp_path / "granite")


@pytest.fixture
def elsewhere(any_cluster: Cluster) -> Iterator[Cluster]:
    """A second namespace."""
    with own_namespace(any_cluster) as there:
        yield there


def claim(cluster: Cluster, claim_name: str) -> Object:
    return cluster.get("v1", "PersistentVolumeClaim", claim_name, cluster.namespace)


def volume(cluster: Cluster, volume_name: str) -> Object:
    return cluster.get("v1", "PersistentVolume", volume_name)


def policy(cluster: Cluster, volume_name: str) -> str:
    return str(volume(cluster, volume_name)["spec"]["persistentVolumeReclaimPolicy"])


def run(cluster: Cluster, *words: str, code: int = 0) -> list[dict[str, object]]:
    ran = pvserve(*words, "-n", cluster.namespace, "-y")
    assert ran.code == code, ran.explained()
    return ran.lines


@contextmanager
def documented_role(cluster: Cluster, directory: Path, *uses: Use) -> Iterator[str]:
    """A kubeconfig of an account with what docs/rights.md lists for the uses, and no more."""
    account = Account(cluster, cluster.namespace, required(uses, cluster.namespace))
    try:
        yield str(account.kubeconfig(directory))
    finally:
        account.forget()


def listed(cluster: Cluster) -> list[dict[str, Any]]:
    ran = pvserve("ls", "-n", cluster.namespace)
    assert ran.code == 0, ran.explained()
    rows: list[dict[str, Any]] = ran.lines[-1]["claims"]
    return rows


def reason(cluster: Cluster, *words: str, code: int = 3) -> str:
    return str(next(line["error"]["reason"] for line in run(cluster, *words, code=code) if line["type"] == "error"))  # type: ignore[index]


def test_data_goes_from_namespace_to_namespace_without_a_copy(
    cluster: Cluster, elsewhere: Cluster, model: Path
) -> None:
    with leaving_nothing(cluster):
        run(cluster, "load", str(model), "pvc://a/granite", "--retain", "no")
        [pv] = [name(item) for item in volumes_of(cluster)]
        before = policy(cluster, pv)

        run(cluster, "retain", "a")
        assert policy(cluster, pv) == "Retain"
        assert "granite" in annotations_of(volume(cluster, pv))["pvserve.io/models"]
        again = run(cluster, "retain", "a")
        assert again[-1]["done"] == []
        run(cluster, "retain", "a", "--undo")
        assert policy(cluster, pv) == before

        make(cluster, service({"storageUri": "pvc://a/granite"}, **{"serving.kserve.io/stop": "true"}))
        assert reason(cluster, "release", "a") == "ClaimInUse"
        assert policy(cluster, pv) == before, "a refused release changes nothing"
        cluster.delete("serving.kserve.io/v1beta1", "InferenceService", "granite", cluster.namespace)
        until(
            "the service is gone",
            lambda: not cluster.list("serving.kserve.io/v1beta1", "InferenceService", cluster.namespace),
        )

        assert reason(elsewhere, "adopt", pv, "--claim", "b") == "VolumeBound"
        released = run(cluster, "release", "a")
        assert released[-1]["next"] == [f"pvserve adopt {pv} --claim a -n {cluster.namespace}"]
        assert volume(cluster, pv)["status"]["phase"] == "Released"
        assert cluster.find("v1", "PersistentVolumeClaim", "a", cluster.namespace) is None

        [row] = listed(cluster)
        assert (row["phase"], row["volume"], row["models"][0]["path"]) == ("Released", pv, "granite")

        run(elsewhere, "adopt", pv, "--claim", "b")
        assert listed(cluster) == []
        [row] = listed(elsewhere)
        assert (row["claim"], row["reclaim"], row["models"][0]["source"]) == ("b", "Retain", "granite")
        assert claim(elsewhere, "b")["spec"]["volumeName"] == pv
        assert claim(elsewhere, "b")["status"]["phase"] == "Bound"
        assert run(elsewhere, "adopt", pv, "--claim", "b")[-1]["done"] == []
        proof = pvserve("verify", "pvc://b/granite", "-n", elsewhere.namespace)
        assert proof.code == 0, proof.explained()


def test_a_volume_that_is_no_longer_retained_is_not_released_and_none_but_its_claim_wins_it(
    cluster: Cluster, model: Path, tmp_path: Path
) -> None:
    with leaving_nothing(cluster):
        run(cluster, "load", str(model), "pvc://a/granite", "--retain", "no")
        [pv] = [name(item) for item in volumes_of(cluster)]
        run(cluster, "retain", "a")
        planned = volumes.release("a", cluster)
        cluster.patch("v1", "PersistentVolume", pv, "", {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
        with pytest.raises(Refused, match="has policy Delete"):
            models.apply(planned, cluster)
        assert "deletionTimestamp" not in claim(cluster, "a")["metadata"]

        with documented_role(cluster, tmp_path, "retain", "release") as kubeconfig:
            run(cluster, "release", "a", "--kubeconfig", kubeconfig)
        # As a client that was killed after the first step left it: kept for claim b, which is not there yet.
        reference = {"namespace": cluster.namespace, "name": "b", "uid": None, "resourceVersion": None}
        cluster.patch("v1", "PersistentVolume", pv, "", {"spec": {"claimRef": reference}})
        until("the volume is available", lambda: volume(cluster, pv)["status"]["phase"] == "Available")
        spec = volume(cluster, pv)["spec"]
        rival = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "rival"},
            "spec": {
                "accessModes": spec["accessModes"],
                "storageClassName": spec["storageClassName"],
                "volumeName": pv,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        make(cluster, rival)
        assert reason(cluster, "adopt", pv, "--claim", "rival") == "VolumeReserved"
        with documented_role(cluster, tmp_path, "adopt") as kubeconfig:
            run(cluster, "adopt", pv, "--claim", "b", "--kubeconfig", kubeconfig)
        assert claim(cluster, "b")["status"]["phase"] == "Bound"
        assert claim(cluster, "rival")["status"]["phase"] != "Bound"


def an_unfinished_load(cluster: Cluster, path: str, epoch: int) -> None:
    """As a writer of another Lease left it: what comes with a volume that is adopted or cloned."""
    shelf = f"/claim/.pvserve/partial/{place_word(Target(path, 'a'))}-{'0' * 16}"
    said_by_shell(cluster, f"mkdir -p {shelf}/{epoch:012d}/files && chmod -R 0777 {shelf} && chmod 0777 {shelf}/..")


def test_an_unfinished_load_that_came_with_the_volume_stops_nobody(cluster: Cluster, model: Path) -> None:
    """Its epoch is of another claim's Lease, and later than ours: ours is taken anew to be later still."""
    with leaving_nothing(cluster):
        run(cluster, "load", str(model), "pvc://a/granite", "--retain", "no", "--size", "512Mi")
        an_unfinished_load(cluster, "other", FIRST_LEASE + 7)
        run(cluster, "load", str(model), "pvc://a/other")
        spec = cluster.get("coordination.k8s.io/v1", "Lease", lease_name("a", "other"), cluster.namespace)["spec"]
        assert (spec["leaseTransitions"], spec["holderIdentity"]) == (8, "")
        an_unfinished_load(cluster, "granite", FIRST_LEASE + 70)
        run(cluster, "rm", "pvc://a/granite")
        left = said_by_shell(cluster, "ls /claim/.pvserve/partial; test -e /claim/granite || echo gone")
        assert left.strip() == "gone"


def test_a_pod_of_anybody_keeps_its_claim_and_rights_that_lack_are_named(cluster: Cluster, tmp_path: Path) -> None:
    with leaving_nothing(cluster):
        make(cluster, a_claim(cluster, "a"), a_pod("a"))
        until("the claim is bound", lambda: claim(cluster, "a")["status"].get("phase") == "Bound")
        assert reason(cluster, "release", "a") == "ClaimInUse"
        rights = required(("retain",), cluster.namespace)
        for given, code in ((rights[:-1], 4), (rights, 0)):  # the last is to patch the volume
            account = Account(cluster, cluster.namespace, given)
            ran = pvserve("retain", "a", "-y", "--kubeconfig", account.kubeconfig(tmp_path))
            account.forget()
            assert ran.code == code, ran.explained()
            if code:
                assert ran.error["reason"] == "MissingRights"
                assert "patch persistentvolumes" in ran.error["message"]


def test_a_claim_grows_while_a_pod_uses_it(cluster: Cluster, tmp_path: Path) -> None:
    with leaving_nothing(cluster):
        make(cluster, a_claim(cluster, "a"), a_pod("a"))
        until("the claim is bound", lambda: claim(cluster, "a")["status"].get("phase") == "Bound")
        make(cluster, service({"storageUri": "pvc://a/granite"}, **{"serving.kserve.io/stop": "true"}))
        # The kubelet measures volumes once a minute, and answers with what it had measured.
        [row] = until("free bytes", lambda: [row for row in listed(cluster) if row["free_bytes"]], seconds=90, every=3)
        assert 0 < row["free_bytes"] <= 64 << 20
        assert (row["services"], row["pods"]) == (["granite"], ["user"])
        with documented_role(cluster, tmp_path, "resize") as kubeconfig:
            run(cluster, "resize", "a", "128Mi", "--kubeconfig", kubeconfig)
        assert claim(cluster, "a")["status"]["capacity"]["storage"] == "128Mi"
        assert run(cluster, "resize", "a", "128Mi")[-1]["done"] == []
        assert reason(cluster, "resize", "a", "64Mi") == "CannotShrink"
        assert reason(cluster, "resize", "a", "lots", code=2) == "NotASize"
        assert reason(cluster, "resize", "gone", "64Mi") == "NoSuchClaim"


def a_claim(cluster: Cluster, claim_name: str) -> dict[str, object]:
    """64 Mi in a class that can grow; skips where there is none."""
    growing = [name(item) for item in storage_classes(cluster) if item.get("allowVolumeExpansion")]
    if not growing:
        pytest.skip("the cluster has no class whose volumes can grow")
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": growing[0],
        "resources": {"requests": {"storage": "64Mi"}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim_name}, "spec": spec}


def a_pod(claim_name: str) -> dict[str, object]:
    container = {
        "name": "sh",
        "image": image("busybox"),
        "command": ["sleep", "600"],
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "user"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim_name}}],
        },
    }
