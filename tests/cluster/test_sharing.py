"""`share` and `unshare` on a cluster: a second namespace serves the very bytes of the first, and cannot write them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import annotations_of, name
from pvserve.plan.rights import required

from .accounts import Account
from .offers import image, make_namespace, until
from .ui_service import Ran, gguf, leaving_nothing, make, own_pods, pvserve, runtime, service, volumes_of

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
VOLUME = ("v1", "PersistentVolume")


@pytest.fixture
def elsewhere(any_cluster: Cluster) -> Iterator[Cluster]:
    """A second namespace; what it derived goes before the volumes of the first."""
    with make_namespace(any_cluster) as namespace:
        there = Cluster.connect(namespace=namespace)
        yield there
        for volume in volumes_of(there):
            there.delete(*VOLUME, name(volume))


def run(cluster: Cluster, *words: str | os.PathLike[str], code: int = 0) -> Ran:
    ran = pvserve(*words, "-n", cluster.namespace, *(() if words[0] == "verify" else ("-y",)))
    assert ran.code == code, ran.explained()
    return ran


def a_writer(claim: str) -> dict[str, Any]:
    """A pod of whoever, which tries to write where a model is."""
    mounts = [{"name": "c", "mountPath": "/claim"}]
    script = "find /claim -type f -size +0 | grep -q . && ! touch /claim/granite/planted"
    container = {"name": "sh", "image": image("busybox"), "command": ["sh", "-c", script], "volumeMounts": mounts}
    volume = {"name": "c", "persistentVolumeClaim": {"claimName": claim}}
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "writer"}, "spec": spec}


def test_a_second_namespace_serves_the_same_bytes_and_counts(
    cluster: Cluster, elsewhere: Cluster, tmp_path: Path
) -> None:
    share = f"{elsewhere.namespace}/models"
    with leaving_nothing(cluster):
        run(cluster, "load", gguf(tmp_path / "granite", padding=5_000_000), "pvc://a/granite", "--retain", "no")
        [first] = volumes_of(cluster)
        ran = run(
            elsewhere, "serve", "granite", "--runtime", "llama-server", "--claim", "a", "--path", "granite", code=3
        )
        assert f"pvserve share a --to {elsewhere.namespace} -n {cluster.namespace}" in " ".join(ran.error["remedy"])

        run(cluster, "share", "a", "--to", elsewhere.namespace, "--name", "models")
        assert run(cluster, "share", "a", "--to", elsewhere.namespace, "--name", "models").lines[-1]["done"] == []
        [derived] = volumes_of(elsewhere)
        assert derived["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        counted = cluster.get(*VOLUME, name(first))
        assert share in annotations_of(counted)["pvserve.io/shares"]
        assert counted["spec"]["persistentVolumeReclaimPolicy"] == "Retain"

        make(elsewhere, runtime(), service({"storageUri": "pvc://models/granite"}))
        rolled_out = ["status", "granite", "-n", elsewhere.namespace]
        until("the service is Ready", lambda: pvserve(*rolled_out).code == 0, seconds=120)
        proof = run(elsewhere, "verify", "granite")
        assert set(proof.checks.values()) == {"passed"}, proof.explained()

        for words in (("release", "a"), ("rm", "pvc://a/granite"), ("retain", "a", "--undo")):
            ran = run(cluster, *words, code=3)
            assert ran.error["reason"] == "ClaimShared", ran.explained()
            assert ran.error["remedy"] == [f"pvserve unshare {share}"]
        assert (
            run(elsewhere, "load", str(tmp_path / "granite"), "pvc://models/other", code=3).error["reason"]
            == "ClaimReadOnly"
        )
        assert run(elsewhere, "rm", "pvc://models/granite", code=3).error["reason"] in ("ClaimIsShare", "ModelInUse")
        assert run(cluster, "unshare", share, code=3).error["reason"] == "ClaimInUse"

        elsewhere.delete("serving.kserve.io/v1beta1", "InferenceService", "granite", elsewhere.namespace)
        until("its pods are gone", lambda: not elsewhere.list("v1", "Pod", elsewhere.namespace))
        if "hostPath" not in derived["spec"]:
            make(elsewhere, a_writer("models"))
            phase = until(
                "the writer ended",
                lambda: (
                    elsewhere.get("v1", "Pod", "writer", elsewhere.namespace)["status"].get("phase")
                    not in ("Pending", "Running")
                    and elsewhere.get("v1", "Pod", "writer", elsewhere.namespace)["status"]["phase"]
                ),
            )
            assert phase == "Succeeded", elsewhere.logs("writer", elsewhere.namespace, "sh")
            elsewhere.delete("v1", "Pod", "writer", elsewhere.namespace)
            until("the writer is gone", lambda: not elsewhere.list("v1", "Pod", elsewhere.namespace))
        assert run(cluster, "verify", "pvc://a/granite").code == 0

        assert pvserve("unshare", share, "-y").code == 0
        assert volumes_of(elsewhere) == []
        assert "pvserve.io/shares" not in annotations_of(cluster.get(*VOLUME, name(first)))
        assert pvserve("unshare", share, "-y").lines[-1]["done"] == []
        run(cluster, "rm", "pvc://a/granite")
        assert own_pods(cluster) == own_pods(elsewhere) == []


def test_no_other_claim_wins_a_share_and_without_rights_the_manifest_does_it(
    cluster: Cluster, elsewhere: Cluster, tmp_path: Path
) -> None:
    with leaving_nothing(cluster):
        run(cluster, "load", gguf(tmp_path / "granite", padding=1_000_000), "pvc://a/granite", "--retain", "no")
        rights = [right for right in required(("share",), cluster.namespace) if right.verb != "create"]
        account = Account(cluster, cluster.namespace, rights)
        words = ("share", "a", "--to", elsewhere.namespace)
        ran = run(cluster, *words, "--kubeconfig", account.kubeconfig(tmp_path), code=4)
        account.forget()
        assert ran.error["reason"] == "MissingRights"
        manifest = ran.error["remedy"][0].partition("<<'EOF'\n")[2].partition("\nEOF")[0]
        cluster.create(json.loads(manifest))
        [derived] = volumes_of(elsewhere)
        rival = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "rival"},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "storageClassName": "",
                "volumeName": name(derived),
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        make(elsewhere, rival)
        run(cluster, *words)
        bound = elsewhere.get("v1", "PersistentVolumeClaim", "a", elsewhere.namespace)
        assert bound["status"]["phase"] == "Bound"
        lost = elsewhere.get("v1", "PersistentVolumeClaim", "rival", elsewhere.namespace)
        assert lost["status"]["phase"] != "Bound"
        assert run(elsewhere, "verify", "pvc://a/granite").code == 0
        assert pvserve("unshare", f"{elsewhere.namespace}/a", "-y").code == 0


def test_a_share_of_a_csi_volume_has_its_handle_and_binds(cluster: Cluster, elsewhere: Cluster, run_id: str) -> None:
    """With a volume made by hand: the objects are real, but no driver is there, so that nobody mounts it."""
    first = f"pvst-csi-{run_id}"
    source = {"driver": "nobody.csi.example", "volumeHandle": f"nfs#{run_id}", "volumeAttributes": {"share": "/models"}}
    size = {"storage": "1Gi"}
    volume = {
        "capacity": size,
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": cluster.namespace, "name": "a"},
        "csi": source,
    }
    claim = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": first,
        "resources": {"requests": size},
    }
    cluster.create({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": first}, "spec": volume})
    try:
        make(cluster, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}, "spec": claim})
        until("the claim is bound", lambda: _phase(cluster, "a") == "Bound")
        run(cluster, "share", "a", "--to", elsewhere.namespace)
        [derived] = volumes_of(elsewhere)
        made = derived["spec"]
        assert made["csi"] == {**source, "readOnly": True}
        assert (made["accessModes"], made["persistentVolumeReclaimPolicy"]) == (["ReadOnlyMany"], "Retain")
        assert _phase(elsewhere, "a") == "Bound"
        assert run(cluster, "release", "a", code=3).error["reason"] == "ClaimShared"
        assert pvserve("unshare", f"{elsewhere.namespace}/a", "-y").code == 0
        assert volumes_of(elsewhere) == []
    finally:
        cluster.delete("v1", "PersistentVolumeClaim", "a", cluster.namespace)
        cluster.delete(*VOLUME, first)


def _phase(where: Cluster, claim: str) -> str:
    return str(where.get("v1", "PersistentVolumeClaim", claim, where.namespace)["status"].get("phase"))
