"""Who uses a claim.

Owns reading that from services and pods, whatever the field. Pure. A service that is stopped still needs its model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pvserve.errors import UsageError
from pvserve.facts import Object, Unknown, Users, labels, ref
from pvserve.plan.edit_service import storage_of
from pvserve.plan.model_cache import KIND as CACHE_KIND
from pvserve.plan.model_cache import import_of
from pvserve.plan.part import Part, unreadable
from pvserve.spec.names import MODEL_VOLUME
from pvserve.spec.place import SCHEME, overlap, parse_place

ENDED = ("Succeeded", "Failed")
OWN_PODS = ("pvserve.io/loader", "pvserve.io/reader")  # labels


def users_of(claim: str, users: Users) -> tuple[str, ...] | Part:
    """In words, who uses the claim; a refusal where that cannot be known."""
    if isinstance(users.pods, Unknown):
        return unreadable(f"the pods that may use claim {claim}", users.pods)
    if isinstance(users.services, Unknown):
        return unreadable(f"the services that may use claim {claim}", users.services)
    services = tuple(ref(item) for item in users.services if claim in (place[0] for place in places_of(item)))
    pods = tuple(ref(item) for item in users.pods if claim in claims_of(item))
    return services + pods


def users_of_place(claim: str, path: str, users: Users) -> tuple[str, ...] | Part:
    """In words, who uses what lies at `path` of the claim, or above or below it; as `users_of` where unreadable."""
    if isinstance(users.pods, Unknown):
        return unreadable(f"the pods that may use claim {claim}", users.pods)
    if isinstance(users.services, Unknown):
        return unreadable(f"the services that may use claim {claim}", users.services)
    wanted = [
        *((item, places_of(item)) for item in users.services),
        *((item, mounts_of(item)) for item in users.pods),
    ]
    return tuple(
        ref(item) for item, places in wanted if any(name == claim and overlap(path, at) for name, at in places)
    )


def mounts_of(pod: Object) -> frozenset[tuple[str, str]]:
    """(claim, path) of what the pod mounts, none where it has ended; path "" is the whole claim.

    A loader or reader pod of pvserve's own counts only for what it copies from: who writes, the Lease says.
    """
    if (pod.get("status") or {}).get("phase") in ENDED:
        return frozenset()
    spec = pod["spec"]
    own = any(word in labels(pod) for word in OWN_PODS)
    claims = {
        str(volume["name"]): str(volume["persistentVolumeClaim"]["claimName"])
        for volume in spec.get("volumes") or ()
        if "persistentVolumeClaim" in volume and not (own and volume["name"] == "claim")
    }
    containers = [
        item for kind in ("containers", "initContainers", "ephemeralContainers") for item in spec.get(kind) or ()
    ]
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    found = {
        (claims[mount["name"]], "" if mount.get("subPathExpr") else str(mount.get("subPath") or "").strip("/"))
        for mount in mounts
        if mount["name"] in claims
    }
    return frozenset(found | {(claim, "") for name, claim in claims.items() if name not in {m["name"] for m in mounts}})


def places_of(service: Object) -> frozenset[tuple[str, str]]:
    """(claim, path) of all that any field of the service names, as pvc:// or, with path "", as a volume.

    Of a LocalModelNamespaceCache, which keeps a model as a service does, the directory that KServe imports to.
    """
    if service.get("kind") == CACHE_KIND:
        there = import_of(service)
        return frozenset({(there.claim, there.path)} if there is not None else ())
    spec = service.get("spec") or {}
    named = {_place(value) for value in _leaves(spec) if isinstance(value, str) and value.startswith(SCHEME)}
    found = storage_of(service).listed if spec.get("predictor") else None
    moved = (found.uri, *(item["uri"] for item in found.others)) if found and found.moved else ()
    own = {_place(uri) for uri in moved if uri.startswith(SCHEME)}  # mounts of pvserve's, of which the paths are known
    whole = {(claim, "") for claim in _volumes(spec, MODEL_VOLUME if own else "")}
    return frozenset((named | own | whole) - {("", "")})


def _place(uri: str) -> tuple[str, str]:
    try:
        place = parse_place(uri)
    except UsageError:
        return "", ""
    return place.claim, place.path


def claims_of(pod: Object) -> frozenset[str]:
    """The claims that the pod mounts, none where it has ended."""
    if (pod.get("status") or {}).get("phase") in ENDED:
        return frozenset()
    return frozenset(_volumes({"volumes": pod["spec"].get("volumes") or []}))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _volumes(value: Any, but: str = "") -> Iterator[str]:
    """The claims that pod templates inside of an object mount, `but` those of the volumes of that name."""
    if isinstance(value, Mapping):
        source = value.get("persistentVolumeClaim")
        if isinstance(source, Mapping) and source.get("claimName") and (not but or value.get("name") != but):
            yield str(source["claimName"])
        for inner in value.values():
            yield from _volumes(inner, but)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _volumes(inner, but)
