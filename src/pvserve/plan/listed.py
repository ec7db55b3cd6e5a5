"""`storageUris[]`: models of one predictor, each at a place of its own, of which the first is the one that is moved.

Owns how the list is read, and the edit. Pure. KServe mounts the root of a claim that is listed, so that its path is
lost (recording storage-uris-pvc), and its webhook refuses storageUri beside storageUris. So the first entry becomes a
mount of the predictor's own: the same place in the pod, the path on the claim as subPath. So do others on that claim:
a pod with two volumes of one claim never starts (kubernetes#51853; seen on a kubelet v1.34). All other entries
stay listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pvserve.facts import Object
from pvserve.spec.names import MODEL_VOLUME
from pvserve.spec.place import SCHEME, Place, parse_place

MODEL_DIRECTORY = "/mnt/models"  # where KServe puts storageUri, and an entry without mountPath
SERVING = "kserve-container"
FIELDS = ("storageUris", "volumes")  # of a predictor, which the edit may change


@dataclass(frozen=True)
class Listed:
    """The model that is moved, or was: where it is, where the pod has it, and the entries beside it, which stay."""

    uri: str
    directory: str
    others: tuple[Object, ...] = ()
    moved: bool = False


def listed(predictor: Object, path: tuple[str, ...]) -> Listed | None:
    """None where `storageUri` can say the same: there is no list, or one entry at the usual place.

    `path` is that of the mapping that is the serving container, () where it is among `containers`.
    """
    entries = list(predictor.get("storageUris") or ())
    if mounted := _mounted(predictor, path):
        first, *others = mounted
        return Listed(first["uri"], first["mountPath"], (*entries, *others), moved=True)
    if not entries or (len(entries) == 1 and path and _directory(entries[0]) == MODEL_DIRECTORY):
        return None
    return Listed(str(entries[0].get("uri") or ""), _directory(entries[0]), tuple(entries[1:]))


def mount_instead(predictor: dict[str, Any], path: tuple[str, ...], uri: str, *, writable: bool) -> None:
    """Has the predictor mount `uri` where the model is now, and the others on the same claim where they are."""
    found, claim = listed(predictor, path), parse_place(uri).claim
    assert found is not None
    beside = beside_it(found.others, claim)
    if kept := [dict(item) for item in found.others if item not in beside]:
        predictor["storageUris"] = kept
    else:
        predictor.pop("storageUris", None)
    _put(predictor, "volumes", [{"name": MODEL_VOLUME, "persistentVolumeClaim": {"claimName": claim}}])
    mounts = [(parse_place(uri), found.directory), *((_place(item), _directory(item)) for item in beside)]
    read_only = {} if writable else {"readOnly": True}
    _put(
        _reader(predictor, path),
        "volumeMounts",
        [
            {"name": MODEL_VOLUME, "mountPath": at, **({"subPath": place.path} if place.path else {}), **read_only}
            for place, at in mounts
        ],
    )


def beside_it(others: Sequence[Object], claim: str) -> tuple[Object, ...]:
    """The entries on the claim of the model, which are mounted with it."""
    return tuple(item for item in others if _is(item, SCHEME) and _place(item).claim == claim)


def mount_patch(predictor: Object, path: tuple[str, ...], uri: str, *, writable: bool) -> dict[str, Any]:
    """The same as a merge patch of the predictor."""
    after = deepcopy(dict(predictor))
    mount_instead(after, path, uri, writable=writable)
    reader = (
        {path[0]: {"volumeMounts": after[path[0]]["volumeMounts"]}} if path else {"containers": after["containers"]}
    )
    return {"volumes": after["volumes"], "storageUris": after.get("storageUris"), **reader}


def state_of(predictor: Object, path: tuple[str, ...]) -> dict[str, Any]:
    """Of the predictor, all that the edit may alter, as a merge patch that brings it back."""
    kept = {field: predictor.get(field) for field in FIELDS}
    if not path:
        return {**kept, "containers": predictor.get("containers")}
    return {**kept, path[0]: {"volumeMounts": predictor[path[0]].get("volumeMounts")}}


def in_the_way(predictor: Object, path: tuple[str, ...], found: Listed) -> str:
    """In words, why the model cannot be mounted beside the other entries; "" where it can."""
    if not path and not predictor.get("containers"):
        return "it does not say which container serves"
    if predictor.get("workerSpec") is not None:
        return "its workers (workerSpec) would have to mount it too"
    for place in _places(found.others):
        if _within(found.directory, place) or _within(place, found.directory):
            return f"{place}, where another of them is put, and {found.directory} lie inside each other, read-only"
    return ""


def copied(others: Sequence[Object]) -> tuple[str, ...]:
    """Where pods have the entries that KServe copies at each start."""
    return tuple(_directory(item) for item in others if not _is(item, SCHEME) and not _is(item, "oci://"))


def losing_path(others: Sequence[Object], claim: str) -> tuple[tuple[Place, str], ...]:
    """The entries that name a path on another claim than the model's, and where pods have the root of it."""
    found = [(_place(item), _directory(item)) for item in others if _is(item, SCHEME)]
    return tuple((place, directory) for place, directory in found if place.path and place.claim != claim)


def _mounted(predictor: Object, path: tuple[str, ...]) -> list[dict[str, str]]:
    """What an earlier edit mounts, as entries of the list; the model first."""
    volumes = {str(item.get("name")): item for item in predictor.get("volumes") or ()}
    claim = (volumes.get(MODEL_VOLUME, {}).get("persistentVolumeClaim") or {}).get("claimName")
    mounts = _reader(predictor, path).get("volumeMounts") or () if claim else ()
    return [
        {"uri": str(Place(str(claim), str(mount.get("subPath") or ""))), "mountPath": str(mount["mountPath"])}
        for mount in mounts
        if mount.get("name") == MODEL_VOLUME
    ]


def _reader(predictor: Any, path: tuple[str, ...]) -> Any:
    """The container that serves."""
    if path:
        return predictor[path[0]]
    containers = predictor.get("containers") or [{}]
    return next((item for item in containers if item.get("name") == SERVING), containers[0])


def _put(holder: dict[str, Any], field: str, items: Sequence[Mapping[str, Any]]) -> None:
    others = [other for other in holder.get(field) or () if other.get("name") != MODEL_VOLUME]
    holder[field] = [*others, *(dict(item) for item in items)]


def _places(others: Sequence[Object]) -> Iterator[str]:
    """What KServe mounts for them: a claim at its place, downloads in one emptyDir at the directory that holds all."""
    yield from (_directory(item) for item in others if _is(item, SCHEME))
    downloads = [PurePosixPath(directory) for directory in copied(others)]
    if downloads:
        shared = [downloads[0], *downloads[0].parents] if len(downloads) == 1 else downloads[0].parents
        yield str(next(top for top in shared if all(_within(str(item), str(top)) for item in downloads)))


def _within(one: str, other: str) -> bool:
    return PurePosixPath(one).is_relative_to(other)


def _directory(entry: Object) -> str:
    return str(entry.get("mountPath") or MODEL_DIRECTORY).rstrip("/") or "/"


def _place(entry: Object) -> Place:
    return parse_place(str(entry["uri"]))


def _is(entry: Object, scheme: str) -> bool:
    return str(entry.get("uri") or "").startswith(scheme)
