"""Which objects of a plan go into files, in which order, and what may never.

Owns the choice. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pvserve.errors import Refused
from pvserve.facts import Object, key
from pvserve.facts.objects import ObjectKey
from pvserve.plan.copies import content
from pvserve.plan.diff import merged
from pvserve.plan.steps import ApplyObject, PatchObject, Plan

# Each may need those before it; kinds that are not named here stand between claim and service, in the plan's order.
_ORDER = ("StorageClass", "PersistentVolumeClaim", "", "ServingRuntime", "InferenceService")
# Names of environment variables whose value is a secret, as HF_TOKEN or AWS_SECRET_ACCESS_KEY.
_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?|API_?KEY|SECRET_ACCESS_KEY|PRIVATE_KEY)$"
)


def objects_of(plan: Plan) -> tuple[dict[str, Any], ...]:
    """The objects as the plan leaves them: those it applies, and those it patches with their patches laid over.

    Without status and what else a server keeps. Raises Refused rather than to put a secret into a file.
    """
    found: dict[ObjectKey, Object] = {}
    for step in plan.steps:
        if isinstance(step, ApplyObject):
            found[key(step.object)] = step.object
        elif isinstance(step, PatchObject):
            before = found.get(step.target, step.before)
            if before is not None:
                found[step.target] = merged(before, step.patch)
    written = tuple(_tidy(obj) for obj in sorted(found.values(), key=lambda obj: _rank(str(obj["kind"]))))
    for obj in written:
        _refuse_secret(obj)
    return written


def patches_without_object(plan: Plan) -> tuple[PatchObject, ...]:
    """The patches whose object is not known, so that no file can hold the result."""
    applied = {key(step.object) for step in plan.steps if isinstance(step, ApplyObject)}
    patches = (step for step in plan.steps if isinstance(step, PatchObject))
    return tuple(step for step in patches if step.before is None and step.target not in applied)


def _rank(kind: str) -> int:
    return _ORDER.index(kind) if kind in _ORDER else _ORDER.index("")


def _tidy(obj: Object) -> dict[str, Any]:
    """The object's content in the order in which people write objects; no empty labels or annotations."""
    kept = content(obj)
    head = {name: kept.pop(name) for name in ("apiVersion", "kind", "metadata")}
    return {**head, **kept}


def _refuse_secret(obj: Object) -> None:
    if obj["kind"] == "Secret":
        raise _secret(str(key(obj)), "it is a Secret")
    for name in _literal_secrets(obj):
        raise _secret(str(key(obj)), f"its environment variable {name} has a literal value")


def _literal_secrets(node: Any) -> Iterator[str]:
    """Names of environment variables that hold what should come from a Secret."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "env" and isinstance(value, list | tuple):
                yield from (str(item["name"]) for item in value if isinstance(item, Mapping) and _is_secret(item))
            else:
                yield from _literal_secrets(value)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _literal_secrets(item)


def _is_secret(variable: Mapping[str, Any]) -> bool:
    value = str(variable.get("value") or "")
    refers = value.startswith("$(") and value.endswith(")")  # to another variable
    return bool(value) and not refers and bool(_SECRET_NAME.search(str(variable.get("name", "")).upper()))


def _secret(subject: str, why: str) -> Refused:
    return Refused(
        "SecretInObject",
        f"{subject} is not written to a file: {why}",
        subject=subject,
        remedy=("put the value into a Secret and refer to it by valueFrom.secretKeyRef, then render again",),
    )
