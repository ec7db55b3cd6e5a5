"""What a live serving pod says of where its model comes from.

Owns the checks on volumes, mounts and init containers of pods as they run. Pure: takes pod objects, reads nothing.
What KServe makes of a service: tests/emulator/recordings (real KServe aaac4e2), docs/emulator.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pvserve.facts import Object, name
from pvserve.plan.listed import MODEL_DIRECTORY
from pvserve.verify.proof import Check

# KServe up to about 0.15 with enableDirectPvcVolumeMount: false mounts the claim into an init container
# here and puts links into an emptyDir (kserve pkg/webhook/admission/pod/storage_initializer_injector.go).
LINKED_CLAIM_DIRECTORY = "/mnt/pvc"
INITIALIZER = "storage-initializer"


def check_mounts(pods: Sequence[Object], claim: str, path: str, directory: str = MODEL_DIRECTORY) -> tuple[Check, ...]:
    """Checks that every pod of `pods` serves `pvc://claim/path` and nothing else.

    `path` is the directory on the claim, "" its root; `directory` is where the pod has the model. An empty `pods`
    leaves every check unknown.
    """
    titles = {
        "claim-mounted": f"the pod mounts claim {claim} at {directory}",
        "sub-path": f"it mounts directory {path or '/'} of the claim",
        "read-only": "the mount is read-only",
        "no-storage-initializer": "no storage initializer copies the model",
        "no-model-copy": "no emptyDir holds the model",
    }
    if not pods:
        return tuple(Check(key, title, "unknown", "no live pod of the service") for key, title in titles.items())
    found: dict[str, list[tuple[bool, str]]] = {key: [] for key in titles}
    for pod in pods:
        for key, item in _judge(pod, claim, path, directory).items():
            found[key].append(item)
    return tuple(
        Check(
            key,
            titles[key],
            "passed" if all(good for good, _ in items) else "failed",
            "; ".join(dict.fromkeys(seen for good, seen in items if good == all(g for g, _ in items))),
        )
        for key, items in found.items()
    )


class _Serving(NamedTuple):
    """Where the serving containers of one pod have their model from; `linked` by links of older KServe."""

    volume: str
    sub_path: str
    read_only: bool
    linked: bool


def _judge(pod: Object, claim: str, path: str, directory: str) -> dict[str, tuple[bool, str]]:
    where = f"pod {name(pod)}"
    volumes = {str(volume["name"]): volume for volume in pod["spec"].get("volumes") or ()}
    serving = _from_claim(pod, volumes, claim, directory)
    out = {
        "no-storage-initializer": _initializer(pod, where, directory, linked=bool(serving and serving.linked)),
        "no-model-copy": _copies(pod, volumes, where, directory, linked=bool(serving and serving.linked)),
    }
    if serving is None:
        kinds = ", ".join(_volume_words(volumes, mount) for mount in _mounts_at(pod, directory)) or "nothing"
        missing = (False, f"{where} mounts {kinds} at {directory}")
        return out | {"claim-mounted": missing, "sub-path": missing, "read-only": missing}
    by = "links made by the storage initializer" if serving.linked else f"volume {serving.volume}"
    return out | {
        "claim-mounted": (True, f"{where}: {by}, claim {claim}"),
        "sub-path": (serving.sub_path.strip("/") == path.strip("/"), f"{where}: {serving.sub_path or '(the root)'}"),
        "read-only": (serving.read_only, f"{where}: readOnly: {str(serving.read_only).lower()}"),
    }


def _from_claim(pod: Object, volumes: dict[str, Any], claim: str, directory: str) -> _Serving | None:
    for mount in _mounts_at(pod, directory):
        if _claim_of(volumes, mount) == claim:
            read_only = bool(mount.get("readOnly")) or _source_read_only(volumes[str(mount["name"])])
            return _Serving(str(mount["name"]), str(mount.get("subPath", "")), read_only, linked=False)
    for mount in _mounts_at(pod, LINKED_CLAIM_DIRECTORY):
        source = _linked_source(pod)
        if _claim_of(volumes, mount) == claim and source is not None:
            return _Serving(str(mount["name"]), source, bool(mount.get("readOnly")), linked=True)
    return None


def _mounts_at(pod: Object, directory: str) -> list[dict[str, Any]]:
    """Mounts at `directory` in the containers that serve."""
    return [
        mount
        for container in pod["spec"].get("containers") or ()
        for mount in container.get("volumeMounts") or ()
        if str(mount["mountPath"]).rstrip("/") == directory
    ]


def _linked_source(pod: Object) -> str | None:
    """The directory on the claim that older KServe's initializer links from: its first argument."""
    for container in pod["spec"].get("initContainers") or ():
        args = container.get("args") or [""]
        if container["name"] == INITIALIZER and str(args[0]).startswith(LINKED_CLAIM_DIRECTORY):
            return str(args[0])[len(LINKED_CLAIM_DIRECTORY) :]
    return None


def _claim_of(volumes: dict[str, Any], mount: dict[str, Any]) -> str:
    volume = volumes.get(str(mount["name"]), {})
    return str((volume.get("persistentVolumeClaim") or {}).get("claimName", ""))


def _source_read_only(volume: dict[str, Any]) -> bool:
    return bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))


def _volume_words(volumes: dict[str, Any], mount: dict[str, Any]) -> str:
    volume = volumes.get(str(mount["name"]), {})
    kind = next((key for key in volume if key != "name"), "an unknown volume")
    claim = _claim_of(volumes, mount)
    return f"claim {claim}" if claim else f"{kind} {mount['name']}"


def _initializer(pod: Object, where: str, directory: str, *, linked: bool) -> tuple[bool, str]:
    """Its arguments are pairs of a source and a directory: beside the model it may copy others (storageUris)."""
    containers = pod["spec"].get("initContainers") or ()
    names = [str(container["name"]) for container in containers]
    if INITIALIZER in names:
        args = [str(word) for item in containers if item["name"] == INITIALIZER for word in item.get("args") or ()]
        others = [target for target in args[1::2] if not _overlap(target, directory)]
        if others and others == args[1::2]:
            return True, f"{where}: init container {INITIALIZER} copies what is at {', '.join(others)} alone"
        return linked, f"{where} has init container {INITIALIZER}" + (", which only makes links" if linked else "")
    return True, f"{where}: init containers: {', '.join(names) or 'none'}"


def _overlap(one: str, other: str) -> bool:
    return f"{one.rstrip('/')}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one.rstrip('/')}/")


def _copies(pod: Object, volumes: dict[str, Any], where: str, directory: str, *, linked: bool) -> tuple[bool, str]:
    at_model = [str(mount["name"]) for mount in _mounts_at(pod, directory)]
    holding = [volume for volume in at_model if "emptyDir" in volumes.get(volume, {})]
    if holding:
        words = "holds links to the claim (older KServe), no copy" if linked else "is the model directory"
        return linked, f"{where}: emptyDir {holding[0]} {words}"
    others = [volume for volume, value in volumes.items() if "emptyDir" in value]
    return True, f"{where}: " + (f"emptyDirs for other purposes: {', '.join(others)}" if others else "no emptyDir")
