"""What is laid over a model file: `--values` files, variables, `--set` and flags, each above the one before.

Owns the merging, and which layer a faulty value came from. Knows of no field what it means but of `claim`, `model` and
`from`, which have a short form and relative ones.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pvserve.errors import UsageError
from pvserve.spec.complaints import Complaint
from pvserve.spec.document import Document, Mark, Path, documents
from pvserve.spec.start import is_file

VARIABLE = "PVSERVE_SET_"  # and the key, as PVSERVE_SET_CLAIM_STORAGE_CLASS
_ASSIGNMENT = re.compile(r"([A-Za-z]+(?:\.[A-Za-z]+)*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Layer:
    """Values in the shape of a model file, and where they stand.

    `file` and `document` are given where a file holds them; `option` is the flag for all of them, as `--set`, or
    VARIABLE; without either each key has a flag of its own.
    """

    value: dict[str, Any]
    file: str = ""
    document: Document | None = None
    option: str = ""

    def position(self, complaint: Complaint) -> tuple[Mark, str]:
        """The flag that gave the value at fault, or the nearest position in the file."""
        if self.document is None:
            return Mark(0, 0), self.shown(complaint.path)
        path, document = complaint.path, self.document
        mark = document.keys.get(path) if complaint.at_key else None
        while mark is None:
            mark = document.values.get(path) if path else document.start
            path = path[:-1]
        return mark, f"{self.file}:{mark.line}:{mark.column}" if self.file else ""

    def shown(self, path: Path) -> str:
        """How the user gave the value at `path`."""
        words = [str(part) for part in path if isinstance(part, str)]
        if self.option == VARIABLE:
            return variable(words)
        if self.option:
            return f"{self.option} {'.'.join(words)}"
        if self.document is not None:
            return self.file
        if words == ["model"]:
            return "SOURCE"
        last = "claim" if words == ["claim", "name"] else words[-1]
        return "--" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in last)

    def has(self, path: Path) -> bool:
        """Whether the value at `path`, or a list around it, was given here."""
        level: Any = self.value
        for key in path:
            if not isinstance(level, Mapping):
                return True
            if key not in level:
                return False
            level = level[key]
        return bool(path)


def flags_layer(flags: Mapping[str, Any]) -> Layer:
    """The flags that have a key of their own; a relative `model` counts from the working directory."""
    return Layer(resolved(dict(flags), os.getcwd()))


def values_layer(document: Document, file: str, base: str) -> Layer:
    """A `--values` file; a relative `model` counts from its directory, `base`."""
    return Layer(resolved(document.value, base), file, document)


def set_layer(assignments: Sequence[str]) -> Layer:
    """What `--set KEY=VALUE` gave; the value is read as YAML, a later one wins.

    Raises UsageError: `ModelFileInvalid` for what is no assignment, `YamlInvalid` for a value that is no YAML.
    """
    value: dict[str, Any] = {}
    for text in assignments:
        match = _ASSIGNMENT.fullmatch(text)
        if match is None:
            raise _no_assignment(f"--set {text!r:.100} is not KEY=VALUE", "--set", "--set claim.size=20Gi")
        value = laid_over(value, _assigned(match[1].split("."), match[2], f"--set {match[1]}", "--set claim.size=20Gi"))
    return Layer(resolved(value, os.getcwd()), option="--set")


def variables_layer(environment: Mapping[str, str], keys: Sequence[Sequence[str]]) -> Layer:
    """What variables of the environment give, PVSERVE_SET_CLAIM_SIZE for `claim.size`; values are read as YAML.

    `keys` are all that a model file has, outermost first. Raises UsageError as `set_layer`, and for a variable that
    names none of them.
    """
    known = {variable(key): key for key in keys}
    value: dict[str, Any] = {}
    for given in sorted(given for given in environment if given.startswith(VARIABLE)):
        if given not in known:
            near = difflib.get_close_matches(given, known, 1)
            words = f"{given} names no key of a model file" + (f"; did you mean {near[0]}?" if near else "")
            raise _no_assignment(words, given, f"{VARIABLE}CLAIM_SIZE=20Gi, or unset {given}")
        value = laid_over(value, _assigned(known[given], environment[given], given, f"{VARIABLE}CLAIM_SIZE=20Gi"))
    return Layer(resolved(value, os.getcwd()), option=VARIABLE)


def variable(key: Sequence[str]) -> str:
    """The variable for a key: claim, storageClass gives PVSERVE_SET_CLAIM_STORAGE_CLASS."""
    return VARIABLE + "_".join(re.sub("([A-Z])", r"_\1", word) for word in key).upper()


def _assigned(key: Sequence[str], text: str, given: str, example: str) -> dict[str, Any]:
    found = documents(text, given)
    if len(found) != 1:
        raise _no_assignment(f"{given} has no value", given.partition(" ")[0], example)
    level: Any = found[0].value
    for word in reversed(key):
        level = {word: level}
    return dict(level)


def _no_assignment(words: str, subject: str, example: str) -> UsageError:
    return UsageError("ModelFileInvalid", words, subject=subject, remedy=(f"write it as {example}",))


def laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `below` with the values of `above`; a claim given by its name alone is made a mapping on the way."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key, {})
        if key == "claim" and isinstance(under, str):
            under = {"name": under}
        if key == "claim" and isinstance(value, str) and under:
            value = {"name": value}
        merged[key] = laid_over(under, value) if isinstance(value, Mapping) and isinstance(under, dict) else value
    return merged


def resolved(value: dict[str, Any], base: str) -> dict[str, Any]:
    """`value` with an absolute `model`, where that is a directory and not a URI, and `from`, where that is a file."""
    model, start = value.get("model"), value.get("from")
    paths = {"model": model} if isinstance(model, str) and model and "://" not in model else {}
    paths |= {"from": start} if isinstance(start, str) and is_file(start) else {}
    return {
        **value,
        **{key: os.path.normpath(os.path.join(base, os.path.expanduser(path))) for key, path in paths.items()},
    }
