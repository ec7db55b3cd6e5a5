"""Which models lie on which claims, and who serves them.

Owns the join of claims, services and pods into rows. Pure: takes objects, reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pvserve.facts import InventoryFacts, Object, Unknown, annotations_of, known, name, namespace
from pvserve.plan.claim import recorded_models
from pvserve.plan.lifecycle.same import SHARE_OF
from pvserve.plan.lifecycle.users import claims_of, places_of
from pvserve.plan.model_cache import KIND as CACHE_KIND
from pvserve.plan.model_cache import Import, import_of


@dataclass(frozen=True)
class ModelRow:
    """One model that pvserve recorded on a claim, bytes as of the load; or that KServe imports there itself.

    The latter has a `cache`, the LocalModelNamespaceCache by name, and its `state`; bytes, files and manifest nobody
    noted.
    """

    path: str
    manifest: str
    bytes: int
    files: int
    source: str
    loaded: str
    services: tuple[str, ...]
    cache: str = ""
    state: str = ""


@dataclass(frozen=True)
class ClaimRow:
    """One claim, or a Released volume (phase `Released`) under the name of the claim that it had.

    `reclaim` is what could be read; `services` are those that name the claim in any field; `free_bytes` of its file
    system is known while a pod mounts it and its kubelet may be asked.
    """

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
    volume: str = ""
    free_bytes: int | None = None


def inventory(seen: InventoryFacts) -> tuple[ClaimRow, ...]:
    """One row per claim that holds a model or is served from, and per Released volume that holds one, by name."""
    services = known(seen.services, ())
    imports = tuple(found for item in services if (found := import_of(item)) is not None)
    served = _served((item for item in services if item.get("kind") != CACHE_KIND), imports)
    volumes = {} if isinstance(seen.volumes, Unknown) else {name(item): item for item in seen.volumes}
    mounting = {} if isinstance(seen.pods, Unknown) else _mounting(seen.pods)
    rows = []
    for claim in seen.claims:
        where = (namespace(claim), name(claim))
        users = served.get(where, {})
        models = (*_models(claim, users), *_imported([item for item in imports if item.place == where], users))
        if not models and not users:
            continue
        volume = str(claim["spec"].get("volumeName") or "")
        rows.append(
            ClaimRow(
                namespace=where[0],
                claim=where[1],
                phase=_phase(claim),
                storage_class=str(claim["spec"].get("storageClassName") or ""),
                access_modes=tuple(claim["spec"].get("accessModes") or ()),
                capacity=str(((claim.get("status") or {}).get("capacity") or {}).get("storage", "")),
                reclaim=(_policy(volumes[volume]) if volume in volumes else "unknown") if volume else "not bound",
                models=models,
                services=("unknown",) if isinstance(seen.services, Unknown) else _names(users),
                pods=("unknown",) if isinstance(seen.pods, Unknown) else mounting.get(where, ()),
                volume=volume,
                free_bytes=seen.free.get(where),
            )
        )
    rows += [_released(item, models) for item in volumes.values() if (models := _left_on(item))]
    return tuple(sorted(rows, key=lambda row: (row.namespace, row.claim, row.volume)))


def _names(users: Mapping[str, list[str]]) -> tuple[str, ...]:
    return tuple(sorted({service for names in users.values() for service in names}))


def _left_on(volume: Object) -> tuple[ModelRow, ...]:
    """The models that are noted on a volume without a claim."""
    return _models(volume, {}) if _phase(volume) == "Released" and SHARE_OF not in annotations_of(volume) else ()


def _released(volume: Object, models: tuple[ModelRow, ...]) -> ClaimRow:
    spec = volume["spec"]
    was = spec.get("claimRef") or {}
    return ClaimRow(
        namespace=str(was.get("namespace") or ""),
        claim=str(was.get("name") or ""),
        phase="Released",
        storage_class=str(spec.get("storageClassName") or ""),
        access_modes=tuple(spec.get("accessModes") or ()),
        capacity=str((spec.get("capacity") or {}).get("storage", "")),
        reclaim=_policy(volume),
        models=models,
        services=(),
        pods=(),
        volume=name(volume),
    )


def _phase(found: Object) -> str:
    return str((found.get("status") or {}).get("phase", "Unknown"))


def _served(services: Iterable[Object], imports: Iterable[Import]) -> dict[tuple[str, str], dict[str, list[str]]]:
    """(namespace, claim) -> path -> who is served from there, also those that KServe leads to an import of its own."""
    out: dict[tuple[str, str], dict[str, list[str]]] = {}
    for service in services:
        for claim, path in places_of(service):
            out.setdefault((namespace(service), claim), {}).setdefault(path, []).append(_word(service))
    for found in imports:
        led = [service if where == found.namespace else f"{where}/{service}" for where, service in found.services]
        there = out.setdefault(found.place, {}).setdefault(found.path, [])
        there += [word for word in led if word not in there]
    return out


def _word(service: Object) -> str:
    """A service of the usual kind by its name, all others with theirs."""
    kind = service.get("kind")
    return f"{kind}/{name(service)}" if kind in ("ServingRuntime", "LLMInferenceService") else name(service)


def _policy(volume: Object) -> str:
    return str(volume["spec"].get("persistentVolumeReclaimPolicy", "unknown"))


def _mounting(pods: Iterable[Object]) -> dict[tuple[str, str], tuple[str, ...]]:
    out: dict[tuple[str, str], tuple[str, ...]] = {}
    for pod in pods:
        for claim in claims_of(pod):
            where = (namespace(pod), claim)
            out[where] = (*out.get(where, ()), name(pod))
    return out


def _imported(imports: Iterable[Import], users: Mapping[str, list[str]]) -> Iterator[ModelRow]:
    """What KServe imports to a claim; a service may be served from a directory below."""
    for found in sorted(imports):
        below = {
            service for path, names in users.items() if f"{path}/".startswith(f"{found.path}/") for service in names
        }
        loaded = found.since if found.ready else ""
        yield ModelRow(
            found.path,
            "",
            0,
            0,
            found.source,
            loaded,
            tuple(sorted(below)),
            found.name,
            found.reason or "not looked at yet",
        )


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
