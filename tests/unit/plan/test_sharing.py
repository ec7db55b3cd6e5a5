"""What `share` derives from a volume, what it refuses, and what keeps the volume while it is shared."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import NamespaceFacts, Object, Right, Unknown, Users, VolumeFacts
from pvserve.plan.lifecycle import (
    adopt_plan,
    release_plan,
    retain_plan,
    share_plan,
    undo_retain_plan,
    unshare_plan,
)
from pvserve.plan.lifecycle.derived import share_name
from pvserve.plan.saved import plan_to_json, plans_from_json
from pvserve.plan.steps import ApplyObject, PatchObject, Plan
from pvserve.plan.volume_steps import DeleteObject

from .volume_facts import FORBIDDEN, a_claim, a_pod, a_volume, facts, refusal, released

CSI = {"driver": "nfs.csi.example", "volumeHandle": "h#1", "fsType": "ext4", "volumeAttributes": {"share": "/a"},
       "nodeStageSecretRef": {"name": "s", "namespace": "csi"}, "controllerExpandSecretRef": {"name": "x"}}  # fmt: skip
AFFINITY = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "host", "operator": "Exists"}]}]}}
NAME = share_name("pv", "two", "a")


def a_shared(kind: str, source: dict[str, Any], *modes: str, **more: Any) -> dict[str, Any]:
    volume = a_volume()
    volume["spec"] |= {kind: source, "accessModes": list(modes or ("ReadWriteMany",)), **more}
    return volume


def there(**changed: Any) -> VolumeFacts:
    return replace(VolumeFacts(NamespaceFacts("two", {"metadata": {"name": "two"}})), **changed)


def shared(first: Object, **changed: Any) -> Plan:
    return share_plan("a", facts(volume=first), "a", there(**changed))


def made(plan: Plan, kind: str) -> Any:
    return next(step.object for step in plan.steps if isinstance(step, ApplyObject) and step.object["kind"] == kind)


def test_the_derived_volume_has_the_same_handle_and_cannot_be_written_given_away_or_deleted_with_its_claim() -> None:
    plan = shared(a_shared("csi", CSI, mountOptions=["vers=4"], nodeAffinity=AFFINITY))
    assert [type(step).__name__ for step in plan.steps] == ["PatchObject", "ApplyObject", "ApplyObject", "WaitBound"]
    volume = made(plan, "PersistentVolume")
    kept = {key: value for key, value in CSI.items() if key != "controllerExpandSecretRef"}
    assert volume["spec"] == {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadOnlyMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "volumeMode": "Filesystem",
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "two", "name": "a"},
        "nodeAffinity": AFFINITY,
        "mountOptions": ["vers=4"],
        "csi": {**kept, "readOnly": True},
    }
    claim = made(plan, "PersistentVolumeClaim")
    assert claim["metadata"]["namespace"] == "two"
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"] == NAME
    assert claim["spec"]["storageClassName"] == ""
    assert claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert claim["metadata"]["annotations"]["pvserve.io/share-of"] == "llm/a"
    assert "granite" in claim["metadata"]["annotations"]["pvserve.io/models"]
    assert plans_from_json(plan_to_json(plan), "plan.json") == (plan,)


def test_the_first_volume_is_retained_and_counts_the_share_before_there_is_one() -> None:
    first = next(step for step in shared(a_shared("csi", CSI)).steps)
    assert isinstance(first, PatchObject)
    assert first.patch["spec"] == {"persistentVolumeReclaimPolicy": "Retain"}
    assert json.loads(first.patch["metadata"]["annotations"]["pvserve.io/shares"]) == ["two/a"]
    assert first.version == "9", "of the volume as it was read: two shares at once cannot lose one another"


def test_a_share_is_added_to_those_that_are_there() -> None:
    volume = a_shared("csi", CSI)
    volume["metadata"]["annotations"] = {"pvserve.io/shares": '["three/x"]'}
    first = shared(volume).steps[0]
    assert isinstance(first, PatchObject)
    assert json.loads(first.patch["metadata"]["annotations"]["pvserve.io/shares"]) == ["three/x", "two/a"]


@pytest.mark.parametrize(
    ("kind", "source", "derived"),
    [
        ("nfs", {"server": "s", "path": "/p"}, {"nfs": {"server": "s", "path": "/p", "readOnly": True}}),
        ("local", {"path": "/d"}, {"local": {"path": "/d"}, "mountOptions": ["ro"]}),
        ("hostPath", {"path": "/d", "type": ""}, {"hostPath": {"path": "/d", "type": ""}}),
    ],
)
def test_each_type_is_read_only_as_far_as_it_can(kind: str, source: dict[str, Any], derived: dict[str, Any]) -> None:
    plan = shared(a_shared(kind, source, "ReadWriteOnce"))
    spec = made(plan, "PersistentVolume")["spec"]
    assert {key: spec[key] for key in derived} == derived
    assert ("mountOptions" in spec) is (kind == "local")
    assert any("cannot be made read-only" in note for note in plan.notes) is (kind == "hostPath")


@pytest.mark.parametrize(
    "volume",
    [
        a_shared("csi", CSI, "ReadWriteOnce"),
        a_shared("local", {"path": "/d"}, "ReadWriteOncePod"),
        a_shared("csi", CSI, "ReadWriteMany", volumeMode="Block"),
        a_shared("rbd", {"image": "x"}),
    ],
    ids=["block of one node", "one pod", "raw device", "unknown type"],
)
def test_a_volume_that_cannot_be_at_two_places_is_not_shared(volume: Object) -> None:
    assert refusal(shared(volume)) == "NotShareable"


def test_a_claim_of_the_class_that_is_there_already_is_not_mistaken_for_a_share() -> None:
    other = a_claim(volumeName="fresh")
    plan = shared(a_shared("csi", CSI), claim=other)
    assert refusal(plan) == "ClaimExists"
    assert "new, empty volume" in plan.refusals[0].message


def test_a_share_again_changes_nothing_and_goes_on_after_a_kill() -> None:
    first = a_shared("csi", CSI)
    first["metadata"]["annotations"] = {
        "pvserve.io/shares": '["two/a"]',
        "pvserve.io/models": a_claim()["metadata"]["annotations"]["pvserve.io/models"],
    }
    first["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
    derived = {
        "metadata": {"name": NAME, "uid": "d", "resourceVersion": "1"},
        "spec": {},
        "status": {"phase": "Available"},
    }
    claim = {**a_claim(volumeName=NAME), "status": {"phase": "Bound"}}
    again = shared(first, claim=claim, volume={**derived, "status": {"phase": "Bound"}})
    assert not again.steps
    assert not again.changes_pending
    halfway = shared(first, volume=derived)
    assert [type(step).__name__ for step in halfway.steps] == ["ApplyObject", "WaitBound"]


def test_a_share_whose_claim_was_deleted_by_hand_gets_a_new_one() -> None:
    derived = {
        "metadata": {"name": NAME, "uid": "d", "resourceVersion": "1"},
        "spec": {"claimRef": {"namespace": "two", "name": "a", "uid": "gone"}},
        "status": {"phase": "Released"},
    }
    steps = shared(a_shared("csi", CSI), volume=derived).steps
    patch = next(step for step in steps if isinstance(step, PatchObject) and step.id == "again")
    assert patch.patch == {"spec": {"claimRef": {"uid": None}}}


def test_a_share_of_a_share_and_into_its_own_namespace_are_refused() -> None:
    share = a_shared("csi", CSI)
    share["metadata"]["annotations"] = {"pvserve.io/share-of": "first"}
    assert refusal(shared(share)) == "ClaimIsShare"
    own = share_plan("a", facts(volume=a_shared("csi", CSI)), "b", facts(claim=None, volume=None))
    assert (refusal(own), own.refusals[0].exit_code) == ("SharedWithItself", 2)


def test_without_rights_on_volumes_the_administrators_manifest_is_complete() -> None:
    rights = {Right("create", "", "persistentvolumes"): False}
    plan = share_plan("a", facts(volume=a_shared("csi", CSI), rights=rights), "a", there())
    assert (refusal(plan), plan.refusals[0].exit_code) == ("MissingRights", 4)
    text = plan.refusals[0].remedy[0]
    assert "kubectl patch pv pv" in text
    manifest = json.loads(text.partition("<<'EOF'\n")[2].partition("\nEOF")[0])
    assert manifest["spec"]["csi"]["volumeHandle"] == "h#1"
    assert refusal(share_plan("a", facts(volume=FORBIDDEN), "a", there())) == "MissingRights"


def test_what_is_shared_is_neither_released_nor_given_its_policy_back() -> None:
    volume = a_volume("Retain", **{"pvserve.io/shares": '["two/a"]', "pvserve.io/reclaim-policy-before": "Delete"})
    assert refusal(release_plan("a", facts(volume=volume))) == "ClaimShared"
    assert refusal(undo_retain_plan("a", facts(volume=volume))) == "ClaimShared"
    assert not retain_plan("a", facts(volume=volume)).refusals


def test_an_unreadable_count_is_never_none() -> None:
    for text in ("{", '{"a": 1}'):
        assert refusal(release_plan("a", facts(volume=a_volume(**{"pvserve.io/shares": text})))) == "ClaimShared"


def test_a_share_itself_is_unshared_not_released_nor_adopted() -> None:
    share = a_claim()
    share["metadata"]["annotations"]["pvserve.io/share-of"] = "one/b"
    assert refusal(release_plan("a", facts(claim=share))) == "ClaimIsShare"
    assert refusal(adopt_plan("pv", "c", released(**{"pvserve.io/share-of": "first"}))) == "VolumeIsShare"


def a_share(**changed: Any) -> VolumeFacts:
    derived = a_volume("Retain", **{"pvserve.io/share-of": "first"})
    return facts(volume=derived, **changed)


def first_volume(*shares: str) -> dict[str, Any]:
    volume = a_volume("Retain", **{"pvserve.io/shares": json.dumps(shares)})
    volume["metadata"]["name"] = "first"
    return volume


def test_unshare_deletes_claim_and_volume_and_then_counts_it_no_longer() -> None:
    plan = unshare_plan("a", a_share(), first_volume("llm/a", "two/x"))
    assert [step.target.kind for step in plan.steps if isinstance(step, DeleteObject)] == [
        "PersistentVolumeClaim",
        "PersistentVolume",
    ]
    last = plan.steps[-1]
    assert isinstance(last, PatchObject)
    assert json.loads(last.patch["metadata"]["annotations"]["pvserve.io/shares"]) == ["two/x"]
    assert last.target.name == "first"


def test_unshare_goes_on_where_it_was_stopped() -> None:
    without_claim = unshare_plan("a", a_share(claim=None), first_volume("llm/a"))
    assert [type(step).__name__ for step in without_claim.steps] == ["DeleteObject", "PatchObject"]
    only_counted = unshare_plan("a", facts(claim=None, volume=None), first_volume("llm/a"))
    [step] = only_counted.steps
    assert isinstance(step, PatchObject)
    assert step.patch == {"metadata": {"annotations": {"pvserve.io/shares": None}}}
    assert not unshare_plan("a", facts(claim=None, volume=None), None).changes_pending


def test_unshare_leaves_what_is_used_or_no_share_alone() -> None:
    assert (
        refusal(unshare_plan("a", a_share(users=Users((a_pod("Running"),), ())), first_volume("llm/a"))) == "ClaimInUse"
    )
    assert refusal(unshare_plan("a", facts(), None)) == "NotAShare"
    assert refusal(unshare_plan("a", a_share(), Unknown("forbidden", "forbidden"))) == "Unreadable"
