"""What the user wants: the model file and flags as one validated value, and the rules for names.

Owns the fields, their checks and the JSON Schema. Does no I/O beyond reading the file.
The names below are loaded on first use: pydantic and ruamel.yaml take a third of a second, and `spec.place`,
`spec.names` and `spec.quantity` need neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pvserve.spec.file import Specs, read_specs
    from pvserve.spec.model import ClaimSpec, LoaderSpec, ModelSpec, schema

_HOMES = {
    "ClaimSpec": "model",
    "LoaderSpec": "model",
    "ModelSpec": "model",
    "Specs": "file",
    "read_specs": "file",
    "schema": "model",
}

__all__ = ["ClaimSpec", "LoaderSpec", "ModelSpec", "Specs", "read_specs", "schema"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
