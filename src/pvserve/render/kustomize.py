"""The objects of a plan as a kustomize base, with an overlay for its environment.

Owns the directory's layout. The base is what environments have in common: it names no namespace, and holds no claim. An
overlay says all of its environment's values itself, so that rendering for another one changes nothing of it. Labels
stay as they are, because a selector of KServe's or of a dashboard's may look for them.
"""

from __future__ import annotations

from typing import Any

from pvserve.facts import Object, name
from pvserve.plan.diff import at
from pvserve.plan.edit_service import KIND, uri_path
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.objects import objects_of
from pvserve.render.options import Options
from pvserve.render.scalars import dump

_FILES = {
    "StorageClass": "storageclass",
    "PersistentVolumeClaim": "claim",
    "ServingRuntime": "runtime",
    "InferenceService": "service",
}


def kustomize(plan: Plan, options: Options) -> dict[str, str]:
    """`SERVICE/base/` and `SERVICE/overlays/ENVIRONMENT/`; several models can be written into one directory.

    The environment is the namespace where `options` names none.
    """
    root = plan.service or plan.claim
    overlay = f"{root}/overlays/{options.environment or plan.namespace}"
    objects = objects_of(plan)
    own = {file_name(obj, objects): dump(_without_namespace(obj)) for obj in objects if obj["kind"] in _OF_ENVIRONMENT}
    common = {
        file_name(obj, objects): dump(_without_place(_without_namespace(obj)))
        for obj in objects
        if obj["kind"] not in _OF_ENVIRONMENT
    }
    patches = [_patch(obj) for obj in objects if _place(obj)]
    resources = [*(["../../base"] if common else []), *own]  # kustomize refuses a base without resources
    made = {"namespace": plan.namespace, "resources": resources, **({"patches": patches} if patches else {})}
    base = {"kustomization.yaml": _BASE_HEAD + _kustomization({"resources": list(common)}), **common} if common else {}
    return {
        **{f"{root}/base/{file}": text for file, text in base.items()},
        f"{overlay}/kustomization.yaml": header(plan) + _kustomization(made),
        **{f"{overlay}/{file}": text for file, text in own.items()},
    }


_BASE_HEAD = """\
# What all environments have in common. Namespace, claim and the model's place are in the overlays.
"""
_OF_ENVIRONMENT = ("StorageClass", "PersistentVolumeClaim")


def _place(obj: Object) -> tuple[str, ...]:
    """The path of the field that says where the model is; claim and path may differ between environments."""
    path = uri_path(obj) if obj["kind"] == KIND else ()
    return path if path and at(obj, path) else ()


def _patch(obj: Object) -> dict[str, Any]:
    path = _place(obj)
    patch = [{"op": "add", "path": "/" + "/".join(path), "value": at(obj, path)}]
    return {"target": {"kind": KIND, "name": name(obj)}, "patch": dump(patch)}


def _without_place(obj: dict[str, Any]) -> dict[str, Any]:
    return _without(obj, _place(obj)) if _place(obj) else obj


def _without(node: Object, path: tuple[str, ...]) -> dict[str, Any]:
    first, *rest = path
    if not rest:
        return {key: value for key, value in node.items() if key != first}
    return {**node, first: _without(node[first], tuple(rest))}


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
