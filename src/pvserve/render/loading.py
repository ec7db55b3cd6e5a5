"""The load step of a plan, for forms in which the cluster itself loads.

Owns which loads a cluster can do without a client, and the objects that every such form needs beside its own.
"""

from __future__ import annotations

from typing import Any

from pvserve.errors import Refused
from pvserve.facts import Object, name
from pvserve.plan.fetching import rendered_job
from pvserve.plan.load_step import program_map, step_job
from pvserve.plan.steps import Load, LoadJob, Plan
from pvserve.render.header import fetch_command, load_command
from pvserve.render.objects import objects_of
from pvserve.transfer.program import fetch_files, step_files

PREREQUISITES = ("StorageClass", "PersistentVolumeClaim")


def find_load(plan: Plan) -> Load | None:
    """The plan's load, None where the model is on the claim. Raises Refused where only this machine has the model."""
    fetch = next((step for step in plan.steps if isinstance(step, LoadJob)), None)
    if fetch is not None:
        raise Refused(
            "FetchNotRendered",
            f"the load of {fetch.source} is rendered as a Job alone, not as a step of a pipeline",
            subject=fetch.source,
            remedy=(
                "render it with --to job or argocd",
                f"or load it: {fetch_command(fetch, plan.namespace)}",
                "then render again: what is on the claim is not loaded; or add --no-load for the serving objects alone",
            ),
        )
    load = next((step for step in plan.steps if isinstance(step, Load)), None)
    if load is not None and not load.source_claim:
        raise Refused(
            "SourceNotInCluster",
            f"the model lies in {load.source}, a directory of this machine, and a load in the cluster cannot read it",
            subject=load.source,
            remedy=(
                load_command(load, plan.namespace),
                "then render again: what is on the claim is not loaded; or add --no-load for the serving objects alone",
                "or name a model that the cluster can read: pvc://CLAIM/PATH of the same namespace",
            ),
        )
    return load


def job_of(plan: Plan) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The Job that loads, and the ConfigMap with its program; None where the model is on the claim.

    Raises Refused where only this machine has the model.
    """
    fetch = next((step for step in plan.steps if isinstance(step, LoadJob)), None)
    if fetch is not None:
        program = program_map(plan.namespace, fetch_files())
        return rendered_job(fetch, name(program)), program
    load = find_load(plan)
    if load is None:
        return None
    program = program_map(plan.namespace, step_files())
    return step_job(load, plan.namespace, name(program)), program


def nothing_to_load(plan: Plan, form: str) -> Refused:
    """A form that is nothing but the load would be empty."""
    return Refused(
        "NothingToLoad",
        f"pvc://{plan.claim}/{plan.path} needs no load, and --to {form} would hold nothing else",
        remedy=("render the serving objects: --to yaml, kustomize, helm or argocd",),
    )


def load_of(plan: Plan, form: str) -> Load:
    """As `find_load`, for a form that is nothing but the load. Raises Refused: also NothingToLoad."""
    load = find_load(plan)
    if load is None:
        raise nothing_to_load(plan, form)
    return load


def program(plan: Plan) -> dict[str, Any]:
    """The ConfigMap with the load step's program."""
    return program_map(plan.namespace, step_files())


def before_load(plan: Plan) -> tuple[dict[str, Any], ...]:
    """The objects that a load needs: the class and the claim, as far as the plan makes them."""
    return tuple(obj for obj in objects_of(plan) if is_before_load(obj))


def is_before_load(obj: Object) -> bool:
    """Whether a load needs the object."""
    return obj["kind"] in PREREQUISITES
