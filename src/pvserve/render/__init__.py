"""A plan as files, for Git and for review.

Owns the forms. Does no I/O: a form returns file names and their text, and whoever asked writes them. Must not decide
anything that the plan does not say, nor add anything that a live run would not do.
"""

from __future__ import annotations

from collections.abc import Callable

from pvserve.errors import UsageError
from pvserve.plan.steps import Plan
from pvserve.render.argo_workflows import argo_workflows
from pvserve.render.argocd import argocd
from pvserve.render.helm import helm
from pvserve.render.job import job
from pvserve.render.kfp import kfp
from pvserve.render.kserve_cache import kserve_cache
from pvserve.render.kustomize import kustomize
from pvserve.render.loading import refuse_signed_address
from pvserve.render.manifests import manifests
from pvserve.render.options import Options
from pvserve.render.tekton import tekton

FORMS: dict[str, Callable[[Plan, Options], dict[str, str]]] = {
    "yaml": lambda plan, _: manifests(plan),
    "kustomize": kustomize,
    "helm": lambda plan, _: helm(plan),
    "argocd": argocd,
    "job": lambda plan, _: job(plan),
    "tekton": lambda plan, _: tekton(plan),
    "kfp": lambda plan, _: kfp(plan),
    "argo-workflows": lambda plan, _: argo_workflows(plan),
    "kserve-cache": lambda plan, _: kserve_cache(plan),
}

__all__ = ["FORMS", "Options", "render"]


def render(plan: Plan, form: str, options: Options | None = None) -> dict[str, str]:
    """The files of `form` by name, relative, in a stable order; byte for byte the same for the same plan.

    Raises UsageError for a form that does not exist, or that lacks an option; Refused for what may not be in a file.
    """
    if form not in FORMS:
        raise UsageError("UnknownForm", f"there is no form {form!r} to render to; there are {', '.join(FORMS)}")
    refuse_signed_address(plan)
    return FORMS[form](plan, options or Options())
