"""No name leads out of a directory: a corpus of hostile names, then everything hypothesis thinks of."""

import os
import posixpath
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pvserve.errors import Refused
from pvserve.model.contain import MAX_COMPONENT, MAX_PATH, fault, inside, safe_relative, shown

HOSTILE = [
    "", ".", "..", "/", "//", "/etc/passwd", "//host/share", "../x", "a/../../x", "a/..", "a/../b", "./a", "a/./b",
    "a//b",
    "a/", "/a", "..\\x", "a\\..\\..\\x", "\\x", "\\\\host\\share", "C:\\x", "c:/x", "C:x", "a:b",
    "a\0b", "\0", "a/\0",
    "\udce9", "a/\udcff/b", "x" * 256, "é" * 128, "/".join(["a" * 250] * 16), "../" * 40 + "etc/passwd", "..\\/..",
    "a/..\\../b", ".. ".strip(), "a/../", "...//..",
]  # fmt: skip

ODD_BUT_GOOD = [
    "a", "a b", " a", "a ", "-rf", "--", "...", "..a", "a..", "a\nb", "a\rb", "a\tb", "a\\b", "é", "e\u0301", "模型",
    "🤗",
    "x" * 255, "d/" * 40 + "f", "~", "~root", "$(id)", "`id`", "%2e%2e", "ab:c", "*", "?", "'", '"', "\x1b[31m",
    "con", "nul.txt", "\u202etxt", ".pvserve", ".git",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_by_name(name: str) -> None:
    assert fault(name)
    with pytest.raises(Refused) as caught:
        safe_relative(name)
    assert caught.value.reason == "UnsafeName"
    assert shown(name) in caught.value.message


@pytest.mark.parametrize("name", ODD_BUT_GOOD)
def test_odd_names_are_kept_as_they_are(name: str, tmp_path: Path) -> None:
    assert safe_relative(name) == name
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert os.path.realpath(path) == os.path.join(os.path.realpath(tmp_path), name)


PIECES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "\\", "..\\", "C:", "/", "~", " ", "\0", "\n", "é"]), max_size=8
)


PLAIN = st.lists(st.from_regex(r"[A-Za-z0-9._-]{1,260}", fullmatch=True), min_size=1, max_size=20).map("/".join)


@given(st.one_of(st.text(max_size=40), PIECES.map("/".join), PIECES.map("".join), PLAIN))
@example("a\\..\\b")
def test_a_name_that_is_taken_stays_inside_on_linux_and_on_windows(name: str) -> None:
    if fault(name):
        return
    joined = posixpath.normpath(posixpath.join("/claim/model", name))
    assert joined == "/claim/model/" + name
    assert len(name.encode()) <= MAX_PATH
    assert max(len(component.encode()) for component in name.split("/")) <= MAX_COMPONENT
    assert posixpath.commonpath(["/claim/model", joined]) == "/claim/model"
    windows = name.replace("\\", "/")
    assert ".." not in windows.split("/")
    assert not windows.startswith("/")
    assert windows[1:2] != ":" or not windows[0].isascii() or not windows[0].isalpha()
    assert name.encode()


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "a.b", "é"]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "c"]), max_size=2),
)
def test_inside(root: list[str], rest: list[str]) -> None:
    base = "/" + "/".join(root)
    assert inside(base, "/".join([base, *rest]))
    assert not inside(base, base + "x")
    assert not inside(base + "/deeper", base)
    assert inside("/", base)


@given(st.text(max_size=60))
def test_what_is_shown_holds_no_control_characters(name: str) -> None:
    assert all(character.isprintable() for character in shown(name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a/b", "a/b"),
        ("a b", '"a b"'),
        ("\x1b[31m", '"\\x1b[31m"'),
        ("a\nb", '"a\\nb"'),
        ("\udce9", '"\\xe9"'),
        ('"', '"\\""'),
        ("", '""'),
    ],
)
def test_how_names_are_shown(name: str, text: str) -> None:
    assert shown(name) == text


@given(st.text(max_size=30), st.text(max_size=30))
def test_two_names_are_never_shown_alike(one: str, other: str) -> None:
    assert (shown(one) == shown(other)) == (one == other)
