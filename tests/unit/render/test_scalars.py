"""Text stays text for kubectl, PyYAML and another reader of YAML 1.1."""

import io
import re
import types
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pvserve.render.scalars import dump, dump_all

# Words that one reader or another takes for something else than text, or that could break out of their place.
NASTY = [
    "y",
    "n",
    "Y",
    "N",
    "yes",
    "no",
    "Yes",
    "NO",
    "on",
    "off",
    "On",
    "OFF",
    "true",
    "True",
    "false",
    "FALSE",
    "null",
    "Null",
    "NULL",
    "~",
    "0o17",
    "0O17",
    "08",
    "0755",
    "1e3",
    "1E+3",
    "12e4567",
    "1_000",
    "0x1F",
    "0X1f",
    "0b1",
    "0B1",
    "-0o17",
    "+1",
    "-_1",
    ".5",
    "5.",
    ".inf",
    "-.Inf",
    ".nan",
    "1:30",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "=",
    "<<",
    "-",
    "?",
    "---",
    "...",
    "#a",
    "a:",
]
NASTY += [
    "",
    " ",
    " a",
    "a ",
    "- a",
    "a: b",
    "a #b",
    "@x",
    "`x",
    "%x",
    "!x",
    "&a",
    "*a",
    "{a",
    "[a",
    '"a',
    "'a",
    "|",
    ">",
]
NASTY += [
    "a\nb",
    "a\n",
    "\na",
    "a\n\n",
    " \n a",
    "a \nb",
    "a\tb",
    "\t",
    "a\r\nb",
    "\u2028",
    "a\x85b",
    "\ufeffx",
    "\x1b[2J",
]
NASTY += ["x" * 300, "x " * 200, "--max-model-len", "1500m", "100Mi", "1.5", "naïve 😀", "$(HF_TOKEN)", "{{model}}"]

# go-yaml v2 resolve.go: what an unquoted text becomes for kubectl, written again here, apart from the code under test.
_GO_WORDS = frozenset(
    [
        "y",
        "Y",
        "yes",
        "Yes",
        "YES",
        "on",
        "On",
        "ON",
        "n",
        "N",
        "no",
        "No",
        "NO",
        "off",
        "Off",
        "OFF",
        "true",
        "True",
        "TRUE",
        "false",
        "False",
        "FALSE",
    ]
)
_GO_NULLS = frozenset(["", "~", "null", "Null", "NULL", ".nan", ".NaN", ".NAN", "<<", "="])
_GO_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)")


def to_kubectl(text: str) -> bool:
    """Whether kubectl takes unquoted `text` for something else than text."""
    plain = text.replace("_", "")
    if text in _GO_WORDS or text in _GO_NULLS or re.match(r"\d{4}-\d\d?-\d\d?($|[Tt ])", text):
        return True
    if text[0] not in "-+.0123456789":  # resolveTable; `_1` is text (tests/bed/test_render_kubectl.py)
        return False
    whole = re.fullmatch(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[0-9]+)", plain)
    return bool(whole or _GO_FLOAT.fullmatch(plain))


def readings(text: str) -> list[Any]:
    other = YAML(typ="safe", pure=True)
    other.version = (1, 1)  # type: ignore[assignment]
    return [yaml.safe_load(text), other.load(io.StringIO(text))]


@pytest.mark.parametrize("text", NASTY)
def test_a_text_is_a_text_to_every_reader_in_a_list_as_value_and_as_key(text: str) -> None:
    value = {"list": [text], "value": text, "keys": {text: 1}}
    for read in readings(dump(value)):
        assert read == value


@pytest.mark.parametrize("text", NASTY)
def test_what_kubectl_would_misread_is_quoted(text: str) -> None:
    if to_kubectl(text):
        assert dump([text])[2] in "'\""


@given(st.text(alphabet="0123456789_.+-eExXoObBaFyYnN:", min_size=1, max_size=6))
def test_no_number_like_text_is_left_unquoted(text: str) -> None:
    if to_kubectl(text):
        assert dump([text])[2] in "'\""


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_comes_back(text: str) -> None:
    assert yaml.safe_load(dump({"a": text})) == {"a": text}


def test_numbers_booleans_and_nothing_keep_their_type() -> None:
    value = {"i": 1, "big": 1 << 60, "f": 1.5, "e": 1e20, "t": True, "f2": False, "n": None, "l": [], "m": {}}
    for read in readings(dump(value)):
        assert read == value
        assert [type(item) for item in read.values()] == [type(item) for item in value.values()]


def test_the_order_of_keys_is_kept() -> None:
    assert dump({"b": 1, "a": 2}) == "b: 1\na: 2\n"


def test_lines_of_a_text_are_lines_of_the_file() -> None:
    assert dump({"script": "a: 1\nb\n"}) == "script: |\n  a: 1\n  b\n"


def test_long_text_is_not_folded() -> None:
    assert dump({"a": "word " * 100}).count("\n") == 1


def test_the_same_value_twice_is_written_twice_not_by_reference() -> None:
    labels = {"a": "b"}
    assert "&" not in dump({"one": labels, "two": labels})


def test_frozen_mappings_and_tuples_are_written_as_plain_ones() -> None:
    assert dump(types.MappingProxyType({"a": ("b",)})) == "a:\n- b\n"


def test_documents_are_divided_by_dashes() -> None:
    text = dump_all([{"a": "---"}, {"b": 1}])
    assert list(yaml.safe_load_all(text)) == [{"a": "---"}, {"b": 1}]
    assert text.startswith("---\n")


@pytest.mark.parametrize("value", ["x", 1, None, True])
def test_a_bare_scalar_has_no_end_mark(value: Any) -> None:
    assert dump(value).count("\n") == 1
