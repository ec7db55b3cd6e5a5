"""The load of a plan as an Argo WorkflowTemplate, and a Workflow that starts it.

Owns Argo's words for the container that `plan.load_step` builds.

Source: https://argo-workflows.readthedocs.io/en/latest/fields/
"""

from __future__ import annotations

import hashlib
from typing import Any

from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.load_step import BACKOFF_LIMIT
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.loading import InCluster, before_load, load_of
from pvserve.render.scalars import dump, dump_all

API = "argoproj.io/v1alpha1"
VALUES = ("uri", "digest", "bytes")
TMP_MOUNT = "/tmp"  # noqa: S108 - in the pod: `plan.loader` mounts an emptyDir there


def argo_workflows(plan: Plan) -> dict[str, str]:
    """`NAME/argo-workflows/`: objects to apply, and `workflow.yaml` to create."""
    load = load_of(plan, "argo-workflows")
    root = plan.service or plan.claim
    called = f"{root}-load"
    template = _template(plan, load, called)
    return {
        f"{root}/argo-workflows/needed.yaml": dump_all([*before_load(plan), load.program]),
        f"{root}/argo-workflows/workflowtemplate.yaml": header(plan, f"WorkflowTemplate {called}") + dump(template),
        f"{root}/argo-workflows/workflow.yaml": _RUN_HEAD + dump(_workflow(plan, called)),
    }


_RUN_HEAD = """\
# Starts the load once: kubectl create -f workflow.yaml, after kubectl apply of the other files.
"""


def _template(plan: Plan, load: InCluster, called: str) -> dict[str, Any]:
    files = [word for key in VALUES for word in (f"--{key}-file", f"{TMP_MOUNT}/{key}")]
    pod = load.pod(files, path="{{inputs.parameters.path}}")
    spec = pod["spec"]
    container = {key: value for key, value in spec["containers"][0].items() if key != "name"}
    codes = ", ".join(map(str, load.final_codes))
    step = {
        "name": "load",
        "metadata": {"labels": pod["labels"]},
        **({"inputs": {"parameters": [{"name": "path"}]}} if load.takes_path else {}),
        "container": container,
        "retryStrategy": {
            "limit": str(BACKOFF_LIMIT),
            "retryPolicy": "Always",
            "expression": f"!(asInt(lastRetry.exitCode) in [{codes}])",
        },
        "outputs": {"parameters": [{"name": key, "valueFrom": {"path": f"{TMP_MOUNT}/{key}"}} for key in VALUES]},
    }
    kept = ("securityContext", "nodeSelector", "tolerations", "volumes")
    return {
        "apiVersion": API,
        "kind": "WorkflowTemplate",
        "metadata": {"name": called, "namespace": plan.namespace, "labels": {MANAGED_BY: "pvserve"}},
        "spec": {
            "entrypoint": "load",
            **({"arguments": {"parameters": [{"name": "path", "value": plan.path}]}} if load.takes_path else {}),
            # One workflow at a time writes to the place; other writers are kept apart on the volume itself.
            "synchronization": {"mutexes": [{"name": _mutex(plan.claim)}]},
            **{key: spec[key] for key in kept if key in spec},
            "templates": [step],
        },
    }


def _workflow(plan: Plan, called: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "Workflow",
        "metadata": {
            "generateName": f"{called}-",
            "namespace": plan.namespace,
            "labels": {MANAGED_BY: "pvserve"},
        },
        "spec": {"workflowTemplateRef": {"name": called}},
    }


def _mutex(claim: str) -> str:
    return "pvserve-" + hashlib.sha256(claim.encode()).hexdigest()[:20]
