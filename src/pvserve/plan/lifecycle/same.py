"""Volumes that hold the same data, and the marks of those that pvserve derived.

Owns what identifies a volume's data, by type, and the names of the marks. Pure.
"""

from __future__ import annotations

import json

from pvserve.facts import Object, annotations_of

SHARE = "pvserve.io/share"  # label of a derived volume and its claim
SHARE_OF = "pvserve.io/share-of"  # on a derived volume: the volume it is derived from; on its claim: NAMESPACE/CLAIM
SHARES = "pvserve.io/shares"  # on the volume that is shared: JSON list of NAMESPACE/CLAIM


def holder_of(volume: Object) -> tuple[str, str]:
    """Namespace and name of the claim that the volume is bound to or kept for, "" for none."""
    reference = volume["spec"].get("claimRef") or {}
    return str(reference.get("namespace") or ""), str(reference.get("name") or "")


def data_of(volume: Object) -> tuple[str, ...] | None:
    """What identifies the data of a volume; None for a type that is not known here.

    A `local` or `hostPath` one is data of a node: the node affinity is part of it.
    """
    spec = volume["spec"]
    if csi := spec.get("csi"):
        return "csi", str(csi["driver"]), str(csi["volumeHandle"])
    if nfs := spec.get("nfs"):
        return "nfs", str(nfs["server"]), str(nfs["path"]).rstrip("/")
    for kind in ("local", "hostPath"):
        if source := spec.get(kind):
            node = json.dumps(spec.get("nodeAffinity") or {}, sort_keys=True)
            return kind, str(source["path"]).rstrip("/"), node
    return None


def same_data(one: Object, other: Object) -> bool:
    """Whether both volumes hold the same data, as far as their types tell."""
    return data_of(one) is not None and data_of(one) == data_of(other)


def shares_of(volume: Object) -> tuple[str, ...]:
    """NAMESPACE/CLAIM of each share that is noted on the volume."""
    try:
        found = json.loads(annotations_of(volume).get(SHARES) or "[]")
    except ValueError:
        return ("an unknown one",)  # whoever wrote that meant something: never none
    return tuple(str(item) for item in found) if isinstance(found, list) else ("an unknown one",)
