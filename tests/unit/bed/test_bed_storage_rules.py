"""What the provisioner answers to a claim, and when it deletes a volume."""

from __future__ import annotations

from typing import Any

import pytest

from bed.errors import BedError
from bed.provisioner import clone_source, to_delete, unsupported, volume_for
from bed.reaching import SELECTED_NODE, terms_for
from bed.services import BLOCK, READERS, SHARED
from bed.volumes import mkfs

CLAIM: dict[str, Any] = {
    "metadata": {"name": "model", "namespace": "llm", "uid": "u-1"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}},
}


def claim(**spec: Any) -> dict[str, Any]:
    return CLAIM | {"spec": CLAIM["spec"] | spec}


def storage_class(provisioner: str = BLOCK, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "gp3-csi"}, "provisioner": provisioner, **more}


@pytest.mark.parametrize(
    ("provisioner", "modes", "reason"),
    [
        (BLOCK, ["ReadWriteOnce"], ""),
        (BLOCK, ["ReadWriteOncePod"], ""),
        (BLOCK, ["ReadWriteMany"], "access mode ReadWriteMany is not supported"),
        (BLOCK, ["ReadWriteOnce", "ReadOnlyMany"], "access mode ReadOnlyMany is not supported"),
        (SHARED, ["ReadWriteMany", "ReadOnlyMany"], ""),
        (SHARED, ["ReadWriteOncePod"], "access mode ReadWriteOncePod is not supported"),
    ],
)
def test_access_modes_of_the_classes(provisioner: str, modes: list[str], reason: str) -> None:
    assert unsupported(claim(accessModes=modes), storage_class(provisioner)) == reason


def test_what_the_bed_cannot_make_is_said() -> None:
    assert unsupported(claim(volumeMode="Block"), storage_class()) == "volume mode Block is not supported"
    source = {"kind": "Populator", "name": "s"}
    reason = "data sources of kind Populator are not supported"
    assert unsupported(claim(dataSource=source), storage_class()) == reason


def test_a_claim_is_cloned_within_its_class_and_never_smaller() -> None:
    wanted = {"kind": "PersistentVolumeClaim", "name": "first"}
    volumes: dict[str, Any] = {"pvc-1": {"metadata": {"name": "pvc-1"}, "spec": {"capacity": {"storage": "20Gi"}}}}
    source: dict[str, Any] = {
        "spec": {"volumeName": "pvc-1", "storageClassName": "gp3-csi"},
        "status": {"phase": "Bound"},
    }
    clone = claim(dataSource=wanted, storageClassName="gp3-csi")
    assert unsupported(clone, storage_class()) == ""
    assert clone_source(clone, source, volumes) == ("pvc-1", "")
    assert clone_source(claim(), None, volumes) == ("", "")
    assert "does not exist" in clone_source(clone, None, volumes)[1]
    assert "not bound" in clone_source(clone, {**source, "status": {"phase": "Pending"}}, volumes)[1]
    assert "the class" in clone_source(claim(dataSource=wanted, storageClassName="nfs-rwx"), source, volumes)[1]
    small = claim(dataSource=wanted, storageClassName="gp3-csi", resources={"requests": {"storage": "1Gi"}})
    assert "smaller" in clone_source(small, source, volumes)[1]


def test_a_class_of_many_readers_has_only_volumes_that_are_made_of_something_and_read() -> None:
    rox, source = storage_class(BLOCK, parameters={READERS: "many"}), {"kind": "VolumeSnapshot", "name": "s"}
    read_only = ["ReadOnlyMany"]
    assert unsupported(claim(accessModes=read_only, dataSource=source), rox) == ""
    assert unsupported(claim(accessModes=read_only), rox) == "a volume that is only read must be made of a data source"
    wrong = claim(accessModes=["ReadWriteOnce"], dataSource=source)
    assert unsupported(wrong, rox) == "access mode ReadWriteOnce is not supported"


def test_only_a_clone_of_a_block_volume_can_be_read_by_many() -> None:
    source = {"kind": "PersistentVolumeClaim", "name": "first"}
    assert unsupported(claim(accessModes=["ReadOnlyMany"], dataSource=source), storage_class()) == ""
    assert unsupported(claim(accessModes=["ReadOnlyMany"]), storage_class()) != ""


def test_a_volume_is_bound_to_its_claim_and_keeps_the_classs_policy() -> None:
    spec = volume_for("pvc-u-1", CLAIM, storage_class(reclaimPolicy="Retain"), "/volumes/pvc-u-1", [])["spec"]
    assert spec["claimRef"] | {"uid": "u-1", "name": "model", "namespace": "llm"} == spec["claimRef"]
    assert spec["capacity"] == {"storage": "20Gi"}
    assert spec["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume_for("pvc-u-1", CLAIM, storage_class(), "/v", [])["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


def where(term: dict[str, Any]) -> tuple[str, list[str]]:
    [expression] = term["matchExpressions"]
    return expression["key"], expression["values"]


def test_a_block_volume_is_of_the_selected_node_and_a_shared_one_of_all() -> None:
    nodes = [
        {"metadata": {"name": f"node{number}", "labels": {"topology.kubernetes.io/zone": f"zone-{number}"}}}
        for number in (2, 1)
    ]
    selected = {**CLAIM, "metadata": CLAIM["metadata"] | {"annotations": {SELECTED_NODE: "node2"}}}
    [term] = terms_for(selected, storage_class(), nodes)
    assert where(term) == ("kubernetes.io/hostname", ["node2"])
    [term] = terms_for(CLAIM, storage_class(), nodes)
    assert where(term)[1] == ["node1"]
    zone = {"key": "topology.kubernetes.io/zone", "values": ["zone-2"]}
    allowed = [{"matchLabelExpressions": [zone]}]
    [term] = terms_for(CLAIM, storage_class(allowedTopologies=allowed), nodes)
    assert where(term)[1] == ["node2"]
    [term] = terms_for(selected, storage_class(SHARED), nodes)
    assert where(term) == ("kubernetes.io/os", ["linux"])
    for of_many in (storage_class(SHARED), storage_class(BLOCK, parameters={READERS: "many"})):
        [term] = terms_for(selected, {**of_many, "allowedTopologies": allowed}, nodes)
        assert where(term) == (zone["key"], zone["values"])


@pytest.mark.parametrize(
    ("by", "phase", "policy", "deletes"),
    [
        (BLOCK, "Released", "Delete", True),
        (SHARED, "Released", "Delete", True),
        (BLOCK, "Released", "Retain", False),
        (BLOCK, "Bound", "Delete", False),
        ("ebs.csi.aws.com", "Released", "Delete", False),
    ],
)
def test_only_released_volumes_of_the_bed_are_deleted(by: str, phase: str, policy: str, deletes: bool) -> None:
    volume: dict[str, Any] = {
        "metadata": {"name": "pvc-1", "annotations": {"pv.kubernetes.io/provisioned-by": by}},
        "spec": {"persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }
    assert to_delete(volume) is deletes
    assert not to_delete(volume | {"metadata": {"name": "by-hand"}})


def test_a_file_system_that_the_bed_does_not_have_is_named() -> None:
    assert mkfs("ext4", 1 << 30)[0] == "mkfs.ext4"
    with pytest.raises(BedError, match="no file system btrfs"):
        mkfs("btrfs", 1 << 30)
