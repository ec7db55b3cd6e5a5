"""The claim, the Retain copy of its class, and what is recorded on it.

Owns these objects. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pvserve.facts import Object, annotations_of, name
from pvserve.plan.copies import copy_of
from pvserve.plan.diff import missing
from pvserve.plan.edit_service import MANAGED_BY
from pvserve.spec.names import SUBDOMAIN_MAX

MODELS = "pvserve.io/models"
RETAIN = "Retain"
SUFFIX = "-retain"
_CLASS_FIELDS = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode", "mountOptions", "allowedTopologies")


def retain_class(origin: Object) -> dict[str, Any]:
    """A copy of the class whose volumes outlive their claims. Never the default class.

    Source: https://kubernetes.io/docs/concepts/storage/storage-classes/#reclaim-policy
    """
    copy = copy_of(origin, f"{name(origin)[: SUBDOMAIN_MAX - len(SUFFIX)]}{SUFFIX}")
    copy["reclaimPolicy"] = RETAIN
    copy["metadata"].setdefault("labels", {})[MANAGED_BY] = "pvserve"
    return copy


def existing_copy(wanted: Object, classes: Sequence[Object]) -> Object | None:
    """A class that is already what the copy would be, but for its name and labels."""
    fields = {key: wanted[key] for key in _CLASS_FIELDS if key in wanted}
    same = [
        item for item in classes if not missing(fields, item) and item.get("parameters") == wanted.get("parameters")
    ]
    named = [item for item in same if name(item) == name(wanted)]
    return next(iter(named or same), None)


def new_claim(claim: str, namespace: str, storage_class: str, mode: str, size: str) -> dict[str, Any]:
    """The claim that is to hold the model; the labels and name are what the Open Data Hub dashboard lists."""
    spec: dict[str, Any] = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim,
            "namespace": namespace,
            "labels": {MANAGED_BY: "pvserve", "opendatahub.io/dashboard": "true"},
            "annotations": {"openshift.io/display-name": claim},
        },
        "spec": spec,
    }


def recorded_models(claim: Object | None) -> Mapping[str, Mapping[str, Any]]:
    """What pvserve noted on the claim, by path: manifest digest, bytes, files, source, time; {} where unreadable."""
    try:
        found = json.loads(annotations_of(claim).get(MODELS, "{}")) if claim is not None else {}
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}


def access_modes(claim: Object) -> tuple[str, ...]:
    """The modes that the bound volume has, or that were asked for."""
    status = (claim.get("status") or {}).get("accessModes")
    return tuple(status or claim["spec"].get("accessModes") or ())


def is_bound(claim: Object) -> bool:
    """Whether there is a volume under the claim."""
    return bool((claim.get("status") or {}).get("phase") == "Bound")
