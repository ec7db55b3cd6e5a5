"""From a model file and flags to validated specs.

Owns the mapping of flags to the model file's keys. Checks nothing itself: `spec` does.
"""

from __future__ import annotations

import os
from typing import Any

import click

from pvserve.spec import ModelSpec, read_specs

# Flag as click names it -> key of the model file; a dot divides levels.
KEYS = {
    "source": "model",
    "name": "name",
    "origin": "from",
    "runtime": "runtime",
    "model_format": "format",
    "claim": "claim.name",
    "size": "claim.size",
    "storage_class": "claim.storageClass",
    "access_mode": "claim.accessMode",
    "retain": "claim.retain",
    "path": "path",
    "in_place": "inPlace",
    "include": "include",
    "exclude": "exclude",
    "image": "loader.image",
    "via": "loader.via",
    "claim_copy": "loader.claimCopy",
    "replace": "loader.replace",
    "connection": "fetch.connection",
    "connection_key": "fetch.key",
    "endpoint": "fetch.endpoint",
    "region": "fetch.region",
    "anonymous": "fetch.anonymous",
    "allow_pickle": "fetch.allowPickle",
    "ca": "fetch.ca",
    "proxy": "fetch.proxy",
    "no_proxy": "fetch.noProxy",
    "shards": "fetch.shards",
    "storage_initializer": "fetch.storageInitializer",
    "queue": "fetch.queue",
    "detach": "fetch.detach",
    "timeout": "timeout",
}


def specs(flags: dict[str, Any], *, namespace: str | None) -> list[ModelSpec]:
    """The models that a command is about: those of `-f`, with values and flags over them, or one from flags alone."""
    found = read_specs(
        flags.get("file"),
        values_of(flags, namespace),
        values=flags.get("values") or (),
        environment=os.environ,
        assignments=flags.get("assignments") or (),
    )
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    return list(found.specs)


def values_of(flags: dict[str, Any], namespace: str | None) -> dict[str, Any]:
    """The flags that were given, in the shape of a model file."""
    values: dict[str, Any] = {"namespace": namespace} if namespace is not None else {}
    for flag, key in KEYS.items():
        given = flags.get(flag)
        if given is None or given == ():
            continue
        *above, last = key.split(".")
        level = values
        for word in above:
            level = level.setdefault(word, {})
        level[last] = list(given) if isinstance(given, tuple) else given
    return values
