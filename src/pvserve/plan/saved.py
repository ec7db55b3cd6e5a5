"""A plan as JSON, and back: `plan --out plan.json`, then `deploy plan.json`.

Owns the form of that file. Reads and writes none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any, get_args

from pvserve.errors import UsageError
from pvserve.plan.steps import Plan, Step

VERSION = 1
_KINDS = {kind.__name__: kind for kind in get_args(Step)}


def plan_to_json(plan: Plan) -> str:
    """The plan as one JSON object; the same plan gives the same bytes."""
    value = {field.name: getattr(plan, field.name) for field in fields(plan)}
    steps = [{"step": type(step).__name__, **asdict(step)} for step in plan.steps]
    rest = {key: item for key, item in asdict(plan).items() if key != "steps"}
    assert value.keys() == {"steps", *rest}
    return json.dumps({"pvservePlan": VERSION, **rest, "steps": steps}, indent=1) + "\n"


def plans_to_json(plans: Sequence[Plan]) -> str:
    """Several plans of one run as one JSON object; one plan as `plan_to_json` writes it."""
    if len(plans) == 1:
        return plan_to_json(plans[0])
    values = [json.loads(plan_to_json(plan)) for plan in plans]
    return json.dumps({"pvservePlans": VERSION, "plans": values}, indent=1) + "\n"


def plans_from_json(text: str, file: str) -> tuple[Plan, ...]:
    """The plans that `plans_to_json` or `plan_to_json` wrote; `file` is named in errors.

    Raises:
        UsageError: `NoPlan`, when it is something else, or of another version.
    """
    try:
        value: Any = json.loads(text)
        if isinstance(value, dict) and "pvservePlans" in value:
            if value["pvservePlans"] != VERSION:
                raise _no_plan(file, f"it is of version {value['pvservePlans']}, and this pvserve knows {VERSION}")
            return tuple(_plan(item, file) for item in value["plans"])
    except (ValueError, KeyError, TypeError) as error:
        raise _no_plan(file, str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    return (_plan(value, file),)


def _plan(value: dict[str, Any], file: str) -> Plan:
    from pydantic import TypeAdapter, ValidationError

    try:
        version = value.pop("pvservePlan")
        if version != VERSION:
            raise _no_plan(file, f"it is of version {version}, and this pvserve knows {VERSION}")
        steps = tuple(_step(item, TypeAdapter) for item in value.pop("steps"))
        plan: Plan = TypeAdapter(Plan).validate_python({**value, "steps": ()})
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise _no_plan(file, str(error).splitlines()[0] if str(error) else type(error).__name__) from None
    return Plan(**{field.name: getattr(plan, field.name) for field in fields(plan)} | {"steps": steps})


def _step(item: dict[str, Any], adapter: Any) -> Any:
    kind = _KINDS[item.pop("step")]
    return adapter(kind).validate_python(item)


def _no_plan(file: str, why: str) -> UsageError:
    return UsageError(
        "NoPlan", f"{file} is no plan that pvserve wrote: {why}", subject=file, remedy=(f"pvserve plan … --out {file}",)
    )
