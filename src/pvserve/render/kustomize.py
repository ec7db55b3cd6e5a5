"""The objects of a plan as a kustomize base, with an overlay for its namespace.

Owns the directory's layout. The base names no namespace, so that another environment is another overlay; labels stay
as they are, because a selector of KServe's or of a dashboard's may look for them.
"""

from __future__ import annotations

from typing import Any

from pvserve.facts import Object, name
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.objects import objects_of
from pvserve.render.scalars import dump

_FILES = {
    "StorageClass": "storageclass",
    "PersistentVolumeClaim": "claim",
    "ServingRuntime": "runtime",
    "InferenceService": "service",
}


def kustomize(plan: Plan) -> dict[str, str]:
    """`SERVICE/base/` and `SERVICE/overlays/NAMESPACE/`; several models can be written into one directory."""
    root = plan.service or plan.claim
    objects = objects_of(plan)
    files = {file_name(obj, objects): dump(_without_namespace(obj)) for obj in objects}
    base = _kustomization({"resources": list(files)})
    overlay = _kustomization({"namespace": plan.namespace, "resources": ["../../base"]})
    return {
        f"{root}/base/kustomization.yaml": header(plan) + base,
        **{f"{root}/base/{file}": text for file, text in files.items()},
        f"{root}/overlays/{plan.namespace}/kustomization.yaml": overlay,
    }


def _kustomization(fields: dict[str, Any]) -> str:
    return dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **fields})


def file_name(obj: Object, objects: tuple[dict[str, Any], ...]) -> str:
    """`claim.yaml`; with the object's name where there are two of a kind."""
    kind = str(obj["kind"])
    stem = _FILES.get(kind, kind.lower())
    alone = sum(other["kind"] == kind for other in objects) == 1
    return f"{stem}.yaml" if alone else f"{stem}-{name(obj)}.yaml"


def _without_namespace(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "namespace"}}
