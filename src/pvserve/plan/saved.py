"""A plan as JSON, and back: `plan --out plan.json`, then `deploy plan.json`.

Owns the form of that file. Reads and writes none.
"""

from __future__ import annotations

import json
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


def plan_from_json(text: str, file: str) -> Plan:
    """The plan that `plan_to_json` wrote; `file` is named in errors.

    Raises:
        UsageError: `NoPlan`, when it is something else, or of another version.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        value: dict[str, Any] = json.loads(text)
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
