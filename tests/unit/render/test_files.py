"""Files from a plan: what is in them, in which order, and what never is."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.errors import Refused, UsageError
from pvserve.facts.objects import ObjectKey
from pvserve.plan.steps import PatchObject, Plan
from pvserve.render import FORMS, Options
from pvserve.render import render as written

from . import plans
from .plans import render


def documents(plan: Plan) -> list[dict[str, Any]]:
    (text,) = render(plan, "yaml").values()
    return list(yaml.safe_load_all(text))


def comments(plan: Plan) -> str:
    (text,) = render(plan, "yaml").values()
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))


def test_objects_stand_in_the_order_in_which_they_need_each_other() -> None:
    kinds = [document["kind"] for document in documents(plans.whole())]
    assert kinds == ["StorageClass", "PersistentVolumeClaim", "ServingRuntime", "InferenceService"]


def test_objects_are_those_that_a_live_run_applies() -> None:
    expected = [plans.storage_class(), plans.claim(), plans.runtime(), plans.service()]
    assert documents(plans.whole()) == expected


@pytest.mark.parametrize("form", list(FORMS))
def test_the_same_plan_gives_the_same_bytes(form: str) -> None:
    assert render(plans.copying(), form) == render(copy.deepcopy(plans.copying()), form)


@pytest.mark.parametrize("form", list(FORMS))
def test_nothing_that_a_server_keeps_is_written(form: str) -> None:
    live = plans.service()
    live["metadata"] |= {**plans.SERVER_SIDE, "ownerReferences": [{"uid": "1"}]}
    live["status"] = {"conditions": [{"type": "Ready"}]}
    text = "".join(render(plans.copying(plans.apply(live)), form).values())
    for word in (*plans.SERVER_SIDE, "ownerReferences", "conditions"):
        assert f"{word}:" not in text
    assert "\nstatus:" not in text


def test_patches_in_a_row_are_written_as_the_object_they_lead_to() -> None:
    (service,) = documents(plans.in_place())
    assert service["spec"]["predictor"]["model"]["storageUri"] == "pvc://vllm-model-cache/granite-7b-lab"
    assert not service["metadata"].get("annotations")
    assert "status" not in service


def test_a_patch_whose_object_is_not_known_is_said_to_be_left_out() -> None:
    target = ObjectKey("v1", "PersistentVolumeClaim", "llm", "x")
    plan = plans.whole(steps=(PatchObject("p", "grow claim x", target, {"spec": {}}),))
    assert "grow claim x: PersistentVolumeClaim llm/x is not known whole" in comments(plan)
    assert documents(plan) == []


def test_the_comment_names_the_command_that_loads_and_the_manifest() -> None:
    said = comments(plans.whole())
    assert "pvserve load ./granite-7b-lab pvc://vllm-model-cache/granite-7b-lab -n llm\n" in said
    assert f"sha256:{'e' * 64}" in said


def test_the_load_command_takes_filters_and_is_quoted_for_a_shell() -> None:
    step = plans.load(source="/m/my model", include=("*.json",), exclude=("a b",), replace=True)
    said = comments(plans.whole(steps=(step,)))
    assert "pvserve load './my model' pvc://vllm-model-cache/granite-7b-lab -n llm" in said
    assert "--include '*.json' --exclude 'a b' --replace" in said


def test_two_people_write_the_same_bytes_wherever_their_model_lies() -> None:
    other = plans.whole(steps=(*plans.whole().steps[:4], plans.load(source="/srv/granite-7b-lab")))
    mine = plans.whole(steps=(*plans.whole().steps[:4], plans.load()))
    assert render(mine, "yaml") == render(other, "yaml")


def test_the_comment_says_what_is_not_in_the_file_and_the_command_for_it() -> None:
    said = comments(plans.whole(not_done=(plans.not_allowed(),)))
    assert "keep the volume: the volume is known only once the claim is bound:" in said
    assert "pvserve verify granite-pvc -n llm" in said
    assert "you may not patch persistentvolumes" in said
    assert "kubectl patch pv x" in said


def test_nothing_from_a_cluster_breaks_out_of_the_comment() -> None:
    evil = replace(plans.not_allowed(), why="x\nkind: Secret\u2028kind: Secret\x1b[2J\rkind: Secret")
    for text in render(plans.whole(not_done=(evil,), unchanged=("a\n---\nkind: Pod",)), "kustomize").values():
        for document in yaml.safe_load_all(text):
            assert document["kind"] not in ("Secret", "Pod")
        assert "\x1b" not in text


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "db_password", "OPENAI_API_KEY"])
@pytest.mark.parametrize("form", list(FORMS))
def test_a_literal_secret_is_refused_and_not_shown(form: str, name: str) -> None:
    plan = plans.copying(plans.apply(plans.runtime(**{name: "hush"})))
    with pytest.raises(Refused, match=name) as caught:
        render(plan, form)
    assert "hush" not in str(caught.value.as_dict())
    assert caught.value.reason == "SecretInObject"


def test_a_secret_object_is_refused() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "llm"}}
    with pytest.raises(Refused, match="Secret llm/a"):
        render(plans.whole(steps=(plans.apply(secret),)), "yaml")


@pytest.mark.parametrize(("name", "value"), [("HF_TOKEN", ""), ("HF_TOKEN", "$(TOKEN)"), ("TOKENIZER", "x")])
def test_what_is_no_literal_secret_is_written(name: str, value: str) -> None:
    assert documents(plans.whole(steps=(plans.apply(plans.runtime(**{name: value})),)))


def test_kustomize_has_a_common_base_and_an_overlay_with_what_is_of_the_environment() -> None:
    files = {name: yaml.safe_load(text) for name, text in render(plans.whole(), "kustomize").items()}
    base = files["granite-pvc/base/kustomization.yaml"]
    assert base["resources"] == ["runtime.yaml", "service.yaml"]
    for name in base["resources"]:
        assert "namespace" not in files[f"granite-pvc/base/{name}"]["metadata"]
    overlay = files["granite-pvc/overlays/llm/kustomization.yaml"]
    assert overlay["namespace"] == "llm"
    assert overlay["resources"] == ["../../base", "storageclass.yaml", "claim.yaml"]
    (patch,) = overlay["patches"]
    assert yaml.safe_load(patch["patch"]) == [
        {
            "op": "add",
            "path": "/spec/predictor/model/storageUri",
            "value": "pvc://vllm-model-cache/granite-7b-lab",
        }
    ]


def test_rendering_for_another_environment_changes_nothing_of_the_first() -> None:
    claim, other = plans.claim(), "pvc://disk/v2"
    claim["metadata"] |= {"name": "disk", "namespace": "llm"}
    steps = (plans.apply(claim), plans.apply(plans.runtime()), plans.apply(plans.service(other)))
    first = written(plans.whole(), "kustomize", Options(environment="staging"))
    second = written(plans.whole(claim="disk", path="v2", steps=steps), "kustomize", Options(environment="prod"))
    assert {name for name in first if name in second} == {
        f"granite-pvc/base/{name}.yaml" for name in ("kustomization", "runtime", "service")
    }
    assert all(second[name] == text for name, text in first.items() if name in second)


def test_kustomize_changes_no_label() -> None:
    files = {name: yaml.safe_load(text) for name, text in render(plans.whole(), "kustomize").items()}
    assert files["granite-pvc/base/service.yaml"]["metadata"]["labels"] == plans.service()["metadata"]["labels"]
    assert not any({"labels", "commonLabels"} & document.keys() for document in files.values())


def test_two_objects_of_a_kind_are_two_files() -> None:
    second = plans.claim()
    second["metadata"] = {**second["metadata"], "name": "other"}
    files = render(plans.whole(steps=(plans.apply(plans.claim()), plans.apply(second))), "kustomize")
    names = {Path(name).name for name in files}
    assert {"claim-vllm-model-cache.yaml", "claim-other.yaml"} <= names


@pytest.mark.parametrize("form", list(FORMS))
def test_file_names_stay_below_the_directory_they_are_written_to(form: str) -> None:
    for name in render(plans.copying(), form):
        assert not Path(name).is_absolute()
        assert ".." not in Path(name).parts


def test_a_plan_without_a_service_is_named_after_its_claim() -> None:
    assert list(render(plans.whole(service="", steps=(plans.apply(plans.claim()),)), "yaml")) == [
        "vllm-model-cache.yaml"
    ]


def test_an_unknown_form_is_wrong_use_and_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="yaml"):
        render(plans.whole(), "tar")
