"""Model files: reading them, laying values and flags over them, and saying where what is wrong.

Owns the files that `spec` reads. Every error is a UsageError with `file:line:column`, or the flag, as subject.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TextIO

from pydantic import ValidationError

from pvserve.errors import UsageError
from pvserve.spec.complaints import Complaint, faults, keys, unknown_keys
from pvserve.spec.document import MAX_TEXT, Document, Mark, documents
from pvserve.spec.layers import Layer, flags_layer, laid_over, resolved, set_layer, values_layer, variables_layer
from pvserve.spec.model import ModelSpec

STDIN = "-"
SUFFIXES = (".yaml", ".yml")
_ONE_MODEL = ("model", "name", "from", "path")  # keys that cannot hold for several models at once


@dataclass(frozen=True)
class Specs:
    """What was read: one spec for each document, and what the user should hear."""

    specs: tuple[ModelSpec, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Read:
    """One document of a model file, and what it became."""

    file: str
    document: Document
    spec: ModelSpec


def read_specs(
    file: str | None,
    flags: Mapping[str, Any] | None = None,
    *,
    values: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    assignments: Sequence[str] = (),
    stdin: TextIO | None = None,
) -> Specs:
    """The models that `file` (`-` is stdin, a directory is its *.yaml and *.yml; None is no file) and flags describe.

    Over every document lie the `values` files in their order, then variables of `environment` (PVSERVE_SET_CLAIM_SIZE),
    then `assignments` (`claim.size=20Gi`), then `flags`, which have the shape of the file:
    `{"name": "granite-pvc", "claim": {"size": "20Gi"}}`.
    A relative `model` counts from the file's directory, or from the working directory on stdin and in flags.

    Raises:
        UsageError: `ModelFileUnreadable`, `YamlInvalid`, `NotAModelFile`, `ModelFileInvalid`, `FlagForOneModel`,
            `SameTwice`.
    """
    layers = [_values(name, stdin) for name in values]
    layers += [variables_layer(environment, list(keys()))] if environment and file is not None else []
    layers += [set_layer(assignments), flags_layer(flags or {})]
    warnings = [warning for layer in layers if layer.document for warning in layer.document.warnings]
    if file is None:
        return Specs((_spec(Layer({}, "", Document({}, Mark(0, 0))), layers),), tuple(warnings))
    sources = [
        (name, document) for name in _files(file) for document in _documents(name, stdin, "pvserve init NAME > ")
    ]
    _check_layers(layers, len(sources), file)
    read = []
    for name, document in sources:
        base = _base(name)
        _check_kind(document, _shown(name))
        document.value = resolved(document.value, base)
        spec = _spec(Layer(document.value, _shown(name), document), layers)
        read.append(_Read(_shown(name), document, spec))
        warnings += document.warnings
    _check_different(read)
    return Specs(tuple(each.spec for each in read), tuple(warnings))


def _shown(file: str) -> str:
    return "stdin" if file == STDIN else file


def _base(file: str) -> str:
    return os.getcwd() if file == STDIN else os.path.dirname(os.path.abspath(file))


def _files(file: str) -> list[str]:
    """The file, or the model files right in the directory, sorted by name; hidden ones are left out."""
    if file == STDIN or not os.path.isdir(file):
        return [file]
    try:
        names = sorted(os.listdir(file))
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from None
    found = [
        os.path.join(file, name)
        for name in names
        if name.endswith(SUFFIXES) and not name.startswith(".") and os.path.isfile(os.path.join(file, name))
    ]
    if not found:
        raise _unreadable(file, "the directory has no *.yaml or *.yml right in it, and those below are not read")
    return found


def _values(file: str, stdin: TextIO | None) -> Layer:
    """One `--values` file."""
    found = _documents(file, stdin, "")
    if len(found) != 1:
        raise UsageError(
            "NotAModelFile",
            f"--values {_shown(file)} holds {len(found)} documents; one is laid over every model",
            subject=f"{_shown(file)}:{found[1].start.line}:{found[1].start.column}",
            remedy=("give one file for each --values",),
        )
    _check_kind(found[0], _shown(file))
    return values_layer(found[0], _shown(file), _base(file))


def _documents(file: str, stdin: TextIO | None, made_by: str) -> list[Document]:
    shown = _shown(file)
    found = documents(_text(file, stdin), shown)
    if not found:
        raise UsageError(
            "NotAModelFile",
            f"{shown} is empty",
            subject=f"{shown}:1:1",
            remedy=(f"{made_by}model.yaml makes one from an InferenceService",)
            if made_by
            else ("leave --values out, or write the keys that differ into it",),
        )
    return found


def _text(file: str, stdin: TextIO | None) -> str:
    """The text of the file, never much more than a model file may have."""
    try:
        if file == STDIN:
            return (stdin or sys.stdin).read(MAX_TEXT + 1)
        with FilePath(file).open(encoding="utf-8-sig") as stream:
            return stream.read(MAX_TEXT + 1)
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8 text at byte {error.start}"
    except (OSError, ValueError) as error:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    raise _unreadable(file, why)


def _unreadable(file: str, why: str) -> UsageError:
    return UsageError(
        "ModelFileUnreadable",
        f"the model file {file!r} cannot be read: {why}",
        subject=file,
        remedy=("name a model file with -f, or - for stdin",),
    )


def _spec(own: Layer, above: Sequence[Layer]) -> ModelSpec:
    layers = [own, *above]
    placed = [(layer, complaint) for layer in layers for complaint in unknown_keys(layer.value)]
    if not placed:
        merged: dict[str, Any] = {}
        for layer in layers:
            merged = laid_over(merged, layer.value)
        try:
            return ModelSpec.model_validate(merged)
        except ValidationError as error:
            placed = [(_giver(complaint, layers), complaint) for complaint in faults(error)]
    raise _invalid([(layer.position(complaint), complaint.text) for layer, complaint in placed], own.file)


def _giver(complaint: Complaint, layers: list[Layer]) -> Layer:
    """The uppermost layer that gave the value at fault; the document where none did."""
    return next((layer for layer in reversed(layers) if layer.has(complaint.path)), layers[0])


def _invalid(found: list[tuple[tuple[Mark, str], str]], file: str) -> UsageError:
    """All that is wrong with one document, in the order of the file."""
    placed = sorted(found)
    (_, where), first = placed[0]
    rest = f", and {len(placed) - 1} more" if len(placed) > 1 else ""
    return UsageError(
        "ModelFileInvalid",
        f"{first}{rest}",
        subject=where,
        detail="\n".join(f"{where}: {text}" if where else text for (_, where), text in placed),
        remedy=("pvserve schema prints all keys; examples/model-full.yaml explains them",)
        if file
        else ("pvserve deploy --help lists the flags",),
    )


def _check_kind(document: Document, file: str) -> None:
    """Other YAML files are recognised, so that nobody searches for a misspelt key in them."""
    value = document.value
    if not isinstance(value, dict):
        raise _not_a_mapping(document, file)
    if "kind" in value and "apiVersion" in value:
        raise UsageError(
            "NotAModelFile",
            f"{file} holds a Kubernetes {value['kind']}, not a model file",
            subject=f"{file}:{document.start.line}:{document.start.column}",
            remedy=("pvserve init NAME > model.yaml makes a model file from an InferenceService on the cluster",),
        )


def _not_a_mapping(document: Document, file: str) -> UsageError:
    return UsageError(
        "NotAModelFile",
        f"{file} is no model file: it must be a mapping of keys, as `name: granite-pvc`",
        subject=f"{file}:{document.start.line}:{document.start.column}",
        remedy=("see examples/model.yaml, or run pvserve init NAME",),
    )


def _check_layers(layers: Sequence[Layer], count: int, file: str) -> None:
    for layer in layers if count > 1 else ():
        for key in _ONE_MODEL:
            if key in layer.value:
                given = layer.shown((key,))
                raise UsageError(
                    "FlagForOneModel",
                    f"`{key}` in {given} means one model, and {_shown(file)} describes {count}"
                    if layer.document
                    else f"{given} means one model, and {_shown(file)} describes {count}",
                    subject=given,
                    remedy=(f"set `{key}` in the file, or give a file with one model",),
                )


def _check_different(read: Sequence[_Read]) -> None:
    """Two models of one run must be two services, and lie at two places."""
    seen: dict[tuple[str, ...], _Read] = {}
    for each in read:
        spec, start = each.spec, each.document.start
        namespace = spec.namespace or ""
        for what, key in (
            ("service", ("service", namespace, spec.name)),
            ("place", ("place", namespace, spec.claim.name, spec.destination or "")),
        ):
            first = seen.setdefault(key, each)
            if first is not each:
                line = first.document.start.line
                files = each.file if first.file == each.file else f"{first.file} and {each.file}"
                raise UsageError(
                    "SameTwice",
                    f"two models of {files} have the same {what}, {' '.join(filter(None, key[2:]))}; "
                    f"the first begins in line {line}",
                    subject=f"{each.file}:{start.line}:{start.column}",
                    remedy=("give each model its own `name`, and its own `path` on a claim",),
                )
