"""The objects of a plan for Argo CD: an Application, and the objects in waves.

Owns the waves and Argo's own annotations. The load is a plain Job in a wave and no hook: a hook runs at every sync and
never in a selective one, while a Job whose name tells its content runs once for it, and its failure stops the sync.

Source: https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/ and …/sync-options/
"""

from __future__ import annotations

from typing import Any

from pvserve.errors import UsageError
from pvserve.facts import Object, annotations_of, name
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.kustomize import file_name
from pvserve.render.loading import find_load, is_before_load
from pvserve.render.objects import objects_of
from pvserve.render.options import Options
from pvserve.render.scalars import dump

WAVE = "argocd.argoproj.io/sync-wave"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"
# The data outlives a file that is gone from Git, and the Application.
KEPT = "Prune=false,Delete=false"
# As the API server stores them: KServe's and Open Data Hub's admission adds to the objects.
COMPARED = "ServerSideDiff=true,IncludeMutationWebhook=true"


def argocd(plan: Plan, options: Options) -> dict[str, str]:
    """`NAME/application.yaml`, and the objects in `NAME/manifests/`.

    Raises UsageError without a repository, which an Application must name.
    """
    if not options.repository:
        raise UsageError(
            "Usage",
            "an Application names the Git repository that its files are in, and none was given",
            remedy=("add --repo URL, and --repo-path for the directory in it that --dir stands for",),
        )
    root = plan.service or plan.claim
    load = find_load(plan)
    objects = objects_of(plan)
    files = {file_name(obj, objects): dump(_placed(obj, waves=load is not None)) for obj in objects}
    loads = ""
    if load is not None:
        made = load.job()
        files |= {load.program_file: dump(load.program), "load.yaml": dump(made)}
        loads = f"Job {name(made)}"
    return {
        f"{root}/application.yaml": header(plan, loads) + _HEAD + dump(_application(plan, root, options)),
        **{f"{root}/manifests/{file}": text for file, text in files.items()},
    }


_HEAD = """\
#
# Apply this file in Argo CD's own namespace: kubectl apply -n argocd -f application.yaml
"""


def _application(plan: Plan, root: str, options: Options) -> dict[str, Any]:
    path = "/".join(part for part in (options.directory.strip("/"), root, "manifests") if part)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": root, "annotations": {COMPARE_OPTIONS: COMPARED}},
        "spec": {
            "project": "default",
            "source": {"repoURL": options.repository, "targetRevision": options.revision, "path": path},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": plan.namespace},
            "syncPolicy": {"syncOptions": ["ServerSideApply=true"]},
        },
    }


def _placed(obj: dict[str, Any], *, waves: bool) -> dict[str, Any]:
    """The object with Argo's annotations.

    A claim that waits for its first pod is never Healthy before it has one (argo-cd#12840), and a wave waits for the
    health of the one before it. So the claim is in the Job's wave, and without a Job nothing is in another wave.
    """
    added: dict[str, str] = {}
    if is_before_load(obj):
        added[SYNC_OPTIONS] = KEPT
    elif waves:
        added[WAVE] = "1"
    return _annotated(obj, added)


def _annotated(obj: Object, added: dict[str, str]) -> dict[str, Any]:
    annotations = {**annotations_of(obj), **added}
    return {**obj, "metadata": {**obj["metadata"], **({"annotations": annotations} if annotations else {})}}
