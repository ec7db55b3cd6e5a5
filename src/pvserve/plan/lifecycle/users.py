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
    services = tuple(ref(item) for item in users.services if _named_by(item, claim))
    pods = tuple(ref(item) for item in users.pods if _mounted_by(item, claim))
    return services + pods


def _named_by(service: Object, claim: str) -> bool:
    """Whether any field of the service names the claim, as pvc:// or as a volume."""
    spec = service.get("spec") or {}
    return claim in _volumes(spec) or any(_claim_of(value) == claim for value in _leaves(spec))


def _claim_of(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(SCHEME):
        return ""
    try:
        return parse_place(value).claim
    except UsageError:
        return ""


def _mounted_by(pod: Object, claim: str) -> bool:
    """Whether the pod, which has not ended, mounts the claim."""
    if (pod.get("status") or {}).get("phase") in ENDED:
        return False
    return claim in _volumes({"volumes": pod["spec"].get("volumes") or []})


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
