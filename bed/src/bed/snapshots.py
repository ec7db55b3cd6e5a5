"""Volume snapshots: answers VolumeSnapshots as external-snapshotter and a CSI driver do.

Owns the reconciliation of VolumeSnapshots and their contents, the kinds' definitions, and a class for each provisioner.
A snapshot is a copy of the volume's file that shares its blocks where the file system below can.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import kubernetes
import yaml
from kubernetes.client import ApiException
from kubernetes.utils import parse_quantity

from bed.errors import BedError
from bed.services import BLOCK, SHARED
from bed.volumes import Volumes

Object = dict[str, Any]
GROUP, VERSION = "snapshot.storage.k8s.io", "v1"
SNAPSHOTS, CONTENTS, CLASSES = "volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
log = logging.getLogger("snapshots")


def definitions() -> list[Object]:
    """The CustomResourceDefinitions of external-snapshotter."""
    return [dict(item) for item in yaml.safe_load_all(files("bed").joinpath("manifests/snapshots.yaml").read_text())]


def classes() -> list[Object]:
    """One class for each provisioner, named after its storage class."""
    named = (("gp3-csi-snapshots", BLOCK), ("nfs-rwx-snapshots", SHARED))
    return [
        {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "VolumeSnapshotClass",
            "metadata": {"name": name},
            "driver": driver,
            "deletionPolicy": "Delete",
        }
        for name, driver in named
    ]


class Snapshotter:
    """One pass over all snapshots and contents at a time."""

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._custom = kubernetes.client.CustomObjectsApi()
        self._core = kubernetes.client.CoreV1Api()
        self._plain = kubernetes.client.ApiClient()

    def list_snapshots(self, **options: Any) -> Any:
        """All of them: what a watch begins with."""
        return self._custom.list_cluster_custom_object(GROUP, VERSION, SNAPSHOTS, **options)

    def reconcile(self) -> None:
        """Takes and removes what is due."""
        snapshots = self.list_snapshots()["items"]
        known = {item["metadata"]["uid"] for item in snapshots}
        for item in snapshots:
            if not (item.get("status") or {}).get("readyToUse") and item["spec"]["source"].get(
                "persistentVolumeClaimName"
            ):
                self._take(item)
        for content in self._custom.list_cluster_custom_object(GROUP, VERSION, CONTENTS)["items"]:
            ours = content["spec"]["driver"] in (BLOCK, SHARED)
            if ours and content["spec"]["volumeSnapshotRef"].get("uid") not in known:
                self._remove(content)

    def source_of(self, claim: Object, storage_class: Object) -> tuple[str, str]:
        """The snapshot that a claim is to be made of ("" for none), or why it cannot be."""
        wanted = claim["spec"].get("dataSource") or {}
        if wanted.get("kind") != "VolumeSnapshot":
            return "", ""
        where, name = claim["metadata"]["namespace"], wanted["name"]
        found = next(
            (
                item
                for item in self.list_snapshots()["items"]
                if (item["metadata"]["namespace"], item["metadata"]["name"]) == (where, name)
            ),
            None,
        )
        status = (found or {}).get("status") or {}
        if not status.get("readyToUse"):
            return "", f"snapshot {name} is not ready to use"
        content = str(status["boundVolumeSnapshotContentName"])
        made = self._custom.get_cluster_custom_object(GROUP, VERSION, CONTENTS, content)
        if made["spec"]["driver"] != storage_class["provisioner"]:
            return "", f"snapshot {name} is of driver {made['spec']['driver']}"
        if parse_quantity(claim["spec"]["resources"]["requests"]["storage"]) < parse_quantity(status["restoreSize"]):
            return "", f"a volume must not be smaller than its snapshot ({status['restoreSize']})"
        return str(made["status"]["snapshotHandle"]), ""

    def _take(self, snapshot: Object) -> None:
        metadata = snapshot["metadata"]
        driver, policy = self._class(snapshot)
        volume = self._volume_of(snapshot)
        if driver and volume and volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) != driver:
            return self._status(snapshot, error=f"the volume of the claim is none of driver {driver}")
        if not driver or not volume:
            return None  # as external-snapshotter: a claim that is not bound yet may be; another's class is another's
        name = f"snapcontent-{metadata['uid']}"
        try:
            self._volumes.snapshot(volume["metadata"]["name"], name)
        except BedError as error:
            return self._status(snapshot, error=error.message)
        reference = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "VolumeSnapshot", "name": metadata["name"]}
        reference |= {"namespace": metadata["namespace"], "uid": metadata["uid"]}
        content = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "VolumeSnapshotContent",
            "metadata": {"name": name},
            "spec": {
                "deletionPolicy": policy,
                "driver": driver,
                "source": {"volumeHandle": volume["metadata"]["name"]},
                "volumeSnapshotRef": reference,
            },
        }
        try:
            self._custom.create_cluster_custom_object(GROUP, VERSION, CONTENTS, content)
        except ApiException as error:
            if error.status != 409:
                raise
        status = {"readyToUse": True, "snapshotHandle": name, "restoreSize": self._volumes.snapshot_size(name)}
        self._custom.patch_cluster_custom_object_status(GROUP, VERSION, CONTENTS, name, {"status": status})
        return self._status(snapshot, content=name, size=str(volume["spec"]["capacity"]["storage"]))

    def _status(self, snapshot: Object, *, content: str = "", size: str = "", error: str = "") -> None:
        metadata, now = snapshot["metadata"], datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if error and (snapshot.get("status") or {}).get("error", {}).get("message") == error:
            return
        status: Object = {"readyToUse": False, "error": {"message": error, "time": now}}
        if not error:
            status = {"readyToUse": True, "boundVolumeSnapshotContentName": content, "creationTime": now}
            status |= {"restoreSize": size, "error": None}
        self._custom.patch_namespaced_custom_object_status(
            GROUP, VERSION, metadata["namespace"], SNAPSHOTS, metadata["name"], {"status": status}
        )

    def _class(self, snapshot: Object) -> tuple[str, str]:
        """Driver and deletion policy of the class, ("", "") for one that is not ours."""
        wanted = snapshot["spec"].get("volumeSnapshotClassName")
        for item in self._custom.list_cluster_custom_object(GROUP, VERSION, CLASSES)["items"]:
            if item["metadata"]["name"] == wanted and item["driver"] in (BLOCK, SHARED):
                return str(item["driver"]), str(item["deletionPolicy"])
        return "", ""

    def _volume_of(self, snapshot: Object) -> Object | None:
        claim, where = snapshot["spec"]["source"]["persistentVolumeClaimName"], snapshot["metadata"]["namespace"]
        try:
            found = self._core.read_namespaced_persistent_volume_claim(claim, where)
            if not found.spec.volume_name or found.status.phase != "Bound":
                return None
            made: Object = self._plain.sanitize_for_serialization(
                self._core.read_persistent_volume(found.spec.volume_name)
            )
        except ApiException as error:
            if error.status != 404:
                raise
            return None
        return made

    def _remove(self, content: Object) -> None:
        name = content["metadata"]["name"]
        if content["spec"]["deletionPolicy"] == "Delete":
            self._volumes.delete_snapshot(name)
            self._custom.delete_cluster_custom_object(GROUP, VERSION, CONTENTS, name)
