"""The difference between two objects, as data.

Owns comparing and merging of plain values. Knows no field of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pvserve.plan.steps import Change

Path = tuple[str | int, ...]


def changes(before: Any, after: Any) -> tuple[Change, ...]:
    """What turns `before` into `after`, in the order of `after`'s keys; lists item by item."""
    return tuple(_changes(before, after, ()))


def _changes(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from (Change("remove", (*path, key), old=before[key]) for key in before if key not in after)
        for key, value in after.items():
            if key in before:
                yield from _changes(before[key], value, (*path, key))
            else:
                yield Change("add", (*path, key), new=value)
    elif isinstance(before, list) and isinstance(after, list):
        common = min(len(before), len(after))
        for position in range(common):
            yield from _changes(before[position], after[position], (*path, position))
        yield from (Change("remove", (*path, at), old=before[at]) for at in range(common, len(before)))
        yield from (Change("add", (*path, at), new=after[at]) for at in range(common, len(after)))
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Change("change", path, old=before, new=after)


def missing(wanted: Any, live: Any) -> tuple[Change, ...]:
    """What `live` lacks of `wanted`, or has otherwise; what it has besides does not count, but for items of lists."""
    return tuple(change for change in _changes(live, wanted, ()) if not _besides(change, live))


def _besides(change: Change, live: Any) -> bool:
    """Whether this is a key that only the live object has."""
    if change.op != "remove":
        return False
    for key in change.path[:-1]:
        live = live[key]
    return isinstance(live, Mapping)


def merged(target: Any, patch: Any) -> Any:
    """`target` with a JSON merge patch applied (RFC 7396): null removes, lists are replaced whole."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def at(obj: Any, path: tuple[str, ...]) -> Any:
    """The value at `path`, None where there is none."""
    for key in path:
        if not isinstance(obj, Mapping) or key not in obj:
            return None
        obj = obj[key]
    return obj
