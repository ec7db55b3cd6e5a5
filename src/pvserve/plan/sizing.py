"""How large a claim must be, and which class and access mode it gets.

Owns these decisions with their reasons. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pvserve.facts import Object, annotations_of, name
from pvserve.plan.copies import DEFAULT_CLASS
from pvserve.spec.quantity import round_up

FILE_SYSTEM = 0.06  # of the bytes: what the file system itself takes (CDI reserves the same, pkg/common/common.go)
HEADROOM = 0.10  # of the bytes: adapters, a tokenizer that is replaced
LEAST = 1 << 30  # bytes; several provisioners round up to this anyway, and a journal takes a part of less
PER_FILE = 8 << 10  # bytes: a block and an inode

# Which classes share a volume between nodes, by provisioner: the drivers' own documentation, as collected by CDI
# (containerized-data-importer pkg/storagecapabilities). Others are taken for block storage of one node.
SHARED = (
    "efs.csi.aws.com",
    "nfs.csi.k8s.io",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "cephfs.csi.ceph.com",
    "manila.csi.openstack.org",
    "fsx.csi.aws.com",
    "spectrumscale.csi.ibm.com",
    "csi-nfsplugin",
)
SHARED_WORDS = ("nfs", "cephfs", "shared", "glusterfs", "lustre", "efs")


def claim_bytes(content: int, files: int) -> int:
    """Bytes to ask for a model of `content` bytes in `files` files."""
    return max(LEAST, int(content * (1 + FILE_SYSTEM + HEADROOM)) + files * PER_FILE)


def claim_size(content: int, files: int) -> str:
    """The same as a quantity that people write."""
    return round_up(claim_bytes(content, files))


def fits(content: int, files: int, capacity: int) -> bool:
    """Whether a volume of `capacity` bytes can hold the model at all; what else lies there is the loader's to see."""
    return int(content * (1 + FILE_SYSTEM)) + files * 512 <= capacity


def default_class(classes: Sequence[Object]) -> Object | None:
    """The cluster's default class; of several the youngest, as the admission plug-in chooses (Kubernetes 1.26)."""
    marked = [item for item in classes if any(annotations_of(item).get(word) == "true" for word in DEFAULT_CLASS)]
    return max(marked, key=lambda item: (str(item["metadata"].get("creationTimestamp", "")), name(item)), default=None)


def shares(storage_class: Object) -> bool:
    """Whether the class's volumes can be mounted by several nodes, as far as its provisioner tells."""
    provisioner = str(storage_class.get("provisioner", ""))
    return provisioner.endswith(SHARED) or any(word in provisioner for word in SHARED_WORDS)


def access_mode(storage_class: Object | None, profiles: Sequence[Object] = ()) -> tuple[str, str]:
    """The access mode for a new claim of this class, and why; `profiles` are CDI's, which know more than a name."""
    wanted = name(storage_class) if storage_class is not None else ""
    profile = next((item for item in profiles if name(item) == wanted), None)
    modes = _profiled(profile) if profile is not None else ()
    if modes:
        mode = next((mode for mode in ("ReadWriteMany", "ReadWriteOnce") if mode in modes), modes[0])
        return mode, f"CDI's StorageProfile of class {wanted} lists {', '.join(modes)}"
    if storage_class is not None and shares(storage_class):
        return "ReadWriteMany", f"provisioner {storage_class.get('provisioner')} shares volumes between nodes"
    return "ReadWriteOnce", "the class's provisioner is not known to share volumes between nodes"


def _profiled(profile: Object) -> tuple[str, ...]:
    """The modes of file systems, as CDI fills them in or an administrator did (containerized-data-importer
    doc/storageprofile.md): status.claimPropertySets, the preferred first."""
    sets: Any = (profile.get("status") or {}).get("claimPropertySets") or ()
    found = (item.get("accessModes") or () for item in sets if item.get("volumeMode", "Filesystem") == "Filesystem")
    return tuple(dict.fromkeys(str(mode) for modes in found for mode in modes))
