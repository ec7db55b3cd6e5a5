"""YAML text as plain values, with the line and column of everything.

Owns reading YAML. Scalars stay text, as they were written: the field that takes one decides what it means, so that
`no` can be a name and `1800` a number. Knows no field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pvserve.errors import UsageError

MAX_TEXT = 256 << 10  # characters; a model file has a hundred
_MAX_NODES = 10_000  # aliases of aliases could otherwise stand for any number
_MAX_DEPTH = 20

_NULL = "tag:yaml.org,2002:null"
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
}
# What YAML 1.1 readers, kubectl among them, take for a boolean or an octal number when it is not quoted.
_BOOLEAN_TO_OTHERS = re.compile(r"y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF")
_OCTAL_TO_OTHERS = re.compile(r"0o?[0-9][0-9_]*")

Path = tuple[str | int, ...]


class Mark(NamedTuple):
    """A position in a text, counted from 1."""

    line: int
    column: int


@dataclass
class Document:
    """One YAML document: its value, and where every key and value stands."""

    value: Any
    start: Mark
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def documents(text: str, file: str) -> list[Document]:
    """The documents of `text` that are not empty; `file` is named in errors.

    Raises:
        UsageError: `YamlInvalid`, with `file:line:column` as subject: bad syntax, a key given twice, a tag,
            a merge key, or a text that is too large.
    """
    if len(text) > MAX_TEXT:
        raise _invalid(file, Mark(1, 1), f"the file has more than {MAX_TEXT} characters")
    found = []
    try:
        for node in YAML(typ="rt", pure=True).compose_all(text):
            reader = _Reader(file, Document(None, _mark(node)))
            reader.document.value = reader.read(node, ())
            if reader.document.value is not None:
                found.append(reader.document)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)
        raise _invalid(file, where, error.problem or error.context or "is no YAML") from None
    except (YAMLError, RecursionError) as error:
        raise _invalid(file, Mark(1, 1), str(error).splitlines()[0] if str(error) else "is no YAML") from None
    return found


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self, file: str, document: Document) -> None:
        self.document = document
        self._file = file
        self._nodes = 0

    def read(self, node: Node, path: Path) -> Any:
        """The value of `node`, which stands at `path`."""
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(path) > _MAX_DEPTH:
            raise self._fault(node, "the document is too large or too deep for a model file")
        if str(node.tag) not in _PLAIN_TAGS:
            raise self._fault(node, f"the tag {node.tag} means nothing here")
        self.document.values[path] = _mark(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*path, number)) for number, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        raise self._fault(node, "this means nothing here")

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise self._fault(key_node, "a key must be a word")
            key = str(key_node.value)
            if key == "<<":
                raise self._fault(key_node, "merge keys (<<) are not supported in a model file")
            if (*path, key) in self.document.keys:
                first = self.document.keys[(*path, key)]
                raise self._fault(key_node, f"the key `{key:.60}` is given twice, first in line {first.line}")
            self.document.keys[(*path, key)] = _mark(key_node)
            value = self.read(value_node, (*path, key))
            if value is None:  # `path:` with nothing behind it means the default
                self.document.values[(*path, key)] = _mark(key_node)
            else:
                found[key] = value
        return found

    def _scalar(self, node: ScalarNode, path: Path) -> str | None:
        text = str(node.value)
        plain = not node.style
        if plain and node.tag == _NULL:
            return None
        taken = ""
        if plain and _BOOLEAN_TO_OTHERS.fullmatch(text):
            taken = "true or false"
        elif plain and _OCTAL_TO_OTHERS.fullmatch(text):
            taken = "an octal number"
        if taken:
            mark = _mark(node)
            key = ".".join(map(str, path))
            self.document.warnings.append(
                f"{self._file}:{mark.line}:{mark.column}: {text} without quotes, at `{key}`, is {taken} to kubectl "
                f'and other readers of YAML 1.1; write "{text}", or true or false'
            )
        return text

    def _fault(self, node: Node, why: str) -> UsageError:
        return _invalid(self._file, _mark(node), why)


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _invalid(file: str, mark: Mark, why: str) -> UsageError:
    return UsageError(
        "YamlInvalid",
        f"{file} is no model file: {why}",
        subject=f"{file}:{mark.line}:{mark.column}",
        remedy=(f"correct line {mark.line} of {file}",),
    )
