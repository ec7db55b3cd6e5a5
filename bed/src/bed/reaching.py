"""From which nodes a volume can be mounted, as a storage system decides it when the volume is made.

Owns this decision. Pure. On this machine every volume could be mounted anywhere; the bed holds to what its classes
stand for: a block volume is of one node, a shared one of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bed.services import READERS, SHARED
from bed.settings import NODE

Object = dict[str, Any]
SELECTED_NODE = "volume.kubernetes.io/selected-node"
HOSTNAME, SYSTEM = "kubernetes.io/hostname", "kubernetes.io/os"


def terms_for(claim: Object, storage_class: Object, nodes: Iterable[Object]) -> list[Object]:
    """The node selector terms of the volume: those of the class for a shared or read-only one, else one node.

    That is the one that the scheduler selected, or for a class that binds at once the first that the class allows.
    """
    allowed = [
        {"matchExpressions": [{**e, "operator": "In"} for e in term.get("matchLabelExpressions") or ()]}
        for term in storage_class.get("allowedTopologies") or ()
    ]
    if storage_class["provisioner"] == SHARED or READERS in (storage_class.get("parameters") or {}):
        return allowed or [_in(SYSTEM, "linux")]
    selected = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
    fitting = sorted(node["metadata"]["name"] for node in nodes if not allowed or any(_fits(node, t) for t in allowed))
    return [_in(HOSTNAME, selected or next(iter(fitting), NODE))]


def _in(key: str, value: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}


def _fits(node: Object, term: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(e["key"]) in e["values"] for e in term["matchExpressions"])
