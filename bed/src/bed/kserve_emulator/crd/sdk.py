"""Reads the models in the wheel of KServe's Python SDK as schema definitions, without importing it.

Importing would need the SDK's dependencies (285 MB) only to look at two dictionaries per class.
"""

from __future__ import annotations

import ast
import re
import zipfile
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
}


def definitions(wheel: Path) -> dict[str, Schema]:
    """Every model of the SDK: class name -> object schema, whose properties refer to others by name (`$ref`).

    Raises:
        ValueError: a model is not of the form that openapi-generator writes.
    """
    found: dict[str, Schema] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith(("kserve/models/v1", "kserve/models/knative")):
                for node in ast.parse(archive.read(name)).body:
                    if isinstance(node, ast.ClassDef):
                        found[node.name] = _model(node)
    return found


def _model(node: ast.ClassDef) -> Schema:
    types, names = _literal(node, "openapi_types"), _literal(node, "attribute_map")
    required = sorted(names[attribute] for attribute in _never_none(node))
    schema: Schema = {"type": "object", "properties": {names[key]: reference(types[key]) for key in types}}
    if required:
        schema["required"] = required
    return schema


def _literal(node: ast.ClassDef, name: str) -> dict[str, str]:
    for statement in node.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            value: dict[str, str] = ast.literal_eval(statement.value)
            return value
    raise ValueError(f"model {node.name} of the SDK has no {name}")


def _never_none(node: ast.ClassDef) -> list[str]:
    """The attributes whose setters refuse None: the required ones."""
    setters = [item for item in node.body if isinstance(item, ast.FunctionDef) and _is_setter(item)]
    return [item.name for item in setters if "must not be `None`" in ast.unparse(item)]


def _is_setter(function: ast.FunctionDef) -> bool:
    return any(isinstance(item, ast.Attribute) and item.attr == "setter" for item in function.decorator_list)


def reference(kind: str) -> Schema:
    """The schema of an attribute's type as the SDK writes it: `list[X]`, `dict(str, X)`, a class or a scalar."""
    if kind in SCALARS:
        return dict(SCALARS[kind])
    listed = re.fullmatch(r"list\[(.+)\]", kind)
    if listed:
        return {"type": "array", "items": reference(listed[1])}
    mapped = re.fullmatch(r"dict\(str, (.+)\)", kind)
    if mapped:
        return {"type": "object", "additionalProperties": reference(mapped[1])}
    return {"$ref": kind}
