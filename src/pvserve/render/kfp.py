"""The load of a plan for Kubeflow Pipelines and Data Science Pipelines: a pipeline to import, and a Python component.

Owns the layout, and the pipeline's intermediate representation as kfp's own compiler writes it (tests/kfp compares). It
runs the container that `plan.load_step` builds, so the image needs no kfp.

Source: https://github.com/kubeflow/pipelines api/v2alpha1/pipeline_spec.proto, kubernetes_platform/proto
"""

from __future__ import annotations

from typing import Any

from pvserve.errors import Refused
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.kfp_component import component
from pvserve.render.loading import InCluster, before_load, load_of
from pvserve.render.scalars import dump, dump_all
from pvserve.spec.quantity import parse_quantity

SCHEMA = "2.1.0"
SDK = "kfp-2.17.3"  # the compiler whose output this is
TASK, EXECUTOR, COMPONENT = "load-model", "exec-load-model", "comp-load-model"
FILES = ("uri", "digest", "bytes")
OUTPUTS = {"bytes": "NUMBER_INTEGER", "digest": "STRING", "uri": "STRING"}
RETRIES = 3
_GIGABYTE = 1e9


def kfp(plan: Plan) -> dict[str, str]:
    """`NAME/kfp/`: `pipeline.yaml` to import, what it needs, and `component.py` with the same load.

    Raises Refused where the platform's part of a pipeline has no word for what the pod mounts.
    """
    load = load_of(plan, "kfp")
    root = plan.service or plan.claim
    called = f"{root}-load"
    files = [word for key in FILES for word in (f"--{key}-file", f"{{{{$.outputs.parameters['{key}'].output_file}}}}")]
    spec = load.pod(files, path="{{$.inputs.parameters['path']}}", mounted_once=True)["spec"]
    return {
        f"{root}/kfp/needed.yaml": dump_all([*before_load(plan), load.program]),
        f"{root}/kfp/pipeline.yaml": header(plan, f"Pipeline {called}")
        + dump(_pipeline(load, spec, called))
        + dump_all([_platform(spec)]),
        f"{root}/kfp/component.py": component(load.step, spec, load.source_mount),
    }


def _pipeline(load: InCluster, spec: dict[str, Any], called: str) -> dict[str, Any]:
    task: dict[str, Any] = {
        "cachingOptions": {},  # off: a load that was skipped since it ran once would leave another claim empty
        "componentRef": {"name": COMPONENT},
        "retryPolicy": {
            "backoffDuration": "0s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "3600s",
            "maxRetryCount": RETRIES,
        },
        "taskInfo": {"name": TASK},
    }
    interface: dict[str, Any] = {
        "executorLabel": EXECUTOR,
        "outputDefinitions": {"parameters": {key: {"parameterType": kind} for key, kind in OUTPUTS.items()}},
    }
    root: dict[str, Any] = {"dag": {"tasks": {TASK: task}}}
    if load.takes_path:
        task["inputs"] = {"parameters": {"path": {"componentInputParameter": "path"}}}
        interface["inputDefinitions"] = {"parameters": {"path": {"parameterType": "STRING"}}}
        path = {"defaultValue": load.step.path, "isOptional": True, "parameterType": "STRING"}
        root["inputDefinitions"] = {"parameters": {"path": path}}
    words = f"Loads a model from {load.step.source} onto claim {load.step.claim}."
    return {
        "components": {COMPONENT: interface},
        "deploymentSpec": {"executors": {EXECUTOR: {"container": _container(spec["containers"][0])}}},
        "pipelineInfo": {"description": words, "name": called},
        "root": root,
        "schemaVersion": SCHEMA,
        "sdkVersion": SDK,
    }


def _container(container: dict[str, Any]) -> dict[str, Any]:
    return {
        "args": container["args"],
        "command": container["command"],
        "env": [dict(item) for item in container.get("env", ())],
        "image": container["image"],
        "resources": _resources(container.get("resources", {})),
    }


def _resources(resources: dict[str, Any]) -> dict[str, Any]:
    """Each twice: as text, and as the numbers (cores, gigabytes) that older backends read."""
    made: dict[str, Any] = {}
    for which in ("limit", "request"):
        given = resources.get(f"{which}s") or {}
        if cpu := given.get("cpu"):
            cores = float(cpu[:-1]) / 1000 if str(cpu).endswith("m") else float(cpu)
            made |= {f"cpu{which.title()}": cores, f"resourceCpu{which.title()}": cpu}
        if memory := given.get("memory"):
            made |= {
                f"memory{which.title()}": parse_quantity(memory) / _GIGABYTE,
                f"resourceMemory{which.title()}": memory,
            }
    return dict(sorted(made.items()))


def _platform(spec: dict[str, Any]) -> dict[str, Any]:
    """What only Kubernetes knows of: kfp-kubernetes' part of the file. kfp itself gives the pod a /tmp."""
    mounts = {mount["name"]: str(mount["mountPath"]) for mount in spec["containers"][0]["volumeMounts"]}
    executor: dict[str, Any] = {"imagePullPolicy": "IfNotPresent"}
    for volume in spec["volumes"]:
        if volume["name"] in mounts and "emptyDir" not in volume:
            word, value = _mounted(volume, mounts[volume["name"]])
            executor.setdefault(word, []).append(value)
    if spec.get("nodeSelector"):
        executor["nodeSelector"] = {"labels": dict(spec["nodeSelector"])}
    if spec.get("tolerations"):
        executor["tolerations"] = [dict(item) for item in spec["tolerations"]]
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {EXECUTOR: dict(sorted(executor.items()))}}}}}


def _mounted(volume: dict[str, Any], mount: str) -> tuple[str, dict[str, Any]]:
    """A volume as the platform says it: its list, and the entry."""
    if claim := volume.get("persistentVolumeClaim"):
        called = claim["claimName"]
        return "pvcMount", {"constant": called, "mountPath": mount, "pvcNameParameter": _constant(called)}
    kind, given = ("configMap", volume.get("configMap")) if "configMap" in volume else ("secret", volume.get("secret"))
    if not given or given.get("items"):
        raise Refused(
            "NoWordInForm",
            f"a pipeline of kfp cannot mount volume {volume['name']}: of a Secret or ConfigMap it takes all keys",
            remedy=(
                "use a connection whose Secret holds nothing else",
                "or another form: --to job, tekton, argo-workflows",
            ),
        )
    called = given["name"] if kind == "configMap" else given["secretName"]
    return f"{kind}AsVolume", {
        f"{kind}Name": called,
        f"{kind}NameParameter": _constant(called),
        "mountPath": mount,
        "optional": bool(given.get("optional", False)),
    }


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}
