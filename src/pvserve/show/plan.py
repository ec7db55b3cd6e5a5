"""A plan as text: steps with their differences, what admission alters, what is left out and why.

Owns the layout. Must not compute anything that the plan does not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pvserve.plan.steps import ApplyObject, Change, CheckPath, Load, LoadJob, PatchObject, Plan, Step
from pvserve.plan.volume_steps import RemoveModel, SweepVolume
from pvserve.show.words import clean, size, styled

SIGNS = {"add": ("+", "green"), "remove": ("-", "red"), "change": ("~", "yellow")}
VALUE_WIDTH = 160


def plan_text(plan: Plan, *, colour: bool = False) -> str:
    """The whole plan, one item per line, never truncated but for single values over VALUE_WIDTH characters."""
    return "\n".join(_lines(plan, colour)) + "\n"


def _lines(plan: Plan, colour: bool) -> Iterator[str]:
    for number, step in enumerate(plan.steps, 1):
        yield f"{number}. {styled(clean(step.title), 'bold', colour)}"
        yield from (f"   {line}" for line in _step_lines(step, colour))
        for change in plan.admission.get(step.id, ()):
            yield f"   the cluster's admission: {change_line(change, colour)}"
    if not plan.changes_pending and not plan.refusals:
        what = ": the model is on the claim and the service is as wanted" if plan.path else ""
        yield f"Nothing to change{what}."
    for same in plan.unchanged:
        yield f"   unchanged: {clean(same)}"
    for item in plan.not_done:
        yield f"not done: {clean(item.what)}: {clean(item.why)}"
        yield from (f"   {clean(line)}" for line in item.command.splitlines())
    for note in plan.notes:
        yield f"note: {clean(note)}"
    for refusal in plan.refusals:
        yield f"{styled('refused', 'red', colour)} ({clean(refusal.reason)}): {clean(refusal.message)}"
        yield from (f"   {clean(line)}" for text in refusal.remedy for line in text.splitlines())


def _step_lines(step: Step, colour: bool) -> Iterator[str]:
    why = getattr(step, "why", "")
    if why:
        yield f"because {clean(why)}"
    if isinstance(step, Load):
        yield f"{step.files} files, {size(step.bytes)}, from {clean(step.source)}"
        container = step.pod["spec"]["containers"][0]
        yield f"loader pod in image {clean(str(container['image']))}, channel {step.via}"
    if isinstance(step, LoadJob):
        yield f"{step.files} files, {size(step.bytes)}, from {clean(step.source)}"
        container = step.job["spec"]["template"]["spec"]["containers"][0]
        yield f"Job in image {clean(str(container['image']))}: the cluster reads the source itself"
    if isinstance(step, CheckPath | RemoveModel):
        yield f"pod in image {clean(str(step.pod['spec']['containers'][0]['image']))}"
    if isinstance(step, SweepVolume):
        yield from (f"- {clean(item.title)}" for item in step.leftovers)
    if isinstance(step, ApplyObject) and step.force:
        yield "fields that somebody edited are taken over (--force-conflicts)"
    if isinstance(step, ApplyObject | PatchObject):
        yield from (change_line(change, colour) for change in step.changes)


def change_line(change: Change, colour: bool) -> str:
    """One difference: sign, path, values."""
    sign, style = SIGNS[change.op]
    path = _path(change.path)
    if change.op == "change":
        text = f"{sign} {path}: {_value(change.old)} -> {_value(change.new)}"
    else:
        text = f"{sign} {path}: {_value(change.new if change.op == 'add' else change.old)}"
    return styled(clean(text), style, colour)


def _path(path: tuple[str | int, ...]) -> str:
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += f"[{part!r}]" if "." in part or "/" in part else (f".{part}" if out else part)
    return out


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 1] + "…"
