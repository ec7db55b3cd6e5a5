"""The load of a plan for Kubeflow Pipelines and Data Science Pipelines: a pipeline to import, and a Python component.

Owns the layout, and the pipeline's intermediate representation as kfp's own compiler writes it (tests/kfp compares). It
runs the container that `plan.load_step` builds, so the image needs no kfp.

Source: https://github.com/kubeflow/pipelines api/v2alpha1/pipeline_spec.proto, kubernetes_platform/proto
"""

from __future__ import annotations

from typing import Any

from pvserve.facts import name
from pvserve.plan.load_step import PROGRAM_MOUNT, step_arguments, step_pod
from pvserve.plan.loader import MOUNT, SOURCE
from pvserve.plan.steps import Load, Plan
from pvserve.render.header import header
from pvserve.render.kfp_component import component
from pvserve.render.loading import before_load, load_of, program
from pvserve.render.scalars import dump, dump_all
from pvserve.spec.quantity import parse_quantity

SCHEMA = "2.1.0"
SDK = "kfp-2.17.3"  # the compiler whose output this is
TASK, EXECUTOR, COMPONENT = "load-model", "exec-load-model", "comp-load-model"
OUTPUTS = {"bytes": "NUMBER_INTEGER", "digest": "STRING", "uri": "STRING"}
RETRIES = 3
_GIGABYTE = 1e9


def kfp(plan: Plan) -> dict[str, str]:
    """`NAME/kfp/`: `pipeline.yaml` to import, `component.py` for pipelines of your own, and what both need."""
    load = load_of(plan, "kfp")
    root = plan.service or plan.claim
    called = f"{root}-load"
    spec = step_pod(load, name(program(plan)), [])["spec"]
    return {
        f"{root}/kfp/needed.yaml": dump_all([*before_load(plan), program(plan)]),
        f"{root}/kfp/pipeline.yaml": header(plan, f"Pipeline {called}")
        + dump(_pipeline(load, spec, called))
        + dump_all([_platform(plan, load, spec)]),
        f"{root}/kfp/component.py": component(load, image=str(spec["containers"][0]["image"])),
    }


def source_mount(load: Load) -> str:
    """Where the task has the source: a claim that is source and target is mounted once."""
    return MOUNT if load.source_claim == load.claim else SOURCE


def _pipeline(load: Load, spec: dict[str, Any], called: str) -> dict[str, Any]:
    path = {"defaultValue": load.path, "isOptional": True, "parameterType": "STRING"}
    task = {
        "cachingOptions": {},  # off: a load that was skipped since it ran once would leave another claim empty
        "componentRef": {"name": COMPONENT},
        "inputs": {"parameters": {"path": {"componentInputParameter": "path"}}},
        "retryPolicy": {
            "backoffDuration": "0s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": "3600s",
            "maxRetryCount": RETRIES,
        },
        "taskInfo": {"name": TASK},
    }
    return {
        "components": {
            COMPONENT: {
                "executorLabel": EXECUTOR,
                "inputDefinitions": {"parameters": {"path": {"parameterType": "STRING"}}},
                "outputDefinitions": {"parameters": {key: {"parameterType": kind} for key, kind in OUTPUTS.items()}},
            }
        },
        "deploymentSpec": {"executors": {EXECUTOR: {"container": _container(load, spec["containers"][0])}}},
        "pipelineInfo": {"description": f"Loads a model from {load.source} onto claim {load.claim}.", "name": called},
        "root": {"dag": {"tasks": {TASK: task}}, "inputDefinitions": {"parameters": {"path": path}}},
        "schemaVersion": SCHEMA,
        "sdkVersion": SDK,
    }


def _container(load: Load, container: dict[str, Any]) -> dict[str, Any]:
    arguments = step_arguments(load, source=source_mount(load), path="{{$.inputs.parameters['path']}}")
    for key in ("uri", "digest", "bytes"):
        arguments += [f"--{key}-file", f"{{{{$.outputs.parameters['{key}'].output_file}}}}"]
    return {
        "args": arguments,
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


def _platform(plan: Plan, load: Load, spec: dict[str, Any]) -> dict[str, Any]:
    """What only Kubernetes knows of: kfp-kubernetes' part of the file."""
    claims = {load.claim: MOUNT, **({load.source_claim: SOURCE} if source_mount(load) == SOURCE else {})}
    executor: dict[str, Any] = {
        "configMapAsVolume": [
            {
                "configMapName": name(program(plan)),
                "configMapNameParameter": _constant(name(program(plan))),
                "mountPath": PROGRAM_MOUNT,
                "optional": False,
            }
        ],
        "imagePullPolicy": "IfNotPresent",
    }
    if spec.get("nodeSelector"):
        executor["nodeSelector"] = {"labels": dict(spec["nodeSelector"])}
    executor["pvcMount"] = [
        {"constant": claim, "mountPath": mount, "pvcNameParameter": _constant(claim)} for claim, mount in claims.items()
    ]
    if spec.get("tolerations"):
        executor["tolerations"] = [dict(item) for item in spec["tolerations"]]
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {EXECUTOR: executor}}}}}


def _constant(value: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": value}}
