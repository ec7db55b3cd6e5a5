"""What is wrong with a value for a model file, in words.

Owns the wording: unknown keys with the nearest right one, and pydantic's errors. Reads nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pvserve.spec.document import Path
from pvserve.spec.model import ModelSpec

_KINDS = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


class Complaint(NamedTuple):
    """One fault at one path; `at_key` where the key is at fault and not its value."""

    path: Path
    text: str
    at_key: bool = False


def unknown_keys(value: dict[str, Any], model: type[BaseModel] = ModelSpec, path: Path = ()) -> Iterator[Complaint]:
    """A complaint for every key that a model file does not have."""
    fields = _keys(model)
    for key, below in value.items():
        if key not in fields:
            yield Complaint(
                (*path, key), f"`{_dotted((*path, key))}` is no key of a model file{_nearest(key, model)}", True
            )
        elif isinstance(below, dict) and (inner := fields[key]) is not None:
            yield from unknown_keys(below, inner, (*path, key))


def keys(model: type[BaseModel] = ModelSpec, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that a model file can have, outermost first."""
    for key, inner in _keys(model).items():
        yield (*above, key)
        if inner is not None:
            yield from keys(inner, (*above, key))


def faults(error: ValidationError) -> list[Complaint]:
    """pydantic's errors in our words."""
    return [Complaint(detail["loc"], _sentence(detail)) for detail in error.errors(include_url=False)]


def _sentence(detail: ErrorDetails) -> str:
    path, given = detail["loc"], detail["input"]
    if detail["type"] == "missing":
        return f"`{_dotted(path)}` is missing"
    if not path:
        return _clause(detail)
    named = f"{_dotted(path)}: {_shown(given)}" if isinstance(given, str | int) else _dotted(path)
    return f"`{named}` {_clause(detail)}"


def _clause(detail: ErrorDetails) -> str:
    context, given = detail.get("ctx") or {}, detail["input"]
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"must be one of {_choices(context['expected'])}{_meant(str(given), context['expected'])}"
        case "string_type" | "string_unicode":
            return f"must be a text, not {_KINDS.get(type(given), 'this')}"
        case "string_too_short":
            return "must not be empty"
        case "bool_parsing" | "bool_type":
            return "must be true or false"
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return "must be a whole number"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "tuple_type":
            return f'must be a list, as ["{_shown(given)}"]' if isinstance(given, str) else "must be a list"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping of keys, not {_KINDS.get(type(given), 'this')}"
        case _:
            return detail["msg"][:1].lower() + detail["msg"][1:]


def _keys(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The keys of a mapping in the file, and the model of what is below each."""
    return {
        info.alias or name: info.annotation
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
        else None
        for name, info in model.model_fields.items()
    }


def _nearest(key: str, model: type[BaseModel]) -> str:
    """`; did you mean X?`, looking at this level first, then at where the key exists."""
    plain = _folded(key)
    here = {_folded(name): known for known, info in _named(model) for name in (known, info)}
    if plain in here:
        return f"; did you mean `{here[plain]}`?"
    for parent, inner in _keys(ModelSpec).items():
        if inner and inner is not model and (found := {_folded(known): known for known in _keys(inner)}.get(plain)):
            return f"; did you mean `{parent}.{found}`?"
    if model is not ModelSpec and plain in {_folded(known) for known in _keys(ModelSpec)}:
        return "; it belongs to the outermost level"
    near = difflib.get_close_matches(plain, here, n=1, cutoff=0.6)
    return f"; did you mean `{here[near[0]]}`?" if near else f"; there are {', '.join(_keys(model))}"


def _named(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The key in the file and the name in Python of every field."""
    for name, info in model.model_fields.items():
        yield info.alias or name, name


def _folded(key: str) -> str:
    return key.replace("-", "").replace("_", "").casefold()


def _choices(expected: str) -> str:
    return expected.replace("'", "").replace(" or ", ", ")


def _meant(given: str, expected: str) -> str:
    choices = {choice.casefold(): choice for choice in _choices(expected).split(", ")}
    near = difflib.get_close_matches(given.casefold(), choices, n=1, cutoff=0.5)
    return f"; did you mean {choices[near[0]]}?" if near else ""


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in path).lstrip(".")


def _shown(value: Any) -> str:
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))
    return text if len(text) <= 80 else text[:77] + "..."
