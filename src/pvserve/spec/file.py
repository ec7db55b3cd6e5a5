"""Model files: reading them, laying flags over them, and saying where what is wrong.

Owns the one file that `spec` reads. Every error is a UsageError with `file:line:column`, or the flag, as subject.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, TextIO

from pydantic import ValidationError

from pvserve.errors import UsageError
from pvserve.spec.complaints import Complaint, faults, unknown_keys
from pvserve.spec.document import MAX_TEXT, Document, Mark, Path, documents
from pvserve.spec.model import ModelSpec

STDIN = "-"
_ONE_MODEL = ("model", "name", "from", "path")  # keys that cannot hold for several models at once


@dataclass(frozen=True)
class Specs:
    """What was read: one spec for each document, and what the user should hear."""

    specs: tuple[ModelSpec, ...]
    warnings: tuple[str, ...] = ()


def read_specs(file: str | None, flags: Mapping[str, Any] | None = None, *, stdin: TextIO | None = None) -> Specs:
    """The models that `file` (`-` is stdin; None is no file) and flags describe; flags win.

    `flags` has the shape of the file: `{"name": "granite-pvc", "claim": {"size": "20Gi"}}`.
    A relative `model` counts from the file's directory, or from the working directory on stdin and in flags.

    Raises:
        UsageError: `ModelFileUnreadable`, `YamlInvalid`, `NotAModelFile`, `ModelFileInvalid`, `FlagForOneModel`,
            `SameTwice`.
    """
    given = _resolved(dict(flags or {}), os.getcwd())
    if file is None:
        return Specs((_spec(Document({}, Mark(0, 0)), "", given),))
    shown = "stdin" if file == STDIN else file
    found = documents(_text(file, stdin), shown)
    if not found:
        raise UsageError(
            "NotAModelFile",
            f"{shown} is empty",
            subject=f"{shown}:1:1",
            remedy=("pvserve init NAME > model.yaml makes one from an InferenceService",),
        )
    _check_flags(given, len(found), shown)
    base = os.getcwd() if file == STDIN else os.path.dirname(os.path.abspath(file))
    specs = []
    for document in found:
        _check_kind(document, shown)
        document.value = _resolved(document.value, base)
        specs.append(_spec(document, shown, given))
    _check_different(specs, found, shown)
    return Specs(tuple(specs), tuple(warning for document in found for warning in document.warnings))


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
    raise UsageError(
        "ModelFileUnreadable",
        f"the model file {file!r} cannot be read: {why}",
        subject=file,
        remedy=("name a model file with -f, or - for stdin",),
    )


def _spec(document: Document, file: str, flags: dict[str, Any]) -> ModelSpec:
    complaints = [*unknown_keys(document.value), *unknown_keys(flags)]
    if not complaints:
        try:
            return ModelSpec.model_validate(_laid_over(document.value, flags))
        except ValidationError as error:
            complaints = faults(error)
    raise _invalid(complaints, document, file, flags)


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `below` with the values of `above`; a claim given by its name alone is made a mapping on the way."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key, {})
        if key == "claim" and isinstance(under, str):
            under = {"name": under}
        merged[key] = _laid_over(under, value) if isinstance(value, Mapping) and isinstance(under, dict) else value
    return merged


def _resolved(value: dict[str, Any], base: str) -> dict[str, Any]:
    """`value` with an absolute `model`, where that is a directory and not a URI."""
    model = value.get("model")
    if not isinstance(model, str) or not model or "://" in model:
        return value
    return {**value, "model": os.path.normpath(os.path.join(base, os.path.expanduser(model)))}


def _invalid(complaints: list[Complaint], document: Document, file: str, flags: dict[str, Any]) -> UsageError:
    """All that is wrong with one document, in the order of the file."""
    placed = sorted((_position(complaint, document, file, flags), complaint.text) for complaint in complaints)
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


def _position(complaint: Complaint, document: Document, file: str, flags: dict[str, Any]) -> tuple[Mark, str]:
    """Where a complaint belongs: the flag that gave the value, or the nearest position in the file."""
    path = complaint.path
    if _is_in(flags, path):
        return Mark(0, 0), _option(path)
    if not file:
        return Mark(0, 0), ""
    mark = document.keys.get(path) if complaint.at_key else None
    while mark is None:
        mark = document.values.get(path) if path else document.start
        path = path[:-1]
    return mark, f"{file}:{mark.line}:{mark.column}"


def _is_in(flags: Any, path: Path) -> bool:
    """Whether the value at `path`, or a list around it, was given by a flag."""
    for key in path:
        if not isinstance(flags, Mapping):
            return True
        if key not in flags:
            return False
        flags = flags[key]
    return bool(path)


def _option(path: Path) -> str:
    """The flag for a key: `--storage-class` for `claim.storageClass`."""
    words = [str(part) for part in path if isinstance(part, str)]
    if words == ["model"]:
        return "SOURCE"
    last = "claim" if words == ["claim", "name"] else words[-1]
    return "--" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in last)


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


def _check_flags(flags: dict[str, Any], count: int, file: str) -> None:
    for key in _ONE_MODEL:
        if count > 1 and key in flags:
            raise UsageError(
                "FlagForOneModel",
                f"{_option((key,))} means one model, and {file} describes {count}",
                subject=_option((key,)),
                remedy=(f"set `{key}` in the file, or give a file with one model",),
            )


def _check_different(specs: list[ModelSpec], found: list[Document], file: str) -> None:
    """Two models of one file must be two services, and lie at two places."""
    seen: dict[tuple[str, ...], Mark] = {}
    for spec, document in zip(specs, found, strict=True):
        namespace = spec.namespace or ""
        for what, key in (
            ("service", ("service", namespace, spec.name)),
            ("place", ("place", namespace, spec.claim.name, spec.destination or "")),
        ):
            first = seen.setdefault(key, document.start)
            if first != document.start:
                raise UsageError(
                    "SameTwice",
                    f"two models of {file} have the same {what}, {' '.join(filter(None, key[2:]))}; "
                    f"the first begins in line {first.line}",
                    subject=f"{file}:{document.start.line}:{document.start.column}",
                    remedy=("give each model its own `name`, and its own `path` on a claim",),
                )
