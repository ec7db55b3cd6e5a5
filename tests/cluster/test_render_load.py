"""Rendered loads on a real cluster: the Job runs, the model is proven, a client finds it there.

Where there is no Tekton, Argo or Kubeflow, the containers that they would run are run as pods, with what the rendered
objects say around them; what those controllers add (parameters, results, workspaces) is put in here by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.cluster import Cluster
from pvserve.facts import Object, annotations_of, name
from pvserve.render.argocd import WAVE

from .offers import until
from .ui_service import Ran, gguf, leaving_nothing, make, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
SOURCE = "pvc://workbench/models/granite"
CONVERTING = [SOURCE, "--from", "granite", "--name", "granite-pvc", "--claim", "vllm", "--size", "2Gi"]


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


@pytest.fixture
def loaded(cluster: Cluster, tmp_path: Path) -> Ran:
    """The model on a workbench's claim, and a service as the dashboard makes it."""
    make(cluster, runtime(), service({"storageUri": "s3://models/granite"}))
    done = pvserve("load", gguf(tmp_path / "granite"), SOURCE, "--size", "2Gi", "-n", cluster.namespace, "-y")
    assert done.code == 0, done.explained()
    return done


def rendered(cluster: Cluster, form: str, *more: str) -> list[dict[str, Any]]:
    """The documents of all files."""
    done = pvserve("render", *CONVERTING, "--to", form, "-n", cluster.namespace, *more)
    assert done.code == 0, done.explained()
    files = done.lines[-1]["files"].items()
    return [found for file, text in files if file.endswith(".yaml") for found in yaml.safe_load_all(text)]


def ended(cluster: Cluster, selector: str, seconds: float = 120) -> dict[str, Any]:
    """The result that a finished pod left in its termination message."""

    seen: list[Any] = []

    def terminated() -> Object | None:
        seen[:] = [pod.get("status") for pod in cluster.list("v1", "Pod", cluster.namespace, label_selector=selector)]
        for status in seen:
            for state in (status or {}).get("containerStatuses") or ():
                if (state.get("state") or {}).get("terminated"):
                    return state["state"]["terminated"]
        return None

    try:
        found = until(f"a pod of {selector} ends", terminated, seconds)
    except pytest.fail.Exception:
        events = [event.get("message") for event in cluster.list("v1", "Event", cluster.namespace)]
        pytest.fail(f"no pod of {selector} ended in {seconds:.0f} s: {seen}\n{events}")
    assert found["exitCode"] == 0, found
    result: dict[str, Any] = json.loads(found["message"])
    return result


def test_the_job_loads_and_the_next_plan_has_only_to_note_it(cluster: Cluster, loaded: Ran) -> None:
    objects = rendered(cluster, "job")
    for obj in objects:
        cluster.apply(obj)
    (job,) = (obj for obj in objects if obj["kind"] == "Job")
    told = ended(cluster, f"batch.kubernetes.io/job-name={name(job)}")
    assert told["uri"] == "pvc://vllm/granite"
    assert told["digest"] == loaded.lines[-1]["manifest"]
    assert told["copied"] == told["bytes"] == loaded.lines[-1]["bytes"]
    until(
        "the Job is complete",
        lambda: cluster.get("batch/v1", "Job", name(job), cluster.namespace)["status"].get("succeeded"),
    )

    proof = pvserve("verify", told["uri"], "-n", cluster.namespace)
    assert proof.code == 0, proof.explained()
    for obj in objects:
        cluster.apply(obj)  # again: nothing is changed, nothing runs
    assert rendered(cluster, "job")[-1] == job

    noted = pvserve("load", SOURCE, told["uri"], "-n", cluster.namespace, "-y")
    assert noted.code == 0, noted.explained()
    assert pvserve("render", *CONVERTING, "--to", "job", "-n", cluster.namespace).error["reason"] == "NothingToLoad"


def test_the_waves_of_argo_cd_applied_one_after_the_other_serve(cluster: Cluster, loaded: Ran) -> None:
    objects = rendered(cluster, "argocd", "--repo", "https://git.example/models.git")
    waves: dict[str, list[dict[str, Any]]] = {"0": [], "1": []}
    for obj in objects:
        if obj["kind"] != "Application":
            waves[annotations_of(obj).get(WAVE, "0")].append(obj)
    for obj in waves["0"]:
        cluster.apply(obj)
    (job,) = (obj for obj in waves["0"] if obj["kind"] == "Job")
    ended(cluster, f"batch.kubernetes.io/job-name={name(job)}")
    for obj in waves["1"]:
        cluster.apply(obj)
    until(
        "the service is Ready",
        lambda: pvserve("status", "granite-pvc", "-n", cluster.namespace).code == 0,
        180,
        every=3,
    )
    proof = pvserve("verify", "granite-pvc", "-n", cluster.namespace)
    assert proof.code == 0, proof.explained()


def pod_of(form: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod that the form's controller would make: its container and volumes, the claims, the words put in."""
    by_kind = {obj.get("kind", ""): obj["spec"] for obj in objects if "spec" in obj}
    if form == "tekton":
        task, template = by_kind["Task"], by_kind["PipelineRun"]["taskRunTemplate"]["podTemplate"]
        step = dict(task["steps"][0])
        step["resources"] = step.pop("computeResources")
        step["volumeMounts"] = [*step["volumeMounts"], {"name": "ws", "mountPath": task["workspaces"][0]["mountPath"]}]
        claim = by_kind["PipelineRun"]["workspaces"][0]["persistentVolumeClaim"]
        volumes = [*task["volumes"], {"name": "ws", "persistentVolumeClaim": claim}]
        words = {"$(params.path)": task["params"][0]["default"]}
        words |= {f"$(results.{item['name']}.path)": f"/tmp/{item['name']}" for item in task["results"]}
        return {**template, "containers": [put(step, words)], "volumes": volumes}
    if form == "argo-workflows":
        spec = by_kind["WorkflowTemplate"]
        (parameter,) = spec["arguments"]["parameters"]
        words = {"{{inputs.parameters.path}}": parameter["value"]}
        container = {"name": "main", **put(spec["templates"][0]["container"], words)}
        return {"securityContext": spec["securityContext"], "containers": [container], "volumes": spec["volumes"]}
    pipeline, platform = (obj for obj in objects if "kind" not in obj)
    (container,) = (item["container"] for item in pipeline["deploymentSpec"]["executors"].values())
    (executor,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    words = {
        "{{$.inputs.parameters['path']}}": pipeline["root"]["inputDefinitions"]["parameters"]["path"]["defaultValue"]
    }
    words |= {f"{{{{$.outputs.parameters['{key}'].output_file}}}}": f"/tmp/{key}" for key in ("uri", "digest", "bytes")}
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]
    for number, mount in enumerate(executor["pvcMount"]):
        volumes.append({"name": f"v{number}", "persistentVolumeClaim": {"claimName": mount["constant"]}})
        mounts.append({"name": f"v{number}", "mountPath": mount["mountPath"]})
    for mount in executor["configMapAsVolume"]:
        volumes.append({"name": "program", "configMap": {"name": mount["configMapName"]}})
        mounts.append({"name": "program", "mountPath": mount["mountPath"]})
    made = {key: container[key] for key in ("image", "command", "args", "env")}
    security = {"runAsUser": 1000, "fsGroup": 1000}  # what the namespace or the image gives there
    return {
        "securityContext": security,
        "containers": [{"name": "main", **put(made, words), "volumeMounts": mounts}],
        "volumes": volumes,
    }


def put(container: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    """The container with a controller's variables filled in."""
    arguments = []
    for word in container["args"]:
        for old, new in words.items():
            word = word.replace(old, new)
        arguments.append(word)
    return {**container, "args": arguments}


@pytest.mark.parametrize("form", ["tekton", "argo-workflows", "kfp"])
def test_the_container_of_a_pipeline_s_step_loads_and_leaves_its_results(
    cluster: Cluster, loaded: Ran, form: str
) -> None:
    objects = rendered(cluster, form)
    for obj in objects:
        if obj.get("kind") in ("ConfigMap", "StorageClass", "PersistentVolumeClaim"):
            cluster.apply(obj)
    spec = pod_of(form, objects)
    told = "cd /tmp; until [ -s uri ] && [ -s digest ] && [ -s bytes ]; do sleep 1; done; "
    told += """printf '{"uri":"%s","digest":"%s","bytes":%s}' "$(cat uri)" "$(cat digest)" "$(cat bytes)" """
    told += "> /dev/termination-log"
    main = spec["containers"][0]
    results = {
        "name": "results",
        "image": main["image"],
        "command": ["sh", "-c", told],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    labels = {"pvserve-test": form}
    make(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "step", "labels": labels},
            "spec": {**spec, "restartPolicy": "Never", "containers": [{**main, "name": "main"}, results]},
        },
    )

    def ends() -> dict[str, Any]:
        pod = cluster.get("v1", "Pod", "step", cluster.namespace)
        states = (pod.get("status") or {}).get("containerStatuses") or ()
        return {item["name"]: end for item in states if (end := (item.get("state") or {}).get("terminated"))}

    until("the step ends", lambda: "main" in ends(), 120)
    assert ends()["main"]["exitCode"] == 0, ends()
    until("its results are read", lambda: "results" in ends(), 20)
    assert json.loads(ends()["results"]["message"]) == {
        "uri": "pvc://vllm/granite",
        "digest": loaded.lines[-1]["manifest"],
        "bytes": loaded.lines[-1]["bytes"],
    }
    cluster.delete("v1", "Pod", "step", cluster.namespace)
    proof = pvserve("verify", "pvc://vllm/granite", "-n", cluster.namespace)
    assert proof.code == 0, proof.explained()
