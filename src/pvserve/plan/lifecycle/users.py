"""Who uses a claim.

Owns reading that from services and pods, whatever the field. Pure. A service that is stopped still needs its model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pvserve.errors import UsageError
from pvserve.facts import Object, Unknown, Users, ref
from pvserve.plan.part import Part, unreadable
from pvserve.spec.place import SCHEME, parse_place

ENDED = ("Succeeded", "Failed")


def users_of(claim: str, users: Users) -> tuple[str, ...] | Part:
    """In words, who uses the claim; a refusal where that cannot be known."""
    if isinstance(users.pods, Unknown):
        return unreadable(f"the pods that may use claim {claim}", users.pods)
    if isinstance(users.services, Unknown):
        return unreadable(f"the services that may use claim {claim}", users.services)
    services = tuple(ref(item) for item in users.services if claim in (place[0] for place in places_of(item)))
    pods = tuple(ref(item) for item in users.pods if claim in claims_of(item))
    return services + pods


def places_of(service: Object) -> frozenset[tuple[str, str]]:
    """(claim, path) of all that any field of the service names, as pvc:// or, with path "", as a volume."""
    spec = service.get("spec") or {}
    named = {_place(value) for value in _leaves(spec) if isinstance(value, str) and value.startswith(SCHEME)}
    return frozenset((named - {("", "")}) | {(claim, "") for claim in _volumes(spec)})


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


def _volumes(value: Any) -> Iterator[str]:
    """The claims that pod templates inside of an object mount."""
    if isinstance(value, Mapping):
        source = value.get("persistentVolumeClaim")
        if isinstance(source, Mapping) and source.get("claimName"):
            yield str(source["claimName"])
        for inner in value.values():
            yield from _volumes(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _volumes(inner)
