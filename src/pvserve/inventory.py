"""Which models lie on which claims, and who serves them.

Owns the join of claims, services and pods into rows. Pure: takes objects, reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pvserve.facts import Object, Unknown, name, namespace
from pvserve.plan.claim import recorded_models
from pvserve.plan.edit_service import storage_of
from pvserve.spec.place import parse_place


@dataclass(frozen=True)
class ModelRow:
    """One model that pvserve recorded on a claim; bytes as of the load."""

    path: str
    manifest: str
    bytes: int
    files: int
    source: str
    loaded: str
    services: tuple[str, ...]


@dataclass(frozen=True)
class ClaimRow:
    """One claim. `reclaim` and `volume` are what could be read; `services` are those that serve any of its paths."""

    namespace: str
    claim: str
    phase: str
    storage_class: str
    access_modes: tuple[str, ...]
    capacity: str
    reclaim: str
    models: tuple[ModelRow, ...]
    services: tuple[str, ...]
    pods: tuple[str, ...]


def inventory(
    claims: Iterable[Object],
    services: Sequence[Object],
    pods: Sequence[Object] | Unknown,
    volumes: Sequence[Object] | Unknown,
) -> tuple[ClaimRow, ...]:
    """One row per claim that holds a model or is served from, in order of namespace and name."""
    served = _served(services)
    reclaim = {} if isinstance(volumes, Unknown) else {name(v): _policy(v) for v in volumes}
    mounting = {} if isinstance(pods, Unknown) else _mounting(pods)
    rows = []
    for claim in claims:
        where = (namespace(claim), name(claim))
        users = served.get(where, {})
        models = _models(claim, users)
        if not models and not users:
            continue
        spec, status = claim["spec"], claim.get("status") or {}
        volume = str(spec.get("volumeName") or "")
        rows.append(
            ClaimRow(
                namespace=where[0],
                claim=where[1],
                phase=str(status.get("phase", "Unknown")),
                storage_class=str(spec.get("storageClassName") or ""),
                access_modes=tuple(spec.get("accessModes") or ()),
                capacity=str((status.get("capacity") or {}).get("storage", "")),
                reclaim=reclaim.get(volume, "unknown") if volume else "not bound",
                models=models,
                services=tuple(sorted({service for names in users.values() for service in names})),
                pods=mounting.get(where, ("unknown",)) if isinstance(pods, Unknown) else mounting.get(where, ()),
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.namespace, row.claim)))


def claim_of(service: Object) -> tuple[str, str] | None:
    """(claim, path) that a service is served from, None where it is not from a claim."""
    uri = storage_of(service).uri
    if not uri.startswith("pvc://"):
        return None
    place = parse_place(uri)
    return place.claim, place.path


def _served(services: Iterable[Object]) -> dict[tuple[str, str], dict[str, list[str]]]:
    out: dict[tuple[str, str], dict[str, list[str]]] = {}
    for service in services:
        place = claim_of(service)
        if place is not None:
            paths = out.setdefault((namespace(service), place[0]), {})
            paths.setdefault(place[1], []).append(name(service))
    return out


def _policy(volume: Object) -> str:
    return str(volume["spec"].get("persistentVolumeReclaimPolicy", "unknown"))


def _mounting(pods: Iterable[Object]) -> dict[tuple[str, str], tuple[str, ...]]:
    out: dict[tuple[str, str], tuple[str, ...]] = {}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") not in ("Running", "Pending"):
            continue
        for volume in pod["spec"].get("volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                where = (namespace(pod), str(claim))
                out[where] = (*out.get(where, ()), name(pod))
    return out


def _models(claim: Object, users: Mapping[str, list[str]]) -> tuple[ModelRow, ...]:
    return tuple(
        ModelRow(
            path=path,
            manifest=str(item.get("manifest", "")),
            bytes=int(item.get("bytes", 0)),
            files=int(item.get("files", 0)),
            source=str(item.get("source", "")),
            loaded=str(item.get("loaded", "")),
            services=tuple(sorted(users.get(path, ()))),
        )
        for path, item in sorted(recorded_models(claim).items())
    )
