"""Writes `schemas.json`: python -m bed.kserve_emulator.crd.generate --sdk WHEEL --kubeconfig FILE

The wheel is `pip download --no-deps kserve==VERSION`; the cluster's API server tells Kubernetes' own types.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from bed.kserve_emulator.api import Api

from . import additions
from .core import DOCUMENTS, closure
from .definitions import ROOTS, SCHEMAS
from .sdk import Schema, definitions

# A model with this field is (also) a container, with that one a whole pod spec.
CONTAINER_SIGN, POD_SIGN = "volumeMounts", "automountServiceAccountToken"


def generate(sdk: Mapping[str, Schema], documents: Mapping[str, Any]) -> dict[str, Schema]:
    """All definitions that KServe's kinds need, complete and without unknown references.

    Args:
        sdk: from `sdk.definitions`.
        documents: the API server's OpenAPI documents named in `core.DOCUMENTS`.
    """
    known = deepcopy(dict(sdk)) | deepcopy(additions.TYPES)
    _add_worker_spec(known)
    wanted = {name for schema in known.values() for name in _references(schema) if name not in known}
    core = closure(wanted | {"V1Container"}, documents)
    for name, schema in known.items():
        _complete(name, schema, core["V1Container"])
    known |= core
    reached: dict[str, Schema] = {}
    _reach(ROOTS.values(), known, reached)
    return reached


def text_of(versions: Mapping[str, str], found: Mapping[str, Schema]) -> str:
    """The file's text: one definition per line, so that a change shows as lines."""
    lines = [f" {json.dumps(name)}: {json.dumps(found[name], sort_keys=True)}" for name in sorted(found)]
    body = ",\n".join(lines)
    return f'{{"from": {json.dumps(dict(versions))}, "definitions": {{\n{body}\n}}}}\n'


def _add_worker_spec(known: dict[str, Schema]) -> None:
    name, base, sizes = additions.WORKER_SPEC
    worker = deepcopy(known[base])
    worker["properties"] |= {size: dict(additions.INTEGER) for size in sizes}
    known[name] = worker


def _complete(name: str, schema: Schema, container: Schema) -> None:
    """Puts in what `additions` knows; fields of an inlined container get Kubernetes' own schemas."""
    properties = schema.get("properties", {})
    if CONTAINER_SIGN in properties:
        for key in properties.keys() & container["properties"].keys():
            properties[key] = deepcopy(container["properties"][key])
        schema.pop("required", None)
    if POD_SIGN in properties:
        properties["nodeSelector"]["x-kubernetes-map-type"] = "atomic"
    for key in additions.POD_LISTS.keys() & properties.keys():
        keys = additions.POD_LISTS[key]
        properties[key] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys}
    for key in additions.LEFT_OUT:
        properties.pop(key, None)
    for key in additions.COMPONENT_FIELDS.keys() & properties.keys():
        properties[key] |= additions.COMPONENT_FIELDS[key]
    for key, more in additions.FIELDS.get(name, {}).items():
        properties[key] |= more
    if name in additions.REQUIRED:
        schema["required"] = sorted({*schema.get("required", ()), *additions.REQUIRED[name]})


def _reach(names: Any, known: Mapping[str, Schema], reached: dict[str, Schema]) -> None:
    """Collects what the roots refer to; a field of a type that nobody knows is left out."""
    for name in names:
        if name in reached:
            continue
        schema = reached[name] = deepcopy(known[name])
        properties = schema.get("properties", {})
        for key in [key for key, value in properties.items() if not set(_references(value)) <= known.keys()]:
            print(f"left out: {name}.{key}, of a type that this Kubernetes does not have")
            del properties[key]
        _reach(list(_references(schema)), known, reached)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


async def read_documents(kubeconfig: str) -> tuple[str, dict[str, Any]]:
    """The API server's version and its OpenAPI documents."""
    async with Api(kubeconfig) as api:
        version = (await api.request("GET", "/version"))["gitVersion"]
        return version, {name: await api.request("GET", f"/openapi/v3/{name}") for name in DOCUMENTS}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bed.kserve_emulator.crd.generate", description=__doc__)
    parser.add_argument("--sdk", type=Path, required=True, help="the wheel of PyPI's kserve")
    parser.add_argument("--kubeconfig", required=True)
    options = parser.parse_args()
    version = re.fullmatch(r"kserve-([^-]+)-.*\.whl", options.sdk.name)
    if version is None:
        parser.error(f"{options.sdk.name} is not a wheel of kserve")
    kubernetes, documents = asyncio.run(read_documents(options.kubeconfig))
    found = generate(definitions(options.sdk), documents)
    SCHEMAS.write_text(text_of({"kserve": version[1], "kubernetes": kubernetes}, found))
    print(f"{SCHEMAS}: {len(found)} definitions")


if __name__ == "__main__":
    main()
