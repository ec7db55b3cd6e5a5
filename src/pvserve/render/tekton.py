"""The load of a plan as a Tekton Task, a Pipeline of it, and a PipelineRun.

Owns Tekton's words for the container that `plan.load_step` builds. Of a Task's workspaces at most one may be a claim,
else the affinity assistant refuses the run (tektoncd/pipeline#3480). It is the one written to; the source is a volume.

Source: https://tekton.dev/docs/pipelines/tasks/ and …/workspaces/, …/podtemplates/
"""

from __future__ import annotations

from typing import Any

from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.loader import MOUNT
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.loading import InCluster, before_load, load_of
from pvserve.render.scalars import dump, dump_all

API = "tekton.dev/v1"
WORKSPACE = "model"
RESULTS = {
    "uri": "where the model is: pvc://CLAIM/PATH",
    "digest": "of its manifest: sha256:…",
    "bytes": "of its files together",
}
RETRIES = 3  # of the Task; a pod that goes on where the last one stopped


def tekton(plan: Plan) -> dict[str, str]:
    """`NAME/tekton/`: objects to apply, and `pipelinerun.yaml` to create."""
    load = load_of(plan, "tekton")
    root = plan.service or plan.claim
    called = f"{root}-load"
    files = [word for key in RESULTS for word in (f"--{key}-file", f"$(results.{key}.path)")]
    pod = load.pod(files, path="$(params.path)", mounted_once=True)
    needed = [*before_load(plan), load.program]
    params = [_PATH | {"default": plan.path}] if load.takes_path else []
    task, pipeline = _task(plan, load, pod["spec"], called, params), _pipeline(plan, called, params)
    return {
        f"{root}/tekton/needed.yaml": dump_all(needed),
        f"{root}/tekton/task.yaml": header(plan, f"Task {called}") + dump(task),
        f"{root}/tekton/pipeline.yaml": dump(pipeline),
        f"{root}/tekton/pipelinerun.yaml": _RUN_HEAD + dump(_run(plan, pod["spec"], called)),
    }


_RUN_HEAD = """\
# Starts the pipeline once: kubectl create -f pipelinerun.yaml, after kubectl apply of the other files.
"""


def _metadata(plan: Plan, called: str) -> dict[str, Any]:
    return {"name": called, "namespace": plan.namespace, "labels": {MANAGED_BY: "pvserve"}}


_PATH = {"name": "path", "type": "string", "description": "directory on the claim"}


def _task(
    plan: Plan, load: InCluster, spec: dict[str, Any], called: str, params: list[dict[str, Any]]
) -> dict[str, Any]:
    """The workspace is the claim; whatever else the pod mounts is a volume."""
    container, claim = spec["containers"][0], load.step.claim
    step = {key: container[key] for key in ("image", "imagePullPolicy", "workingDir", "env") if key in container}
    step |= {
        "name": "load",
        "command": container["command"],
        "args": container["args"],
        "computeResources": container.get("resources", {}),
        "securityContext": container.get("securityContext", {}),
        "volumeMounts": [mount for mount in container["volumeMounts"] if mount["name"] != "claim"],
    }
    return {
        "apiVersion": API,
        "kind": "Task",
        "metadata": {**_metadata(plan, called), "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {
            "description": f"Loads a model from {load.step.source} onto claim {claim}.",
            **({"params": params} if params else {}),
            "workspaces": [{"name": WORKSPACE, "description": f"claim {claim}", "mountPath": MOUNT}],
            "results": [{"name": key, "description": text} for key, text in RESULTS.items()],
            "volumes": [volume for volume in spec["volumes"] if volume["name"] != "claim"],
            "steps": [step],
        },
    }


def _pipeline(plan: Plan, called: str, params: list[dict[str, Any]]) -> dict[str, Any]:
    given = [{"name": item["name"], "value": f"$(params.{item['name']})"} for item in params]
    task = {
        "name": "load",
        "taskRef": {"name": called},
        "retries": RETRIES,
        **({"params": given} if given else {}),
        "workspaces": [{"name": WORKSPACE, "workspace": WORKSPACE}],
    }
    return {
        "apiVersion": API,
        "kind": "Pipeline",
        "metadata": _metadata(plan, called),
        "spec": {
            **({"params": params} if params else {}),
            "workspaces": [{"name": WORKSPACE}],
            "results": [{"name": key, "value": f"$(tasks.load.results.{key})"} for key in RESULTS],
            "tasks": [task],
        },
    }


def _run(plan: Plan, spec: dict[str, Any], called: str) -> dict[str, Any]:
    kept = ("automountServiceAccountToken", "enableServiceLinks", "securityContext", "nodeSelector", "tolerations")
    metadata = {key: value for key, value in _metadata(plan, called).items() if key != "name"}
    return {
        "apiVersion": API,
        "kind": "PipelineRun",
        "metadata": {"generateName": f"{called}-", **metadata},
        "spec": {
            "pipelineRef": {"name": called},
            "taskRunTemplate": {"podTemplate": {key: spec[key] for key in kept if key in spec}},
            "workspaces": [{"name": WORKSPACE, "persistentVolumeClaim": {"claimName": plan.claim}}],
        },
    }
