"""The table of meanings: complete, said in full, and the same in docs/findings.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

from pvserve.diagnose import MEANINGS, Meaning, Seen
from pvserve.diagnose import __file__ as room
from pvserve.diagnose.meanings import cause
from pvserve.show.traps import page

ROOT = Path(__file__).parents[3]
ROOM = Path(room).parent
BY_CODE = {meaning.code: meaning for meaning in MEANINGS}


def test_page_is_current() -> None:
    """Else: python -m pvserve.show.traps > docs/findings.md"""
    assert (ROOT / "docs" / "findings.md").read_text() == page()


def test_codes_are_unique() -> None:
    assert len(BY_CODE) == len(MEANINGS)


def _codes_in_rules() -> set[str]:
    """Every word in quotes in the rules that is the code of a row."""
    found: set[str] = set()
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            if isinstance(node, ast.JoinedStr):  # f"PolicyCloses{kind}"
                found |= {f"PolicyCloses{kind}" for kind in ("Ingress", "Egress")}
    return found & set(BY_CODE)


def test_every_row_has_a_rule() -> None:
    assert _codes_in_rules() == set(BY_CODE)


@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda meaning: meaning.code)
def test_row_says_all(meaning: Meaning) -> None:
    assert re.fullmatch(r"([A-Z][a-z]+)+", meaning.code)
    assert meaning.trap
    assert meaning.source
    assert meaning.remedy or meaning.severity == "info", "a failure needs something to do"
    names = {name for text in (meaning.title, *meaning.remedy) for _, name, _, _ in Formatter().parse(text) if name}
    found = cause(meaning.code, Seen("Pod a", "b"), **dict.fromkeys(names, "x")).finding
    assert "{" not in found.title
    assert found.code == meaning.code


def test_remedy_is_safe_to_copy() -> None:
    found = cause("ClaimMissing", claim="a; rm -rf /", namespace="llm").finding
    assert "'a; rm -rf /'" not in found.title
    assert any("metadata.name='a; rm -rf /'" in line for line in found.remedy)


def test_most_causal_come_first() -> None:
    order = list(BY_CODE)
    for earlier, later in (
        ("RuntimeMissing", "QuotaExceeded"),
        ("QuotaExceeded", "ClaimMissing"),
        ("ClaimMissing", "NoGpu"),
        ("NoGpu", "ImagePullFailed"),
        ("ImagePullFailed", "CrashLoop"),
        ("ModelUnreadable", "CrashLoop"),
        ("CrashLoop", "DeadlineExceeded"),
    ):
        assert order.index(earlier) < order.index(later)
