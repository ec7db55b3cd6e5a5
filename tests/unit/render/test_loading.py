"""Forms in which the cluster loads the model itself."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from pvserve.errors import Refused
from pvserve.facts.objects import annotations_of
from pvserve.plan.load_step import job_of, step_pod
from pvserve.plan.steps import Load, Plan
from pvserve.render import FORMS
from pvserve.transfer.program import PACKED, fetch_files, step_files

from . import plans
from .plans import render

LOADING = ("job", "tekton", "kfp", "argo-workflows")


def documents(plan: Plan, form: str) -> list[dict[str, Any]]:
    files = render(plan, form).items()
    return [found for name, text in files if name.endswith(".yaml") for found in yaml.safe_load_all(text)]


def only(kind: str, plan: Plan, form: str = "job") -> dict[str, Any]:
    (found,) = (item for item in documents(plan, form) if item.get("kind") == kind)
    return found


@pytest.mark.parametrize("form", LOADING)
def test_a_directory_of_this_machine_is_refused_with_the_remedy(form: str) -> None:
    with pytest.raises(Refused, match="granite-7b-lab, a directory of this machine") as caught:
        render(plans.whole(), form)
    assert caught.value.reason == "SourceNotInCluster"
    assert caught.value.remedy[0] == "pvserve load ./granite-7b-lab pvc://vllm-model-cache/granite-7b-lab -n llm"


@pytest.mark.parametrize("form", LOADING)
def test_a_model_that_is_there_needs_no_load(form: str) -> None:
    steps = tuple(step for step in plans.whole().steps if not isinstance(step, Load))
    with pytest.raises(Refused, match="needs no load"):
        render(plans.whole(steps=steps), form)


def test_a_job_comes_with_the_claim_and_its_class_and_the_program() -> None:
    kinds = [item["kind"] for item in documents(plans.copying(), "job")]
    assert kinds == ["ConfigMap", "StorageClass", "PersistentVolumeClaim", "Job"]
    made = only("ConfigMap", plans.copying())
    assert made["data"] == step_files()
    assert len(json.dumps(made)) < 200_000  # `kubectl apply` keeps all of it in an annotation of at most 262144 bytes


def test_the_job_copies_from_claim_to_claim() -> None:
    pod = only("Job", plans.copying())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["python3", "-X", "utf8", "-I", "-S", "/pvserve/load.py"]
    words = " ".join(container["args"])
    assert "--from /source/models/granite --within /source --source-name pvc://workbench/models/granite" in words
    assert "--to granite-7b-lab --mount /claim --claim vllm-model-cache --exclude original/*" in words
    assert f"--expect sha256:{'e' * 64}" in words
    mounted = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert mounted == {"/claim": False, "/tmp": False, "/source": True, "/pvserve": True}
    assert pod["automountServiceAccountToken"] is False
    assert "affinity" not in pod  # a node by name


def test_another_load_is_another_job_since_its_pod_cannot_be_changed() -> None:
    def named(program: str) -> str:
        return str(job_of(step_pod(plans.copy_step(), program), "pvc://a/b", "llm")["metadata"]["name"])

    assert named("program") == named("program")
    assert named("other") != named("program")


def test_the_job_tries_again_only_where_that_can_help() -> None:
    spec = only("Job", plans.copying())["spec"]
    disrupted, final = spec["podFailurePolicy"]["rules"]
    assert (disrupted["action"], final["action"]) == ("Ignore", "FailJob")
    assert not {1, 5, 130, 137, 143} & set(final["onExitCodes"]["values"])
    assert spec["template"]["spec"].get("restartPolicy", "Never") == "Never"
    assert "ttlSecondsAfterFinished" not in spec


def test_the_comment_says_what_loads() -> None:
    text = "".join(render(plans.copying(), "job").values())
    assert "# Job pvserve-load-" in text
    assert "loads the model's files from pvc://workbench/models/granite, without a client" in text
    assert "pvserve load" in "".join(render(plans.copying(), "yaml").values())


def test_the_job_says_where_it_loads_to() -> None:
    assert annotations_of(only("Job", plans.copying())) == {"pvserve.io/place": "pvc://vllm-model-cache/granite-7b-lab"}


@pytest.mark.parametrize("form", [*LOADING, "argocd"])
def test_a_source_that_the_cluster_reads_is_fetched_by_its_own_program(form: str) -> None:
    made = documents(plans.fetching(), form)
    (program,) = (obj for obj in made if obj.get("kind") == "ConfigMap")
    assert program["data"] == fetch_files()
    (found,) = containers(made)
    assert found["args"][0] == "load"
    order = json.loads(found["args"][1])
    assert (order["source"]["uri"], order["epoch"]) == ("s3://models/granite", 0)
    text = "".join(render(plans.fetching(), form).values())
    assert "fetches the model's 12 files from s3://models/granite" in text
    assert text.count("aws-models") >= 2  # the Secret is named, and mounted


@pytest.mark.parametrize("form", list(FORMS))
def test_a_signed_address_is_refused_and_not_shown(form: str) -> None:
    source = "https://models.example/a.gguf?X-Amz-Signature=hush"
    step = replace(plans.fetch_step(), source=source, order={"source": {"scheme": "https", "uri": source}})
    with pytest.raises(Refused, match="has a query") as caught:
        render(plans.whole(steps=(step,)), form)
    assert "hush" not in str(caught.value.as_dict())


def test_what_a_fetch_mounts_is_mounted_by_a_pipeline_of_kfp() -> None:
    _, _, _, _, platform = documents(plans.fetching(), "kfp")
    (executor,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    assert [item["mountPath"] for item in executor["pvcMount"]] == ["/claim"]
    assert next((item["configMapName"], item["optional"]) for item in executor["configMapAsVolume"]) == (
        "odh-trusted-ca-bundle",
        True,
    )
    assert [(item["secretName"], item["mountPath"]) for item in executor["secretAsVolume"]] == [
        ("aws-models", "/pvserve-secret")
    ]


def test_the_component_of_a_fetch_has_its_program_and_names_what_its_task_mounts() -> None:
    text = render(plans.fetching(), "kfp")["granite-pvc/kfp/component.py"]
    compile(text, "component.py", "exec")
    assert fetch_files()[PACKED] in text
    assert "mount_pvc(task, 'vllm-model-cache', '/claim')" in text
    assert "use_secret_as_volume(task, 'aws-models', '/pvserve-secret')" in text
    assert "use_config_map_as_volume(task, 'odh-trusted-ca-bundle', '/pvserve-ca', optional=True)" in text


def test_a_secret_of_which_one_key_is_wanted_is_no_word_of_kfp() -> None:
    step = plans.fetch_step()
    job = copy.deepcopy(dict(step.job))
    job["spec"]["template"]["spec"]["volumes"][-1]["secret"]["items"] = [{"key": "a", "path": "b"}]
    with pytest.raises(Refused, match="takes all keys"):
        render(plans.whole(steps=(replace(step, job=job),)), "kfp")


@pytest.mark.parametrize("form", LOADING)
def test_every_form_runs_the_same_program_with_the_same_words(form: str) -> None:
    """... but for the places where a form has its own: the path as a parameter, the files of results."""
    (job,) = only("Job", plans.copying())["spec"]["template"]["spec"]["containers"]
    found = next(containers(documents(plans.copying(), form)))
    assert (found["image"], found["command"]) == (job["image"], job["command"])
    common = [word for word in job["args"] if word in found["args"]]
    assert [
        word for word in job["args"] if word not in common and word not in ("--result", "/dev/termination-log")
    ] in (
        [],
        ["granite-7b-lab"],
    )
    (program,) = (obj for obj in documents(plans.copying(), form) if obj.get("kind") == "ConfigMap")
    assert f"name: {program['metadata']['name']}\n" in "".join(render(plans.copying(), form).values())


def containers(node: Any) -> Iterator[dict[str, Any]]:
    """Whatever has an image."""
    if isinstance(node, dict):
        if "image" in node and "command" in node:
            yield node
        for value in node.values():
            yield from containers(value)
    elif isinstance(node, list):
        for item in node:
            yield from containers(item)


def test_words_of_a_user_are_no_variables_of_kubernetes() -> None:
    step = replace(plans.copy_step(), exclude=("$(HOME)/*",))
    plan = replace(plans.copying(), steps=(step,))
    (container,) = only("Job", plan)["spec"]["template"]["spec"]["containers"]
    assert "$$(HOME)/*" in container["args"]


def test_a_tekton_task_has_one_claim_as_workspace_and_tells_results() -> None:
    task, pipeline, run = (only(kind, plans.copying(), "tekton") for kind in ("Task", "Pipeline", "PipelineRun"))
    assert [(item["name"], item["mountPath"]) for item in task["spec"]["workspaces"]] == [("model", "/claim")]
    assert [volume["name"] for volume in task["spec"]["volumes"]] == ["tmp", "source", "pvserve-program"]
    (step,) = task["spec"]["steps"]
    assert not any(mount["mountPath"] == "/claim" for mount in step["volumeMounts"])
    words = " ".join(step["args"])
    for result in ("uri", "digest", "bytes"):
        assert f"--{result}-file $(results.{result}.path)" in words
    assert "--to $(params.path)" in words
    names = [{item["name"] for item in kind["spec"]["results"]} for kind in (task, pipeline)]
    assert names == [{"uri", "digest", "bytes"}] * 2
    assert run["spec"]["workspaces"] == [{"name": "model", "persistentVolumeClaim": {"claimName": "vllm-model-cache"}}]
    assert run["spec"]["taskRunTemplate"]["podTemplate"]["securityContext"]["fsGroup"] == 1000
    assert "name" not in run["metadata"]


def test_a_source_on_the_same_claim_is_read_through_the_workspace() -> None:
    step = replace(
        plans.copy_step(), source="pvc://vllm-model-cache/old", source_claim="vllm-model-cache", source_path="old"
    )
    pod = copy.deepcopy(dict(step.pod))
    pod["spec"]["volumes"] = pod["spec"]["volumes"][:2]
    pod["spec"]["containers"][0]["volumeMounts"][2]["name"] = "claim"
    task = only("Task", replace(plans.copying(), steps=(replace(step, pod=pod),)), "tekton")
    (made,) = task["spec"]["steps"]
    assert "--from /claim/old --within /claim" in " ".join(made["args"])
    assert {mount["name"] for mount in made["volumeMounts"]} == {"tmp", "pvserve-program"}


def test_an_argo_workflow_keeps_writers_apart_and_tells_results() -> None:
    template, run = (only(kind, plans.copying(), "argo-workflows") for kind in ("WorkflowTemplate", "Workflow"))
    (step,) = template["spec"]["templates"]
    assert template["spec"]["synchronization"]["mutexes"]
    assert {item["name"] for item in step["outputs"]["parameters"]} == {"uri", "digest", "bytes"}
    assert "--to {{inputs.parameters.path}}" in " ".join(step["container"]["args"])
    assert run["spec"]["workflowTemplateRef"]["name"] == template["metadata"]["name"]
    assert step["retryStrategy"]["expression"] == "!(asInt(lastRetry.exitCode) in [2, 3, 4, 6])"
