"""Dynamic storage: answers claims as an external CSI provisioner and resizer do.

Owns the reconciliation of claims and volumes of the bed's classes: provision (waiting for the selected node where the
class says so), delete under `Delete`, keep under `Retain`, expand. The volumes are `local` ones of true size, so the
kubelet applies fsGroup to them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import kubernetes
from kubernetes.client import ApiException
from kubernetes.utils import parse_quantity

from bed.errors import BedError
from bed.reaching import SELECTED_NODE, terms_for
from bed.services import BLOCK, READERS, SHARED, provisioner_ready
from bed.settings import Settings, settings
from bed.snapshots import PROVISIONED_BY, Snapshotter
from bed.volumes import Volumes

Object = dict[str, Any]
FILE_SYSTEM = "csi.storage.k8s.io/fstype"  # a class's parameter
MODES = {BLOCK: {"ReadWriteOnce", "ReadWriteOncePod"}, SHARED: {"ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"}}
RESYNC_SECONDS = 5.0
GONE_OR_CHANGED = (404, 409)  # since it was listed: the next pass sees what is now
log = logging.getLogger("provisioner")


class Provisioner:
    """One pass over all claims and volumes at a time; told to run by watches, and every RESYNC_SECONDS."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._core = kubernetes.client.CoreV1Api()
        self._storage = kubernetes.client.StorageV1Api()
        self._plain = kubernetes.client.ApiClient()
        self._told: set[tuple[str, str, str]] = set()
        self._wake = threading.Event()
        self._snapshots = Snapshotter(volumes)

    def run(self, bed: Settings) -> None:
        """Reconciles for ever; says that it is ready after the first pass."""
        claims, snapshots = self._core.list_persistent_volume_claim_for_all_namespaces, self._snapshots.list_snapshots
        for what in (claims, self._core.list_persistent_volume, snapshots):
            threading.Thread(target=self._watch, args=(what,), daemon=True).start()
        while True:
            try:
                self.reconcile()
                self._snapshots.reconcile()
                provisioner_ready(bed).write_text(str(os.getpid()))
            except Exception:
                log.exception("reconcile")
                time.sleep(1)
            self._wake.wait(RESYNC_SECONDS)
            self._wake.clear()

    def _watch(self, listing: Callable[..., Any]) -> None:
        while True:
            try:
                for _ in kubernetes.watch.Watch().stream(listing, timeout_seconds=300):
                    self._wake.set()
            except Exception as error:  # noqa: BLE001 - any cut of the stream is a reason to watch anew
                log.warning("watch: %s", error)
                time.sleep(1)

    def reconcile(self) -> None:
        """Provisions, expands and deletes what is due."""
        classes = {
            item["metadata"]["name"]: item
            for item in self._objects(self._storage.list_storage_class())
            if item["provisioner"] in MODES
        }
        volumes = {item["metadata"]["name"]: item for item in self._objects(self._core.list_persistent_volume())}
        for claim in self._objects(self._core.list_persistent_volume_claim_for_all_namespaces()):
            storage_class = classes.get(claim["spec"].get("storageClassName") or "")
            if storage_class is None or claim["metadata"].get("deletionTimestamp"):
                continue
            bound = claim["spec"].get("volumeName")
            if not bound:
                self._carry_out(self._provision, claim, storage_class, volumes)
            elif bound in volumes:
                self._carry_out(self._expand, claim, volumes[bound])
        for volume in volumes.values():
            self._carry_out(self._reclaim, volume)

    def _carry_out(self, step: Callable[..., None], subject: Object, *more: Any) -> None:
        """One step for one object: what goes wrong with it must not keep the others from theirs."""
        try:
            step(subject, *more)
        except ApiException as error:
            if error.status not in GONE_OR_CHANGED:
                log.exception("%s", subject["metadata"]["name"])

    def _objects(self, answer: Any) -> list[Object]:
        return [self._plain.sanitize_for_serialization(item) for item in answer.items]

    def _provision(self, claim: Object, storage_class: Object, volumes: dict[str, Object]) -> None:
        waits = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        if waits and SELECTED_NODE not in (claim["metadata"].get("annotations") or {}):
            return
        name = f"pvc-{claim['metadata']['uid']}"
        if name in volumes:
            return
        source, reason = clone_source(claim, self._claim_named(claim), volumes)
        snapshot, unready = self._snapshots.source_of(claim, storage_class)
        reason = unsupported(claim, storage_class) or reason or unready
        if reason:
            self._event(claim, "Warning", "ProvisioningFailed", f"failed to provision volume: {reason}")
            return
        self._event(claim, "Normal", "Provisioning", "External provisioner is provisioning volume for claim")
        size = int(parse_quantity(claim["spec"]["resources"]["requests"]["storage"]))
        try:
            if source:
                path = self._volumes.clone(source, name, size)
            elif snapshot:
                path = self._volumes.restore(snapshot, name, size)
            else:
                path = self._volumes.create(name, size, (storage_class.get("parameters") or {}).get(FILE_SYSTEM, "xfs"))
        except BedError as error:
            self._event(claim, "Warning", "ProvisioningFailed", f"failed to provision volume: {error.message}")
            return
        terms = terms_for(claim, storage_class, self._objects(self._core.list_node()))
        self._core.create_persistent_volume(volume_for(name, claim, storage_class, str(path), terms))
        self._event(claim, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}")

    def _claim_named(self, claim: Object) -> Object | None:
        """The claim that this one is to be a clone of."""
        source = claim["spec"].get("dataSource") or {}
        if source.get("kind") != "PersistentVolumeClaim":
            return None
        try:
            found = self._core.read_namespaced_persistent_volume_claim(source["name"], claim["metadata"]["namespace"])
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None
        made: Object = self._plain.sanitize_for_serialization(found)
        return made

    def _expand(self, claim: Object, volume: Object) -> None:
        """As external-resizer: grow the volume, then say so on volume and claim."""
        annotations = volume["metadata"].get("annotations") or {}
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        held = (claim.get("status") or {}).get("capacity", {}).get("storage")
        if annotations.get(PROVISIONED_BY) not in MODES or not held:
            return
        if parse_quantity(wanted) <= parse_quantity(held):
            return
        name, metadata = volume["metadata"]["name"], claim["metadata"]
        try:
            self._volumes.grow(name, int(parse_quantity(wanted)))
        except BedError as error:
            self._event(claim, "Warning", "VolumeResizeFailed", error.message)
            return
        capacity = {"capacity": {"storage": wanted}}
        self._core.patch_persistent_volume(name, {"spec": capacity})
        self._core.patch_namespaced_persistent_volume_claim_status(
            metadata["name"], metadata["namespace"], {"status": capacity}
        )
        self._event(claim, "Normal", "FileSystemResizeSuccessful", "volume and file system were expanded")

    def _reclaim(self, volume: Object) -> None:
        if not to_delete(volume):
            return
        name = volume["metadata"]["name"]
        try:
            self._volumes.delete(name)
        except BedError as error:
            log.warning("%s is still in use: %s", name, error)
            return
        self._core.delete_persistent_volume(name)

    def _event(self, claim: Object, kind: str, reason: str, message: str) -> None:
        """An event on the claim, once for each reason and message."""
        metadata = claim["metadata"]
        known = (metadata["uid"], reason, message)
        if known in self._told:
            return
        self._told.add(known)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        subject = {key: metadata[key] for key in ("namespace", "name", "uid")}
        self._core.create_namespaced_event(
            metadata["namespace"],
            {
                "metadata": {"generateName": f"{metadata['name']}."},
                "involvedObject": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **subject},
                "type": kind,
                "reason": reason,
                "message": message,
                "source": {"component": "bed-provisioner"},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            },
        )


def unsupported(claim: Object, storage_class: Object) -> str:
    """Why no volume can be made for this claim; "" if one can."""
    spec = claim["spec"]
    modes = MODES[storage_class["provisioner"]]
    if READERS in (storage_class.get("parameters") or {}):
        if not spec.get("dataSource"):
            return "a volume that is only read must be made of a data source"
        modes = {"ReadOnlyMany"}
    elif spec.get("dataSource"):
        modes = modes | {"ReadOnlyMany"}  # as block drivers have it: read by many is only what has content already
    wrong = sorted(set(spec["accessModes"]) - modes)
    if wrong:
        return f"access mode {', '.join(wrong)} is not supported"
    if spec.get("volumeMode") == "Block":
        return "volume mode Block is not supported"
    source = spec.get("dataSource") or spec.get("dataSourceRef") or {}
    if source and source.get("kind") not in ("PersistentVolumeClaim", "VolumeSnapshot"):
        return f"data sources of kind {source.get('kind')} are not supported"
    return ""


def clone_source(claim: Object, source: Object | None, volumes: dict[str, Object]) -> tuple[str, str]:
    """The volume to clone ("" for none), or why it cannot be; a class clones only volumes of its own, as drivers do."""
    wanted = claim["spec"].get("dataSource") or {}
    if wanted.get("kind") != "PersistentVolumeClaim":
        return "", ""
    if source is None:
        return "", f"claim {wanted['name']}, which is to be cloned, does not exist"
    volume = volumes.get(source["spec"].get("volumeName") or "")
    if volume is None or (source.get("status") or {}).get("phase") != "Bound":
        return "", f"claim {wanted['name']}, which is to be cloned, is not bound"
    if source["spec"].get("storageClassName") != claim["spec"].get("storageClassName"):
        return "", "a clone must have the class of its source"
    size = parse_quantity(claim["spec"]["resources"]["requests"]["storage"])
    if size < parse_quantity(volume["spec"]["capacity"]["storage"]):
        return "", f"a clone must not be smaller than its source ({volume['spec']['capacity']['storage']})"
    return str(volume["metadata"]["name"]), ""


def to_delete(volume: Object) -> bool:
    """Whether this is a volume of the bed's whose claim is gone, under `Delete`."""
    return (
        (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) in MODES
        and (volume.get("status") or {}).get("phase") == "Released"
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and not volume["metadata"].get("deletionTimestamp")
    )


def volume_for(name: str, claim: Object, storage_class: Object, path: str, terms: list[Object]) -> Object:
    """The PersistentVolume for a claim, as external-provisioner writes it: bound to that claim, on nodes of `terms`."""
    metadata = claim["metadata"]
    subject = {key: metadata[key] for key in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: storage_class["provisioner"]}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": "Filesystem",
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **subject},
        },
    }


def main() -> None:
    """The process `provisioner` of the bed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # an orderly end: the client removes its files
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    kubernetes.config.load_kube_config()
    bed = settings()
    volumes = Volumes(bed.volumes)
    volumes.mount_all()
    Provisioner(volumes).run(bed)


if __name__ == "__main__":
    main()
