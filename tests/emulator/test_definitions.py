"""KServe's definitions: complete schemas, equal to what the SDK's wheel and this Kubernetes generate."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bed.kserve_emulator.crd import definitions, generate, sdk
from bed.settings import settings

from . import recorded

Schema = dict[str, Any]
KINDS = {item["spec"]["names"]["kind"]: item for item in definitions.custom_resource_definitions()}


def schema_of(kind: str) -> Schema:
    found: Schema = KINDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for key, value in schema.get("properties", {}).items():
        yield from nodes(value, f"{path}.{key}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def unknown_fields(value: Any, schema: Schema, path: str = "") -> list[str]:
    """The fields of a value that the schema does not know; free-form objects know all."""
    if isinstance(value, list):
        return [line for item in value for line in unknown_fields(item, schema["items"], f"{path}[]")]
    if not isinstance(value, dict) or path == ".metadata":
        return []
    if "additionalProperties" in schema:
        return [line for item in value.values() for line in unknown_fields(item, schema["additionalProperties"], path)]
    known = schema.get("properties", {})
    lines = [f"{path}.{key}" for key in value if key not in known]
    return lines + [
        line for key in value if key in known for line in unknown_fields(value[key], known[key], f"{path}.{key}")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_structural(kind: str) -> None:
    """What the API server asks of a schema: a type everywhere, no references, keys for list maps."""
    for path, node in nodes(schema_of(kind)):
        assert "$ref" not in node, path
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        for key in node.get("x-kubernetes-list-map-keys", ()):
            item = node["items"]
            assert key in item["required"] or "default" in item["properties"][key], f"{path}: {key}"


def test_unknown_fields_are_kept_only_in_the_status() -> None:
    """But for LLMInferenceService, which is written by hand: its pod specs are taken as they come."""
    kept = [
        path
        for kind in KINDS.keys() - {"LLMInferenceService"}
        for path, node in nodes(schema_of(kind))
        if "x-kubernetes-preserve-unknown-fields" in node
    ]
    assert kept == [".status"]


@pytest.mark.parametrize("name", recorded.names())
def test_recorded_objects_have_no_unknown_field(name: str) -> None:
    recording = recorded.read(name)
    for item in [*recording.inputs, *recording.objects]:
        if item["kind"] in KINDS:
            assert unknown_fields(item, schema_of(item["kind"])) == []


def test_misspelt_field_is_unknown() -> None:
    item = {"spec": {"predictor": {"model": {"modelFormat": {"name": "a"}, "storageUrl": "pvc://a"}}}}
    assert unknown_fields(item, schema_of("InferenceService")) == [".spec.predictor.model.storageUrl"]


@pytest.mark.bed
def test_schemas_are_what_the_sdk_generates(tmp_path: Path, emulator_runs: None) -> None:
    """Needs PyPI for the wheel and the bed for Kubernetes' own types."""
    kept = json.loads(definitions.SCHEMAS.read_text())
    wanted = f"kserve=={kept['from']['kserve']}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(tmp_path), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PIP_NO_INPUT": "1"})
    if done.returncode != 0:
        pytest.skip(f"{wanted} is not to be had from PyPI: {done.stderr.strip()[-200:]}")
    (wheel,) = tmp_path.glob("kserve-*.whl")
    version, documents = asyncio.run(generate.read_documents(str(settings().kubeconfig)))
    found = generate.generate(sdk.definitions(wheel), documents)
    made = generate.text_of({"kserve": kept["from"]["kserve"], "kubernetes": version}, found)
    assert made == definitions.SCHEMAS.read_text()
