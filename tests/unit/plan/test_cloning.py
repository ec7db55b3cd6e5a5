"""Which claims `clone` makes, and what it does not try, from facts alone."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.facts import Object, Unknown
from pvserve.plan.lifecycle import clone_plan
from pvserve.plan.lifecycle.cloning import Asked
from pvserve.plan.lifecycle.snapshotting import SnapshotFacts
from pvserve.plan.saved import plan_to_json, plans_from_json
from pvserve.plan.steps import ApplyObject, Plan
from pvserve.plan.volume_steps import WaitCloned

from .volume_facts import a_claim, facts, refusal

CEPH = "openshift-storage.rbd.csi.ceph.com"


def a_class(driver: str, **more: Any) -> Object:
    return {"metadata": {"name": "fast"}, "provisioner": driver, **more}


def clone(driver: str = CEPH, target: Object | None = None, **options: Any) -> Plan:
    asked = {key: options.pop(key) for key in ("mode", "storage_class", "snapshot", "attempt") if key in options}
    return clone_plan("a", "b", facts(storage_class=a_class(driver)), target, asked=Asked(**asked), **options)


def made(plan: Plan) -> Any:
    return next(step.object for step in plan.steps if isinstance(step, ApplyObject))


def test_a_clone_has_class_size_modes_and_models_of_its_source() -> None:
    plan = clone_plan("a", "b", facts(storage_class=a_class(CEPH), claim=a_claim(accessModes=["ReadWriteOnce"])), None)
    assert made(plan)["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
        "storageClassName": "fast",
        "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
    }
    assert "granite" in made(plan)["metadata"]["annotations"]["pvserve.io/models"]
    assert plan.afterwards == ("pvserve verify pvc://b/granite -n llm",)
    assert plans_from_json(plan_to_json(plan), "plan.json") == (plan,)


def test_another_access_mode_is_asked_for() -> None:
    assert made(clone(mode="ReadOnlyMany"))["spec"]["accessModes"] == ["ReadOnlyMany"]


@pytest.mark.parametrize(
    ("driver", "strategy", "reason"),
    [
        (CEPH, "", ""),
        ("some.driver", "csi-clone", ""),
        (CEPH, "copy", "CannotClone"),
        ("kubernetes.io/no-provisioner", "", "CannotClone"),
        ("some.driver", "snapshot", "CloneUnknown"),
        ("some.driver", "", "CloneUnknown"),
    ],
)
def test_whether_a_driver_clones_is_known_or_said_to_be_unknown(driver: str, strategy: str, reason: str) -> None:
    plan = clone(driver, profile={"status": {"cloneStrategy": strategy}})
    if not reason:
        assert plan.steps
        return
    assert refusal(plan) == reason
    assert "pvserve load pvc://a/granite pvc://b/granite -n llm" in plan.refusals[0].remedy[-1]


def test_what_nobody_knows_is_tried_only_on_the_word() -> None:
    plan = clone("some.driver", attempt=True, profile=Unknown("no such API", "no-such-api"))
    assert [step.attempt for step in plan.steps if isinstance(step, WaitCloned)] == [True]
    assert refusal(clone("kubernetes.io/no-provisioner", attempt=True)) == "CannotClone"


def test_a_class_that_waits_for_a_consumer_is_not_waited_for() -> None:
    waiting = a_class(CEPH, volumeBindingMode="WaitForFirstConsumer")
    plan = clone_plan("a", "b", facts(storage_class=waiting), None)
    assert [type(step).__name__ for step in plan.steps] == ["ApplyObject"]
    assert "verify" in plan.notes[0]


def test_again_it_goes_on_and_another_claim_is_left_alone() -> None:
    source = {"kind": "PersistentVolumeClaim", "name": "a"}
    pending = {**a_claim(dataSource=source), "status": {"phase": "Pending"}}
    assert [type(step).__name__ for step in clone(target=pending).steps] == ["WaitCloned"]
    assert not clone(target=a_claim(dataSource=source)).changes_pending
    assert refusal(clone(target=a_claim())) == "ClaimExists"


def test_nothing_is_cloned_from_a_claim_without_volume_or_class() -> None:
    pending = {**a_claim(), "status": {"phase": "Pending"}}
    assert refusal(clone_plan("a", "b", facts(claim=pending), None)) == "ClaimUnbound"
    assert refusal(clone_plan("a", "b", facts(claim=a_claim(storageClassName="")), None)) == "CannotClone"


def snapshots(driver: str = "some.driver", **more: Any) -> SnapshotFacts:
    others = [{"metadata": {"name": "a-other"}, "driver": "other"}, {"metadata": {"name": "b-plain"}, "driver": driver}]
    default = {"snapshot.storage.kubernetes.io/is-default-class": "true"}
    chosen = {"metadata": {"name": "c-default", "annotations": default}, "driver": driver}
    return SnapshotFacts((*others, chosen), **more)


def test_a_driver_that_is_not_known_to_clone_is_asked_for_a_snapshot_where_it_takes_any() -> None:
    for driver in ("some.driver", "topolvm.io"):
        plan = clone(driver, snapshots=snapshots(driver), mode="ReadOnlyMany")
        assert [type(step).__name__ for step in plan.steps] == [
            "ApplyObject",
            "WaitSnapshot",
            "ApplyObject",
            "WaitCloned",
        ]
        taken, restored = (step.object for step in plan.steps if isinstance(step, ApplyObject))
        assert taken["spec"] == {
            "volumeSnapshotClassName": "c-default",
            "source": {"persistentVolumeClaimName": "a"},
        }
        assert restored["spec"]["dataSource"] == {
            "apiGroup": "snapshot.storage.k8s.io",
            "kind": "VolumeSnapshot",
            "name": "b",
        }
        assert restored["spec"]["accessModes"] == ["ReadOnlyMany"]
        assert "kubectl delete volumesnapshot b -n llm" in plan.notes[0]
        assert plans_from_json(plan_to_json(plan), "plan.json") == (plan,)


def test_a_driver_that_clones_takes_a_snapshot_only_on_the_word() -> None:
    assert made(clone(snapshots=snapshots(CEPH)))["kind"] == "PersistentVolumeClaim"
    assert made(clone(snapshots=snapshots(CEPH), snapshot=True))["kind"] == "VolumeSnapshot"
    assert refusal(clone(snapshots=snapshots("other.driver"), snapshot=True)) == "CannotSnapshot"
    unknown = SnapshotFacts(Unknown("forbidden", "forbidden"))
    assert refusal(clone(snapshots=unknown, snapshot=True)) == "Unreadable"
    assert refusal(clone("some.driver", snapshots=unknown)) == "CloneUnknown"
    unread = facts(storage_class=Unknown("forbidden", "forbidden"))
    assert (
        refusal(clone_plan("a", "b", unread, None, snapshots=snapshots(), asked=Asked(snapshot=True))) == "Unreadable"
    )


def test_a_claim_of_another_class_is_made_of_a_snapshot_where_both_are_of_one_driver() -> None:
    rox = {**a_class(CEPH), "metadata": {"name": "rox"}, "volumeBindingMode": "Immediate"}
    waiting = {"storage_class": "rox", "mode": "ReadOnlyMany"}
    plan = clone(snapshots=snapshots(CEPH, into=rox), **waiting)
    kinds = ["ApplyObject", "WaitSnapshot", "ApplyObject", "WaitCloned"]
    assert [type(step).__name__ for step in plan.steps] == kinds
    [_, restored] = [step.object for step in plan.steps if isinstance(step, ApplyObject)]
    assert (restored["spec"]["storageClassName"], restored["spec"]["accessModes"]) == ("rox", ["ReadOnlyMany"])
    assert restored["spec"]["dataSource"]["kind"] == "VolumeSnapshot"

    late = {**rox, "volumeBindingMode": "WaitForFirstConsumer"}
    plan = clone(snapshots=snapshots(CEPH, into=late), **waiting)
    assert [type(step).__name__ for step in plan.steps] == kinds[:3]
    assert refusal(clone(snapshots=snapshots(CEPH), **waiting)) == "NoSuchClass"
    assert refusal(clone(snapshots=snapshots(CEPH, into=a_class("other")), **waiting)) == "CannotSnapshot"
    assert refusal(clone(snapshots=snapshots("other.driver", into=rox), **waiting)) == "CannotSnapshot"
    assert refusal(clone(snapshots=snapshots(CEPH, into=Unknown("forbidden", "forbidden")), **waiting)) == "Unreadable"


def test_a_snapshot_that_is_there_is_used_again_only_if_it_is_of_this_claim() -> None:
    own = {"metadata": {"name": "b", "annotations": {"pvserve.io/snapshot-of": "a"}}}
    again = clone("some.driver", snapshots=snapshots(snapshot=own))
    assert [type(step).__name__ for step in again.steps] == ["WaitSnapshot", "ApplyObject", "WaitCloned"]
    other = {"metadata": {"name": "b"}}
    assert refusal(clone("some.driver", snapshots=snapshots(snapshot=other))) == "SnapshotExists"
    source = {"kind": "VolumeSnapshot", "name": "b"}
    restored = a_claim(dataSource=source)
    restored["metadata"]["annotations"] |= {"pvserve.io/clone-of": "a"}
    assert not clone("some.driver", target=restored, snapshots=snapshots(snapshot=own)).changes_pending
