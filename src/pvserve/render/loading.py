"""The load step of a plan, for forms in which the cluster itself loads.

Owns which loads a cluster can do without a client, and the objects that every such form needs beside its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pvserve.errors import Refused
from pvserve.facts import Object, name
from pvserve.plan import fetch_job
from pvserve.plan.load_step import FINAL_CODES, TERMINATION_LOG, job_of, program_map, step_pod
from pvserve.plan.loader import MOUNT, SOURCE
from pvserve.plan.steps import Load, LoadJob, Plan
from pvserve.render.header import load_command
from pvserve.render.objects import objects_of
from pvserve.transfer.program import fetch_files, step_files

PREREQUISITES = ("StorageClass", "PersistentVolumeClaim")


def find_load(plan: Plan) -> InCluster | None:
    """The plan's load, None where the model is on the claim. Raises Refused where only this machine has the model."""
    step = next((step for step in plan.steps if isinstance(step, Load | LoadJob)), None)
    if step is None:
        return None
    if isinstance(step, Load) and not step.source_claim:
        raise Refused(
            "SourceNotInCluster",
            f"the model lies in {step.source}, a directory of this machine, and a load in the cluster cannot read it",
            subject=step.source,
            remedy=(
                load_command(step, plan.namespace),
                "then render again: what is on the claim is not loaded; or add --no-load for the serving objects alone",
                "or name a model that the cluster can read: pvc://CLAIM/PATH of the same namespace, s3://, "
                "https://, hf://, oci://",
            ),
        )
    files = fetch_files() if isinstance(step, LoadJob) else step_files()
    return InCluster(plan.namespace, step, program_map(plan.namespace, files))


def refuse_signed_address(plan: Plan) -> None:
    """Refuse to write an address with a query, which is how servers give out signatures and tokens."""
    for step in plan.steps:
        if isinstance(step, LoadJob) and "?" in str(step.order["source"]["uri"]):
            raise Refused(
                "SecretInObject",
                f"the address {step.source.partition('?')[0]} has a query, which may hold a signature",
                remedy=(
                    "name the file without one, and put what the server asks for into a Secret: --connection NAME",
                ),
            )


def load_of(plan: Plan, form: str) -> InCluster:
    """As `find_load`, for a form that is nothing but the load. Raises Refused: also NothingToLoad."""
    load = find_load(plan)
    if load is None:
        raise Refused(
            "NothingToLoad",
            f"pvc://{plan.claim}/{plan.path} needs no load, and --to {form} would hold nothing else",
            remedy=("render the serving objects: --to yaml, kustomize, helm or argocd",),
        )
    return load


@dataclass(frozen=True)
class InCluster:
    """A load that the cluster does itself, with the ConfigMap that holds its program."""

    namespace: str
    step: Load | LoadJob
    program: dict[str, Any]

    @property
    def program_file(self) -> str:
        """The name of the file for the program; the same for all models of a namespace."""
        return f"{name(self.program)}.yaml"

    @property
    def final_codes(self) -> tuple[int, ...]:
        """Exit codes after which another pod would end the same way."""
        return fetch_job.FINAL_CODES if isinstance(self.step, LoadJob) else FINAL_CODES

    @property
    def takes_path(self) -> bool:
        """Whether the path may be a parameter of a form's own; in what a fetch is asked it is one word of many."""
        return isinstance(self.step, Load)

    @property
    def source_mount(self) -> str:
        """Where a pod that mounts each claim once has the source's; "" where no claim holds the source."""
        if isinstance(self.step, LoadJob):
            return ""
        return MOUNT if self.step.source_claim == self.step.claim else SOURCE

    def pod(self, results: Sequence[str], *, path: str = "", mounted_once: bool = False) -> dict[str, Any]:
        """Labels and spec of the pod. `results` are arguments, `path` the form's word for the path.

        With `mounted_once` a claim that is source and target is read through its one mount.
        """
        if isinstance(self.step, LoadJob):
            return fetch_job.fetch_pod(self.step, name(self.program), results)
        source = self.source_mount if mounted_once else SOURCE
        pod = step_pod(self.step, name(self.program), results, source=source, path=path)
        if source != SOURCE:
            container = pod["spec"]["containers"][0]
            container["volumeMounts"] = [mount for mount in container["volumeMounts"] if mount["mountPath"] != SOURCE]
        return pod

    def job(self) -> dict[str, Any]:
        """The Job around it, whose result is in the pod's termination message."""
        place = f"pvc://{self.step.claim}/{self.step.path}"
        if isinstance(self.step, LoadJob):  # its labels may name a queue
            return job_of(
                self.pod(()), place, self.namespace, self.final_codes, self.step.job["metadata"].get("labels")
            )
        return job_of(self.pod(("--result", TERMINATION_LOG)), place, self.namespace, self.final_codes)


def before_load(plan: Plan) -> tuple[dict[str, Any], ...]:
    """The objects that a load needs: the class and the claim, as far as the plan makes them."""
    return tuple(obj for obj in objects_of(plan) if is_before_load(obj))


def is_before_load(obj: Object) -> bool:
    """Whether a load needs the object."""
    return obj["kind"] in PREREQUISITES
