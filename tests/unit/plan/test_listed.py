"""Several models of one service (`storageUris`): the first moves to its claim and its place, the others stay."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from pvserve.plan import rollback_plan
from pvserve.plan.copies import content
from pvserve.plan.diff import merged
from pvserve.plan.edit_service import new_service, storage_of, storage_patch
from pvserve.plan.in_place import BEFORE, _state, record_name
from pvserve.plan.steps import PatchObject

BASE = {"uri": "s3://models/base", "mountPath": "/mnt/base"}
LORA = {"uri": "pvc://adapters", "mountPath": "/mnt/lora"}
URI = "pvc://cache/granite/v1"


def service(*entries: dict[str, str], **predictor: Any) -> dict[str, Any]:
    given = predictor or {"model": {"modelFormat": {"name": "gguf"}, "runtime": "llama"}}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "granite", "namespace": "llm"},
        "spec": {"predictor": {"storageUris": [dict(entry) for entry in entries], **given}},
    }


def mount(**over: Any) -> dict[str, Any]:
    return {"name": "pvserve-model", "mountPath": "/mnt/base", "subPath": "granite/v1", "readOnly": True, **over}


def test_the_first_is_mounted_at_its_place_and_the_others_stay() -> None:
    made = new_service(service(BASE, LORA), "new", "llm", "new", URI)["spec"]["predictor"]
    assert made["storageUris"] == [LORA]
    assert made["volumes"] == [{"name": "pvserve-model", "persistentVolumeClaim": {"claimName": "cache"}}]
    assert made["model"] == {"modelFormat": {"name": "gguf"}, "runtime": "new", "volumeMounts": [mount()]}


def test_one_entry_at_another_place_than_kserves_keeps_it() -> None:
    made = new_service(service(BASE), "new", "llm", "", URI)["spec"]["predictor"]
    assert "storageUris" not in made
    assert made["model"]["volumeMounts"] == [mount()]
    assert "storageUri" not in made["model"]


@pytest.mark.parametrize("place", [{"mountPath": "/mnt/models"}, {"mountPath": "/mnt/models/"}, {}])
def test_one_entry_where_kserve_puts_models_becomes_storage_uri(place: dict[str, str]) -> None:
    made = new_service(service({"uri": "s3://models/base", **place}), "new", "llm", "", URI)["spec"]["predictor"]
    assert made == {"model": {"modelFormat": {"name": "gguf"}, "runtime": "llama", "storageUri": URI}}


def test_a_custom_predictor_mounts_it_in_the_container_that_serves() -> None:
    containers = [{"name": "proxy"}, {"name": "kserve-container", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]
    made = new_service(service(BASE, LORA, containers=containers), "new", "llm", "", URI)["spec"]["predictor"]
    assert made["containers"][0] == {"name": "proxy"}
    assert made["containers"][1]["volumeMounts"] == [{"name": "x", "mountPath": "/x"}, mount()]
    assert "model" not in made


def test_credentials_of_a_list_stay_as_long_as_something_is_downloaded() -> None:
    storage = {"key": "s3", "parameters": {"bucket": "models"}}
    more = {"uri": "s3://models/more", "mountPath": "/mnt/more"}
    for entries, kept in (((BASE, more), True), ((BASE, LORA), False)):
        origin = service(*entries, model={"modelFormat": {"name": "gguf"}, "storage": storage})
        made = new_service(origin, "new", "llm", "", URI)
        patched = merged(origin, storage_patch(origin, URI))
        for found in (made, patched):
            assert ("storage" in found["spec"]["predictor"]["model"]) is kept
            assert (storage_of(found).uri, storage_of(found).key) == (URI, "")


def test_a_second_edit_changes_nothing_and_another_place_moves_it() -> None:
    once = new_service(service(BASE, LORA), "new", "llm", "", URI)
    assert merged(once, storage_patch(once, URI)) == once
    switched = merged(once, storage_patch(once, "pvc://cache/granite/v2"))["spec"]["predictor"]
    assert switched["model"]["volumeMounts"] == [mount(subPath="granite/v2")]
    assert switched["storageUris"] == [LORA]
    assert len(switched["volumes"]) == 1


def test_entries_on_the_same_claim_are_mounted_with_it_since_two_volumes_of_one_claim_never_start() -> None:
    adapter = {"uri": "pvc://cache/lora", "mountPath": "/mnt/adapter"}
    once = new_service(service(BASE, adapter, LORA), "new", "llm", "", URI)
    predictor = once["spec"]["predictor"]
    assert predictor["storageUris"] == [LORA]
    assert len(predictor["volumes"]) == 1
    assert predictor["model"]["volumeMounts"] == [mount(), mount(mountPath="/mnt/adapter", subPath="lora")]
    assert storage_of(once).uri == URI
    assert merged(once, storage_patch(once, URI)) == once
    other = merged(once, storage_patch(once, "pvc://other/granite"))["spec"]["predictor"]
    assert other["model"]["volumeMounts"] == [mount(subPath="granite")]
    assert other["storageUris"] == [LORA, adapter]
    assert [item["persistentVolumeClaim"]["claimName"] for item in other["volumes"]] == ["other"]


def test_a_model_that_may_be_written_to_is_mounted_so() -> None:
    origin = service(BASE, LORA)
    origin["metadata"]["annotations"] = {"storage.kserve.io/readonly": "false"}
    [found] = new_service(origin, "new", "llm", "", URI)["spec"]["predictor"]["model"]["volumeMounts"]
    assert "readOnly" not in found


@pytest.mark.parametrize("more", [{}, {"containers": [{"name": "kserve-container", "image": "x"}]}])
def test_rollback_brings_the_list_back(more: dict[str, Any]) -> None:
    origin = service(BASE, LORA, **more)
    origin["metadata"]["uid"] = "1"
    after = deepcopy(merged(origin, storage_patch(origin, URI)))
    after["metadata"]["annotations"] = {BEFORE: record_name("granite")}
    record = {"data": {"before.json": json.dumps(_state(origin))}}
    [step] = [item for item in rollback_plan("granite", "llm", after, record).steps if isinstance(item, PatchObject)]
    assert merged(content(after), step.patch)["spec"] == origin["spec"]
