"""A claim that is held, or whose volume lies, where the service cannot run: found before anything is changed.

One node is enough for it: the service asks for a zone that no node is in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import name

from .offers import class_by_mode, image, storage_classes, until
from .ui_service import gguf, leaving_nothing, make, pvserve, runtime, service

pytestmark = pytest.mark.cluster
ZONE = "topology.kubernetes.io/zone"
NOWHERE = "zone-of-no-node"
KINDS = (
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("coordination.k8s.io/v1", "Lease"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf(tmp_path_factory.mktemp("models") / "granite", padding=1000)


def origin(cluster: Cluster) -> None:
    """A stopped service of the dashboard that asks for a zone."""
    made = service({"storage": {"key": "x", "path": "x"}}, **{"serving.kserve.io/stop": "true"})
    made["spec"]["predictor"]["nodeSelector"] = {ZONE: NOWHERE}
    make(cluster, runtime(), made)


def objects(cluster: Cluster) -> set[tuple[str, str]]:
    return {(kind, name(item)) for api, kind in KINDS for item in cluster.list(api, kind, cluster.namespace)}


def refused(cluster: Cluster, model: Path, *more: str) -> dict[str, Any]:
    """How the deployment is refused; nothing is made."""
    before = objects(cluster)
    what = ("--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--retain", "no", *more)
    ran = pvserve("deploy", model, *what, "-n", cluster.namespace, "-y")
    assert ran.code == 3, ran.explained()
    assert objects(cluster) == before
    return ran.error


def used(cluster: Cluster) -> str:
    """A claim that pod `notebook` has, and its node."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": class_by_mode(cluster, "WaitForFirstConsumer"),
        "resources": {"requests": {"storage": "64Mi"}},
    }
    container = {"name": "sh", "image": image("busybox"), "command": ["sleep", "600"]}
    container |= {"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}
    pod = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}],
    }
    make(
        cluster,
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "cache"}, "spec": spec},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "notebook"}, "spec": pod},
    )

    def running() -> str:
        found = cluster.get("v1", "Pod", "notebook", cluster.namespace)
        return str(found["spec"].get("nodeName", "")) if found["status"].get("phase") == "Running" else ""

    return until("the pod runs", running)


def test_a_claim_that_a_pod_holds_where_the_service_cannot_run(cluster: Cluster, model: Path) -> None:
    with leaving_nothing(cluster):
        origin(cluster)
        node = used(cluster)
        error = refused(cluster, model)
        assert error["reason"] == "ClaimHeld"
        assert f"is held by pod notebook on node {node}" in error["message"]
        assert f"{ZONE}={NOWHERE}" in error["message"]


def test_a_volume_that_lies_where_the_service_cannot_run(cluster: Cluster, model: Path) -> None:
    with leaving_nothing(cluster):
        origin(cluster)
        used(cluster)
        cluster.delete("v1", "Pod", "notebook", grace_seconds=0)
        until("the pod is gone", lambda: not cluster.list("v1", "Pod", cluster.namespace))
        claim = cluster.get("v1", "PersistentVolumeClaim", "cache", cluster.namespace)
        volume = cluster.get("v1", "PersistentVolume", claim["spec"]["volumeName"])
        if not volume["spec"].get("nodeAffinity"):
            pytest.skip("volumes of this cluster can be mounted from every node")
        assert refused(cluster, model)["reason"] == "VolumeElsewhere"


def test_a_class_whose_volumes_are_made_where_the_service_cannot_run(cluster: Cluster, model: Path) -> None:
    origin(cluster)
    plain = storage_classes(cluster)[0]
    topology = {"matchLabelExpressions": [{"key": ZONE, "values": ["zone-of-the-class"]}]}
    zonal = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": f"{cluster.namespace}-zonal"},
        "provisioner": plain["provisioner"],
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": [topology],
    }
    cluster.create(zonal)
    try:
        error = refused(cluster, model, "--storage-class", name(zonal))
        assert error["reason"] == "VolumeElsewhere"
        assert f"{ZONE}=zone-of-the-class" in error["message"]
    finally:
        cluster.delete("storage.k8s.io/v1", "StorageClass", name(zonal))
