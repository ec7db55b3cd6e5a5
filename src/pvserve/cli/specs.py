"""From a model file and flags to validated specs.

Owns the mapping of flags to the model file's keys. Checks nothing itself: `spec` does.
"""

from __future__ import annotations

from typing import Any

import click

from pvserve.spec import ModelSpec, read_specs


def specs(flags: dict[str, Any], *, namespace: str | None) -> list[ModelSpec]:
    """The models that a command is about: those of `-f`, with the flags over them, or one from flags alone."""
    found = read_specs(flags.get("file"), _values(flags, namespace))
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    return list(found.specs)


def _values(flags: dict[str, Any], namespace: str | None) -> dict[str, Any]:
    claim = {
        "name": flags.get("claim"),
        "size": flags.get("size"),
        "storageClass": flags.get("storage_class"),
        "accessMode": flags.get("access_mode"),
        "retain": flags.get("retain"),
    }
    loader = {"image": flags.get("image"), "via": flags.get("via"), "replace": flags.get("replace")}
    values = {
        "model": flags.get("source"),
        "name": flags.get("name"),
        "namespace": namespace,
        "from": flags.get("origin"),
        "claim": _given(claim),
        "path": flags.get("path"),
        "inPlace": flags.get("in_place"),
        "include": list(flags.get("include") or ()),
        "exclude": list(flags.get("exclude") or ()),
        "loader": _given(loader),
        "timeout": flags.get("timeout"),
    }
    return _given(values)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, [], {}, "")}
