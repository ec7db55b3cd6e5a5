"""How large a new claim is, of which class and with which access mode, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import Unknown
from pvserve.plan import build
from pvserve.plan.growth import ways_to_grow
from pvserve.plan.sizing import access_mode, claim_bytes, claim_size, default_class, fits
from pvserve.plan.steps import ApplyObject

from .cases import DIRECTORY, Case

GIB = 1 << 30


def a_class(name: str, provisioner: str = "ebs.csi.aws.com", **annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": annotations}, "provisioner": provisioner}


def a_profile(name: str, *sets: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"claimPropertySets": list(sets)}}


def test_a_claim_is_as_large_as_the_model_and_what_the_file_system_and_a_few_more_files_take() -> None:
    assert claim_bytes(100 * GIB, 0) == 116 * GIB
    assert claim_bytes(1, 1) == GIB, "several provisioners round up to this anyway"
    assert claim_bytes(100 * GIB, 1000) - claim_bytes(100 * GIB, 0) == 1000 * 8192
    assert claim_size(100 * GIB, 0) == "116Gi"
    assert fits(100 * GIB, 10, int(107 * GIB))
    assert not fits(100 * GIB, 10, 105 * GIB)


def test_of_several_default_classes_the_youngest_is_taken_as_the_cluster_does() -> None:
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    old, young = a_class("old", **mark), a_class("young", **mark)
    old["metadata"]["creationTimestamp"], young["metadata"]["creationTimestamp"] = "2025-01-01", "2026-01-01"
    assert default_class([young, old, a_class("other")]) is young
    assert default_class([a_class("other")]) is None


@pytest.mark.parametrize(
    ("provisioner", "mode"),
    [
        ("ebs.csi.aws.com", "ReadWriteOnce"),
        ("openshift-storage.rbd.csi.ceph.com", "ReadWriteOnce"),
        ("openshift-storage.cephfs.csi.ceph.com", "ReadWriteMany"),
        ("nfs.csi.k8s.io", "ReadWriteMany"),
        ("efs.csi.aws.com", "ReadWriteMany"),
        ("file.csi.azure.com", "ReadWriteMany"),
        ("nobody.knows/this", "ReadWriteOnce"),
    ],
)
def test_the_provisioner_tells_the_access_mode(provisioner: str, mode: str) -> None:
    found, why = access_mode(a_class("c", provisioner))
    assert found == mode
    assert "provisioner" in why


def test_a_storage_profile_of_cdi_knows_more_than_a_name() -> None:
    block = {"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}
    files = {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}
    ceph = a_class("ceph", "rbd.csi.ceph.com")
    assert access_mode(ceph, [a_profile("ceph", block, files)])[0] == "ReadWriteOnce", "raw devices hold no model"
    found, why = access_mode(a_class("odd"), [a_profile("odd", {"accessModes": ["ReadWriteOnce", "ReadWriteMany"]})])
    assert found == "ReadWriteMany"
    assert why == "CDI's StorageProfile of class odd lists ReadWriteOnce, ReadWriteMany"
    assert access_mode(a_class("nfs", "nfs.csi.k8s.io"), [a_profile("nfs", files)])[0] == "ReadWriteOnce"
    assert access_mode(a_class("nfs", "nfs.csi.k8s.io"), [a_profile("nfs"), a_profile("odd", files)])[0] == (
        "ReadWriteMany"
    )


def claim_step(**asked: Any) -> ApplyObject:
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    profiles = asked.pop("profiles", ())
    spec = case.spec.model_copy(update={"claim": case.spec.claim.model_copy(update=asked)})
    facts = replace(case.facts, storage_profiles=profiles)
    plan = build(spec, facts, case.listing, case.content, {"load", "serve"})
    [step] = [step for step in plan.steps if isinstance(step, ApplyObject) and step.id == "claim"]
    return step


def test_the_plan_says_why_it_is_this_size_class_and_mode() -> None:
    step = claim_step()
    assert "size: 7000000700 bytes and headroom" in step.why
    assert "class: gp3-csi is the cluster's default" in step.why
    assert "mode: the class's provisioner is not known to share volumes" in step.why
    assert step.object["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_what_was_asked_for_wins() -> None:
    step = claim_step(storage_class="nfs-rwx", size="50Gi", access_mode="ReadWriteOnce", retain="no")
    assert step.object["spec"]["storageClassName"] == "nfs-rwx"
    assert step.object["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert step.object["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert step.why == "size: as asked for; class: as asked for; mode: it was asked for"


def test_profiles_that_may_not_be_read_change_nothing() -> None:
    step = claim_step(profiles=Unknown("you may not list storageprofiles", "forbidden"))
    assert step.object["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_replicas_are_no_trap_on_a_new_claim_that_nodes_share() -> None:
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    case.facts.origin_service["spec"]["predictor"]["maxReplicas"] = 3  # type: ignore[index]
    for storage_class, told in (("gp3-csi", True), ("nfs-rwx", False)):
        claim = case.spec.claim.model_copy(update={"storage_class": storage_class, "retain": "no"})
        plan = build(case.spec.model_copy(update={"claim": claim}), case.facts, case.listing, None, {"load", "serve"})
        assert any("replicas share" in note for note in plan.notes) is told


@pytest.mark.parametrize(
    ("storage_class", "first"),
    [
        ({"allowVolumeExpansion": True}, "pvserve resize models 20Gi -n llm"),
        ({}, "the class of models does not allow expansion: name a new claim of 20Gi with --claim"),
        (None, "the class of models does not allow expansion: name a new claim of 20Gi with --claim"),
        (Unknown("no"), "pvserve resize models 20Gi -n llm   # whether its class allows that could not be read"),
    ],
)
def test_a_resize_is_offered_where_the_class_allows_it_or_may(storage_class: Any, first: str) -> None:
    assert ways_to_grow("models", "llm", "20Gi", storage_class) == (first,)
