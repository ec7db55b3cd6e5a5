"""Volumes of the bed behave as a cluster's: true size, fsGroup, Delete, Retain, expansion, binding modes."""

from __future__ import annotations

import os
import subprocess

import pytest

from bed.services import BLOCK
from bed.settings import settings
from bed.volumes import Volumes

from .kubectl import Kubectl, claim, pod, until

pytestmark = pytest.mark.bed


def running(kubectl: Kubectl, name: str) -> bool:
    return kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}", check=False) == "Running"


def phase(kubectl: Kubectl, kind: str, name: str) -> str:
    return kubectl("get", kind, name, "-o", "jsonpath={.status.phase}", check=False)


def test_a_block_claim_waits_for_its_first_consumer_and_is_full_at_its_size(kubectl: Kubectl) -> None:
    kubectl.apply(claim("model", "64Mi"))
    until(
        "the wait is told",
        lambda: "waiting for first consumer" in kubectl("get", "events"),
    )
    assert phase(kubectl, "pvc", "model") == "Pending"
    kubectl.apply(pod("writer", {"model": "model"}))
    until("the pod runs", lambda: running(kubectl, "writer"))
    out = kubectl("exec", "writer", "--", "dd", "if=/dev/zero", "of=/model/f", "bs=1M", "count=100", check=False)
    assert "No space left on device" in out
    size = int(kubectl("exec", "writer", "--", "stat", "-c", "%s", "/model/f"))
    assert 40 << 20 < size < 64 << 20


def test_fs_group_owns_the_volume(kubectl: Kubectl) -> None:
    kubectl.apply(claim("model", "64Mi"), pod("writer", {"model": "model"}, uid=1000990000))
    until("the pod runs", lambda: running(kubectl, "writer"))
    assert kubectl("exec", "writer", "--", "stat", "-c", "%g %a", "/model").split() == ["1000990000", "2775"]
    kubectl("exec", "writer", "--", "sh", "-c", "echo x > /model/x")


def test_a_shared_claim_is_bound_at_once_and_mounted_twice(kubectl: Kubectl) -> None:
    kubectl.apply(claim("shared", "320Mi", "nfs-rwx", "ReadWriteMany"))
    until("it is bound", lambda: phase(kubectl, "pvc", "shared") == "Bound")
    kubectl.apply(pod("one", {"shared": "shared"}), pod("two", {"shared": "shared"}))
    until("both run", lambda: running(kubectl, "one") and running(kubectl, "two"))
    kubectl("exec", "one", "--", "sh", "-c", "echo hello > /shared/x")
    assert kubectl("exec", "two", "--", "cat", "/shared/x") == "hello\n"


def test_a_block_class_refuses_read_write_many(kubectl: Kubectl) -> None:
    kubectl.apply(claim("wrong", "64Mi", "gp3-csi", "ReadWriteMany"), pod("writer", {"wrong": "wrong"}))
    until("it is told", lambda: "access mode ReadWriteMany is not supported" in kubectl("get", "events"))


def test_a_read_only_class_makes_nothing_empty(kubectl: Kubectl) -> None:
    kubectl.apply(claim("empty", "64Mi", "pd-rox", "ReadOnlyMany"))
    until("it is told", lambda: "must be made of a data source" in kubectl("get", "events"))
    assert phase(kubectl, "pvc", "empty") == "Pending"


@pytest.mark.parametrize("policy", ["Delete", "Retain"])
def test_reclaim_policy_is_honoured(kubectl: Kubectl, policy: str) -> None:
    kubectl.apply(claim("model", "64Mi", "nfs-rwx"))
    until("it is bound", lambda: phase(kubectl, "pvc", "model") == "Bound")
    volume = kubectl.get("pvc", "model")["spec"]["volumeName"]
    patch = f'{{"spec":{{"persistentVolumeReclaimPolicy":"{policy}"}}}}'
    kubectl("patch", "pv", volume, "-p", patch)
    kubectl("delete", "pvc", "model")
    if policy == "Delete":
        until("the volume is gone", lambda: "NotFound" in kubectl("get", "pv", volume, check=False))
    else:
        until("it is Released", lambda: phase(kubectl, "pv", volume) == "Released")
        kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}')
        until("and gone after Delete is set", lambda: "NotFound" in kubectl("get", "pv", volume, check=False))


@pytest.mark.parametrize(("storage_class", "size", "larger"), [("gp3-csi", "64Mi", 128), ("nfs-rwx", "320Mi", 400)])
def test_a_volume_grows_while_it_is_in_use(kubectl: Kubectl, storage_class: str, size: str, larger: int) -> None:
    kubectl.apply(claim("model", size, storage_class), pod("writer", {"model": "model"}))
    until("the pod runs", lambda: running(kubectl, "writer"))
    patch = f'{{"spec":{{"resources":{{"requests":{{"storage":"{larger}Mi"}}}}}}}}'
    kubectl("patch", "pvc", "model", "-p", patch)
    until("the claim says so", lambda: kubectl.get("pvc", "model")["status"]["capacity"]["storage"] == f"{larger}Mi")
    blocks = kubectl("exec", "writer", "--", "df", "-k", "/model").splitlines()[-1].split()[1]
    assert int(blocks) > larger * 1024 * 0.8


def test_a_retained_volume_keeps_its_data_for_another_claim(kubectl: Kubectl) -> None:
    kubectl.apply(claim("model", "64Mi"), pod("writer", {"model": "model"}))
    until("the pod runs", lambda: running(kubectl, "writer"))
    kubectl("exec", "writer", "--", "sh", "-c", "echo kept > /model/x")
    volume = kubectl.get("pvc", "model")["spec"]["volumeName"]
    kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    kubectl("delete", "pod", "writer", "--force")
    kubectl("delete", "pvc", "model")
    until("it is Released", lambda: phase(kubectl, "pv", volume) == "Released")
    kubectl("patch", "pv", volume, "-p", '{"spec":{"claimRef":null}}')
    # Not before: a volume that still says Released is deleted as soon as its policy is Delete.
    until("it is Available", lambda: phase(kubectl, "pv", volume) == "Available")
    kubectl("patch", "pv", volume, "-p", '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}')
    again = claim("again", "64Mi")
    again["spec"]["volumeName"] = volume
    kubectl.apply(again, pod("reader", {"again": "again"}))
    until("the other pod runs", lambda: running(kubectl, "reader"))
    assert kubectl("exec", "reader", "--", "cat", "/again/x") == "kept\n"


def test_a_deleted_volumes_bytes_are_gone_from_the_disk(kubectl: Kubectl) -> None:
    kubectl.apply(claim("model", "64Mi", "nfs-rwx"))
    until("it is bound", lambda: phase(kubectl, "pvc", "model") == "Bound")
    volumes = Volumes(settings().volumes)
    name = kubectl.get("pvc", "model")["spec"]["volumeName"]
    assert volumes.mount_point(name).is_mount()
    kubectl("delete", "pvc", "model")
    until("its file is gone", lambda: not volumes.image(name).exists() and not volumes.mount_point(name).exists())
    assert name not in subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout


def test_a_class_may_ask_for_ext4_with_its_lost_and_found(kubectl: Kubectl) -> None:
    name = f"{kubectl.namespace}-ext4"
    ext4 = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    ext4 |= {"provisioner": BLOCK, "parameters": {"csi.storage.k8s.io/fstype": "ext4"}}
    try:
        kubectl.apply(ext4, claim("model", "64Mi", name), pod("writer", {"model": "model"}))
        until("the pod runs", lambda: running(kubectl, "writer"))
        assert "lost+found" in kubectl("exec", "writer", "--", "ls", "/model")
    finally:
        kubectl("delete", "storageclass", name)


def test_clones_within_a_volume_take_no_room(kubectl: Kubectl) -> None:
    kubectl.apply(claim("shared", "64Mi", "nfs-rwx"))
    until("it is bound", lambda: phase(kubectl, "pvc", "shared") == "Bound")
    point = Volumes(settings().volumes).mount_point(kubectl.get("pvc", "shared")["spec"]["volumeName"])
    (point / "model").write_bytes(os.urandom(30 << 20))
    subprocess.run(["cp", "--reflink=always", point / "model", point / "clone"], check=True)  # two would not fit
