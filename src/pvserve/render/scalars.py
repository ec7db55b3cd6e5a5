"""YAML that kubectl reads back as it was meant.

Owns the writing of values as YAML text. Knows no Kubernetes object.

kubectl reads YAML 1.1 by go-yaml's rules, which take more plain texts for booleans and numbers than PyYAML quotes:
`y`, `n`, `0o17`, `08`, `1e3` (and with it a commit id like `12e4567`). Three added resolvers quote those too.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any

import yaml

_BREAKS = frozenset("\r\x85\u2028\u2029\ufeff")  # line breaks to one reader and letters to another
_UNFOLDED = 1 << 30  # characters; a folded line would differ for no reason that a reviewer sees


class _Dumper(yaml.SafeDumper):
    """Quotes what any YAML 1.1 reader would take for something else than text, and writes no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """As PyYAML, which asks it of every text anew: most words of one model's files are in the next one's too."""
        return _analysed(scalar) if len(scalar) <= _REMEMBERED else super().analyze_scalar(scalar)

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """As PyYAML, remembered for the same reason."""
        if kind is not yaml.ScalarNode or len(value) > _REMEMBERED:
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]
        return _resolved(value, implicit)


_REMEMBERED = 200  # characters


@cache
def _probe() -> _Dumper:
    return _Dumper(io.StringIO(), allow_unicode=True)


@lru_cache(4096)
def _analysed(text: str) -> Any:
    return yaml.SafeDumper.analyze_scalar(_probe(), text)


@lru_cache(4096)
def _resolved(text: str, implicit: tuple[bool, bool]) -> Any:
    return yaml.SafeDumper.resolve(_probe(), yaml.ScalarNode, text, implicit)  # type: ignore[no-untyped-call]


_RESOLVERS = (
    # Source: go-yaml v2 resolve.go; "y" and "n" are booleans to sigs.k8s.io/yaml, not to PyYAML.
    ("bool", r"^[yYnN]$", "yYnN"),
    # Source: strconv.ParseInt with base 0, underscores dropped before.
    ("int", r"^[-+]?_*(?:0[oO]?[0-9_]+|0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*)$", "-+0123456789"),
    ("float", r"^[-+]?_*(?:\d[\d_]*\.?[\d_]*|\.[\d_]+)(?:[eE][-+]?[\d_]+)?$", "-+.0123456789"),
)
for _tag, _pattern, _first in _RESOLVERS:
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Several lines as a block, so that a diff of them is a diff of lines."""
    style = None
    if _BREAKS & set(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """One YAML document without a leading `---`; keys in the order given, the same text for the same value."""
    return _written([value], explicit=False)


def dump_all(values: Iterable[Any]) -> str:
    """Several YAML documents, each begun by `---`."""
    return _written(list(values), explicit=True)


def _written(values: list[Any], *, explicit: bool) -> str:
    text: str = yaml.dump_all(
        [_plain(value) for value in values],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=_UNFOLDED,
        explicit_start=explicit,
    )
    return text.removesuffix("...\n")  # PyYAML ends a bare scalar by it


def _plain(value: Any) -> Any:
    """Mappings and sequences of any type as dict and list; what YAML has no word for as its text."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
