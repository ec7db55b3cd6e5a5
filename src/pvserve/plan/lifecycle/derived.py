"""The read-only volume through which another namespace has the same data, and the claim for it.

Owns these objects, and which volumes can have one. Pure. A claim of the same class would be a new, empty volume,
whatever the access mode: a class makes volumes, it does not find them (seen with two ReadWriteMany drivers,
NVIDIA/nvcf#1434).
"""

from __future__ import annotations

import hashlib
from typing import Any

from pvserve.facts import Object, annotations_of, name, namespace
from pvserve.plan.claim import MODELS, RETAIN, new_claim
from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.lifecycle.checks import POLICY
from pvserve.plan.lifecycle.same import SHARE, SHARE_OF
from pvserve.plan.part import Part, refused

ROX, RWX, RWOP = "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"
# A derived volume grows with nobody: these are of whoever made the first one.
_CSI_LEFT = ("controllerExpandSecretRef", "nodeExpandSecretRef")


def share_name(volume: str, where: str, claim: str) -> str:
    """The name of the volume derived for one claim: the same for every run."""
    return "pvserve-share-" + hashlib.sha256(f"{volume}/{where}/{claim}".encode()).hexdigest()[:20]


def unshareable(volume: Object) -> Part:
    """The refusal of a volume that cannot be at two places, or of a type without a way to derive another."""
    spec, title = volume["spec"], f"volume {name(volume)}"
    modes = tuple(spec.get("accessModes") or ())
    copy = "give the other namespace a copy instead: pvserve load MODEL_DIRECTORY pvc://CLAIM -n NAMESPACE"
    if modes == (RWOP,):
        return refused("NotShareable", f"{title} admits one pod at a time (ReadWriteOncePod)", copy)
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        return refused("NotShareable", f"{title} is a raw block device", copy)
    if "csi" in spec and not {RWX, ROX} & set(modes):
        message = (
            f"{title} of driver {spec['csi']['driver']} is attached to one node at a time ({', '.join(modes)}): pods "
            "of another namespace could not mount it beside those of this one"
        )
        return refused("NotShareable", message, copy)
    if not any(kind in spec for kind in ("csi", "nfs", "local", "hostPath")):
        kinds = ", ".join(key for key, value in spec.items() if isinstance(value, dict) and "Ref" not in key)
        message = f"{title} is of none of the types that can be derived (csi, nfs, local, hostPath): {kinds}"
        return refused("NotShareable", message, copy)
    return Part()


def derived_volume(volume: Object, origin: Object, where: str, claim: str) -> dict[str, Any]:
    """A static volume with the data of `volume`, kept for `where`/`claim` alone, read-only as far as its type can.

    `origin` is the claim that has `volume`; the record of its models goes along.
    """
    spec = volume["spec"]
    made: dict[str, Any] = {
        "capacity": dict(spec["capacity"]),
        "accessModes": [ROX],
        POLICY: RETAIN,  # the data is the first volume's
        "storageClassName": "",  # no class may give it away, or make another
        "volumeMode": "Filesystem",
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": where, "name": claim},
    }
    if "nodeAffinity" in spec:
        made["nodeAffinity"] = spec["nodeAffinity"]
    options = list(spec.get("mountOptions") or ())
    if "csi" in spec:
        kept = {key: value for key, value in spec["csi"].items() if key not in _CSI_LEFT}
        made["csi"] = {**kept, "readOnly": True}
    elif "nfs" in spec:
        made["nfs"] = {**spec["nfs"], "readOnly": True}
    elif "local" in spec:  # it has no readOnly; the kubelet binds it with these options
        made["local"] = dict(spec["local"])
        options = [*(option for option in options if option != "rw"), "ro"]
    else:  # neither readOnly nor mount options
        made["hostPath"] = dict(spec["hostPath"])
    if options:
        made["mountOptions"] = options
    notes = {SHARE_OF: name(volume)}
    if models := annotations_of(origin).get(MODELS, ""):
        notes[MODELS] = models
    metadata = {
        "name": share_name(name(volume), where, claim),
        "labels": {MANAGED_BY: "pvserve", SHARE: "true"},
        "annotations": notes,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": made}


def derived_claim(volume: Object, origin: Object, where: str, claim: str) -> dict[str, Any]:
    """The claim that only the derived volume can satisfy."""
    made = new_claim(claim, where, "", ROX, str(volume["spec"]["capacity"]["storage"]))
    made["metadata"]["labels"][SHARE] = "true"
    made["metadata"]["annotations"][SHARE_OF] = f"{namespace(origin)}/{name(origin)}"
    if models := annotations_of(origin).get(MODELS, ""):
        made["metadata"]["annotations"][MODELS] = models
    made["spec"] |= {"storageClassName": "", "volumeName": share_name(name(volume), where, claim)}
    return made
