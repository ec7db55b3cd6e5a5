"""A plan whose model KServe imports itself: a LocalModelNamespaceCache, and what is served from its directory.

Owns the files and their order, which KServe does not keep: a service that is there first reads an empty directory.
"""

from __future__ import annotations

import shlex

from pvserve.errors import Refused
from pvserve.facts import name
from pvserve.plan.model_cache import KIND
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.objects import objects_of
from pvserve.render.scalars import dump_all

BEFORE = ("StorageClass", "PersistentVolumeClaim", KIND)
WAIT = "2h"


def kserve_cache(plan: Plan) -> dict[str, str]:
    """`NAME/kserve-cache/`: `import.yaml`, and `service.yaml` for when the import is done.

    Raises Refused: NothingToLoad, for a plan that loads nothing.
    """
    objects = objects_of(plan)
    cache = next((obj for obj in objects if obj["kind"] == KIND), None)
    if cache is None:
        raise Refused(
            "NothingToLoad",
            f"pvc://{plan.claim}/{plan.path} needs no load, and --to kserve-cache would import nothing",
            remedy=("render the serving objects: --to yaml, kustomize, helm or argocd",),
        )
    first = [obj for obj in objects if obj["kind"] in BEFORE]
    then = [obj for obj in objects if obj["kind"] not in BEFORE]
    root = f"{plan.service or plan.claim}/kserve-cache"
    return {
        f"{root}/import.yaml": header(plan, f"{KIND} {name(cache)}") + _steps(plan, name(cache)) + dump_all(first),
        **({f"{root}/service.yaml": _THEN + dump_all(then)} if then else {}),
    }


_THEN = """\
# What serves the imported model. Only once the import is done: see import.yaml.
"""


def _steps(plan: Plan, cache: str) -> str:
    where, place = shlex.quote(plan.namespace), f"pvc://{plan.claim}/{plan.path}"
    return f"""\
#
# {KIND} {cache} has KServe import the model with a Job of its own:
#     kubectl apply -f import.yaml
#     kubectl -n {where} wait --for=condition=Ready --timeout={WAIT} {KIND.lower()}/{cache}
#     pvserve verify {place} -n {where}
#     kubectl apply -f service.yaml
# KServe compares nothing with what the source publishes, and writes no manifest: verify digests what came, and ends
# with 10, since nothing says what it should be. An import that failed is made again when its Job is deleted.
"""
