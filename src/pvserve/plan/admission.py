"""What the server would store, beside what the plan writes.

Owns the comparison with a server-side dry run: what admission adds, changes or removes is shown, and what it turns
against the plan refuses it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pvserve.facts import Object
from pvserve.facts.objects import ObjectKey
from pvserve.plan.copies import content
from pvserve.plan.diff import changes, merged
from pvserve.plan.edit_service import KIND, STORAGE_FIELDS
from pvserve.plan.llm_service import LLM_KIND, URI
from pvserve.plan.steps import ApplyObject, Change, PatchObject, Plan, Refusal
from pvserve.plan.trap_table import stop


def with_admission(plan: Plan, stored: Mapping[str, Object | Refusal]) -> Plan:
    """The plan with what a dry run showed; `stored` is the answer per step id, a Refusal where the server refused."""
    refusals = [item for item in stored.values() if isinstance(item, Refusal)]
    seen: dict[str, tuple[Change, ...]] = {}
    live: dict[ObjectKey, Object] = {}
    for step in plan.steps:
        if isinstance(step, PatchObject) and step.before is not None:
            live.setdefault(step.target, step.before)  # the dry runs of a sequence are each made of the object as it is
        answer = stored.get(step.id)
        if not isinstance(step, ApplyObject | PatchObject) or answer is None or isinstance(answer, Refusal):
            continue
        altered = changes(_expected(step, live), content(answer))
        if altered:
            seen[step.id] = altered
        if isinstance(step, ApplyObject) and step.object["kind"] in (KIND, LLM_KIND):
            refusals += _undone(altered)
    return replace(plan, admission=seen, refusals=plan.refusals + tuple(refusals))


def _expected(step: ApplyObject | PatchObject, live: Mapping[ObjectKey, Object]) -> Any:
    if isinstance(step, PatchObject):
        return merged(live.get(step.target, {}), step.patch)
    return merged(content(step.before) if step.before is not None else {}, content(step.object))


def _undone(altered: tuple[Change, ...]) -> list[Refusal]:
    """Storage that admission brings back or takes away would leave a service without its claim."""
    storage = [
        change for change in altered if change.path and (change.path[-1] in STORAGE_FIELDS or change.path == URI)
    ]
    if not storage:
        return []
    fields = ", ".join(".".join(map(str, change.path)) for change in storage)
    return list(stop("AdmissionUndoesEdit", fields=fields).refusals)
