"""Whose models `rm` leaves alone, from facts alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import Neighbour, Object, Unknown, Users, VolumeFacts
from pvserve.plan.lifecycle import remove_plan
from pvserve.plan.model_cache import import_path
from pvserve.plan.saved import plan_to_json, plans_from_json
from pvserve.plan.steps import Plan
from pvserve.plan.volume_steps import RemoveModel
from pvserve.spec.place import parse_target

from .volume_facts import FORBIDDEN, a_claim, a_pod, a_service, a_volume, facts, refusal

IMAGE = "kserve/storage-initializer:v1"


def rm(path: str = "granite", found: VolumeFacts | None = None, **options: Any) -> Plan:
    return remove_plan(parse_target(f"pvc://a/{path}"), found or facts(loader_image=IMAGE), **options)


def used(*, services: tuple[Object, ...] = (), pods: tuple[Object, ...] = (), **more: Any) -> VolumeFacts:
    return facts(loader_image=IMAGE, users=Users(pods, services), **more)


def claimed(*paths: str, **spec: Any) -> Object:
    claim = a_claim(**spec)
    claim["metadata"]["annotations"] = {"pvserve.io/models": json.dumps({path: {"manifest": "x"} for path in paths})}
    return claim


def mounting(sub_path: str | None, **labels: str) -> Object:
    pod: Any = a_pod("Running")
    mount = {"name": "c", "mountPath": "/mnt/models"} | ({} if sub_path is None else {"subPath": sub_path})
    pod["spec"]["containers"] = [{"name": "server", "volumeMounts": [mount]}]
    pod["metadata"]["labels"] = labels
    return pod


def twin(namespace: str = "two", **users: Any) -> Neighbour:
    volume: Any = a_volume()
    volume["metadata"]["name"] = "twin"
    volume["spec"]["claimRef"] = {"namespace": namespace, "name": "b"}
    return Neighbour(volume, Users(**users))


def test_a_model_that_nobody_uses_goes_in_a_pod_of_the_clusters_image() -> None:
    plan = rm()
    [step] = plan.steps
    assert isinstance(step, RemoveModel)
    assert (step.path, step.named, step.everything) == ("granite", False, False)
    assert step.pod["spec"]["containers"][0]["image"] == IMAGE
    assert plan.notes == ()
    assert plans_from_json(plan_to_json(plan), "plan.json") == (plan,)


def test_what_kserve_imported_is_kept_by_its_cache() -> None:
    path = import_path("hf://org/llama")
    spec = {"sourceModelUri": "hf://org/llama", "pvcRef": "a"}
    metadata = {"name": "llama", "namespace": "llm"}
    api = "serving.kserve.io/v1alpha1"
    cache = {"apiVersion": api, "kind": "LocalModelNamespaceCache", "metadata": metadata, "spec": spec}
    kept = rm(path, used(services=(cache,)))
    assert refusal(kept) == "ModelInUse"
    assert "LocalModelNamespaceCache llm/llama" in kept.refusals[0].message
    assert not rm("granite", used(services=(cache,))).refusals


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("InferenceService", {"predictor": {"model": {"storageUri": "pvc://a/granite"}}}),
        ("InferenceService", {"predictor": {"model": {"storageUri": "pvc://a/granite/"}}}),
        ("InferenceService", {"predictor": {"model": {"storageUri": "pvc://a"}}}),
        ("InferenceService", {"predictor": {"model": {"storageUri": "pvc://a/granite/sub"}}}),
        ("InferenceService", {"predictor": {"model": {"storageUris": [{"uri": "pvc://a/granite"}]}}}),
        ("InferenceService", {"transformer": {"containers": [{"env": [{"name": "STORAGE_URI", "value": "pvc://a/granite"}]}]}}),
        ("InferenceService", {"predictor": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}]}}),
        ("ServingRuntime", {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}]}),
        ("LLMInferenceService", {"model": {"uri": "pvc://a/granite"}}),
        ("LLMInferenceService", {"model": {"lora": {"adapters": [{"uri": "pvc://a/granite"}]}}}),
    ],
)  # fmt: skip
def test_a_service_of_any_form_keeps_its_model(kind: str, spec: dict[str, Any]) -> None:
    plan = rm(found=used(services=({**a_service(spec), "kind": kind},)))
    assert refusal(plan) == "ModelInUse"
    assert kind in plan.refusals[0].message
    assert plan.refusals[0].exit_code == 3


@pytest.mark.parametrize("uri", ["pvc://a/other", "pvc://a/granite-2", "pvc://b/granite", "s3://a/granite"])
def test_a_service_of_another_model_does_not_keep_it(uri: str) -> None:
    assert rm(found=used(services=(a_service({"predictor": {"model": {"storageUri": uri}}}),))).steps


@pytest.mark.parametrize(
    ("sub_path", "keeps"),
    [("granite", True), ("granite/", True), ("granite/sub", True), (None, True), ("", True), ("other", False)],
)
def test_a_pod_keeps_what_it_mounts(sub_path: str | None, keeps: bool) -> None:
    assert bool(rm(found=used(pods=(mounting(sub_path),))).refusals) is keeps


def test_a_pod_that_mounts_the_volume_in_no_container_keeps_all_of_it() -> None:
    assert refusal(rm(found=used(pods=(a_pod("Running"),)))) == "ModelInUse"


def test_a_loader_keeps_what_it_copies_from_and_not_what_it_writes_beside() -> None:
    loader: Any = mounting(None, **{"pvserve.io/loader": "x"})
    assert rm(found=used(pods=(a_loader(loader, "claim"),))).steps
    assert refusal(rm(found=used(pods=(a_loader(loader, "source"),)))) == "ModelInUse"


def a_loader(pod: Any, volume: str) -> Object:
    claim = {"name": volume, "persistentVolumeClaim": {"claimName": "a"}}
    return {**pod, "spec": {"volumes": [claim], "containers": [{"volumeMounts": [{"name": volume}]}]}}


def test_users_that_may_not_be_read_keep_it() -> None:
    plan = rm(found=facts(loader_image=IMAGE, users=Users((), FORBIDDEN)))
    assert (refusal(plan), plan.refusals[0].exit_code) == ("Unreadable", 4)


def test_a_user_in_another_namespace_of_the_same_data_keeps_it() -> None:
    service = a_service({"predictor": {"model": {"storageUri": "pvc://b/granite"}}})
    assert refusal(rm(found=used(neighbours=(twin(services=(service,)),)))) == "ModelInUse"
    assert refusal(rm(found=used(neighbours=(twin(services=FORBIDDEN),)))) == "Unreadable"
    assert rm(found=used(neighbours=(twin(),))).steps


def test_neighbours_that_may_not_be_looked_for_are_said_to_be_unknown() -> None:
    [note] = rm(found=used(neighbours=Unknown("forbidden", "forbidden"))).notes
    assert "not looked for" in note


def test_the_record_alone_does_not_decide_what_may_go() -> None:
    [note] = rm("unrecorded").notes
    assert "manifest on the volume" in note
    assert not rm("unrecorded", typed="unrecorded").notes


def test_a_name_that_is_typed_must_be_the_path() -> None:
    assert refusal(rm(typed="granit")) == "NameDiffers"
    [step] = rm(typed="granite").steps
    assert isinstance(step, RemoveModel)
    assert step.named


@pytest.mark.parametrize("recorded", ["team/granite", "team"])
def test_a_path_above_or_inside_another_model_is_not_removed(recorded: str) -> None:
    path = {"team": "team/granite", "team/granite": "team"}[recorded]
    plan = rm(path, used(claim=claimed(recorded)), typed=path)
    assert refusal(plan) == "PathHoldsModels"
    assert plan.refusals[0].remedy == (f"pvserve rm pvc://a/{recorded} -n llm",)


def test_a_model_that_came_to_lie_inside_another_can_leave_it() -> None:
    both = used(claim=claimed("team", "team/granite"))
    assert rm("team/granite", both).refusals == ()
    assert refusal(rm("team", both)) == "PathHoldsModels"


def test_a_share_and_what_is_shared_are_left_alone() -> None:
    claim = claimed("granite")
    claim["metadata"]["annotations"]["pvserve.io/share-of"] = "one/b"  # type: ignore[index]
    plan = rm(found=used(claim=claim))
    assert refusal(plan) == "ClaimIsShare"
    assert plan.refusals[0].remedy == ("pvserve rm pvc://b/granite -n one",)
    plan = rm(found=used(volume=a_volume(**{"pvserve.io/shares": '["two/a"]'})))
    assert refusal(plan) == "ClaimShared"
    assert plan.refusals[0].remedy == ("pvserve unshare two/a",)


def test_without_an_image_one_is_to_be_named() -> None:
    unknown = facts(loader_image=Unknown("no ConfigMap"))
    assert refusal(rm(found=unknown)) == "NoLoaderImage"
    assert rm(found=unknown, image="python:3").steps
    runtime = {**a_service({"containers": [{"name": "kserve-container", "image": "vllm"}]}), "kind": "ServingRuntime"}
    [step] = rm(found=replace(unknown, users=Users((), (runtime,)))).steps
    assert isinstance(step, RemoveModel)
    assert step.pod["spec"]["containers"][0]["image"] == "vllm"


def test_on_a_claim_of_one_node_it_goes_there() -> None:
    other: Any = mounting("other")
    other["spec"]["nodeName"] = "n1"
    [step] = rm(found=used(pods=(other,))).steps
    assert isinstance(step, RemoveModel)
    term = step.pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["n1"]
