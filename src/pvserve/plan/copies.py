"""A copy of an object that a server stored, as something that can be applied under another name.

Owns what never survives into a copy, and what makes up the content of an object. Pure.
Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ (fields set by the system)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pvserve.facts import Object

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_KEPT_METADATA = ("labels", "annotations")
# Written by others for the one object that they were written for.
_LEFT_ANNOTATIONS = frozenset({LAST_APPLIED, *DEFAULT_CLASS, "modelFormat", "pvserve.io/before"})
_LEFT_LABELS = frozenset({"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "pvserve.io/model"})


def copy_of(obj: Object, name: str, namespace: str = "") -> dict[str, Any]:
    """`obj` under another name: of its metadata only labels and annotations, no status, all else as it is.

    So uid, resourceVersion, creationTimestamp, generation, managedFields, ownerReferences and finalizers go, with
    the last-applied and default-class annotations. `namespace` empty is for objects of the cluster.
    """
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    for key, left in zip(_KEPT_METADATA, (_LEFT_LABELS, _LEFT_ANNOTATIONS), strict=True):
        kept = {word: value for word, value in (obj["metadata"].get(key) or {}).items() if word not in left}
        if kept:
            metadata[key] = kept
    copy: dict[str, Any] = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}
    copy.update({k: deepcopy(v) for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata", "status")})
    return copy


def content(obj: Object) -> dict[str, Any]:
    """What people and controllers wrote into an object: no status, no metadata that the server keeps."""
    metadata = obj["metadata"]
    kept = {key: value for key in ("name", "namespace", *_KEPT_METADATA) if (value := metadata.get(key))}
    if LAST_APPLIED in kept.get("annotations", {}):
        kept["annotations"] = {k: v for k, v in kept["annotations"].items() if k != LAST_APPLIED}
    return {**{k: v for k, v in obj.items() if k not in ("status", "metadata")}, "metadata": kept}


def content_digest(obj: Object) -> str:
    """Changes when the object's content does, and not with its status or resourceVersion."""
    return hashlib.sha256(json.dumps(content(obj), sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
