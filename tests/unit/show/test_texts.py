"""Plans, proofs, errors and claims as text: said whole, coloured where wanted, never steered from outside."""

import io
import itertools
from typing import Any

import pytest

from pvserve.diagnose import Finding, Seen
from pvserve.errors import PvserveError, Refused
from pvserve.facts.objects import ObjectKey
from pvserve.inventory import ClaimRow, ModelRow
from pvserve.plan.steps import Change, NotDone, PatchObject, Plan, Refusal
from pvserve.show.errors import error_text
from pvserve.show.text import text_of
from pvserve.show.words import colours, redraws, styled
from pvserve.verify.proof import Check, Proof

EVIL = "x\x1b[2Jy\u202ez\x07"


class Stream(io.StringIO):
    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@pytest.mark.parametrize(
    ("no_colour", "force", "term", "tty"),
    list(itertools.product(("", "1"), ("", "1"), ("xterm", "dumb"), (True, False))),
)
def test_colours_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, no_colour: str, force: str, term: str, tty: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("FORCE_COLOR", force)
    monkeypatch.setenv("TERM", term)
    expected = not no_colour and (bool(force) or (tty and term != "dumb"))
    assert colours(Stream(tty)) == expected


@pytest.mark.parametrize(
    ("term", "tty", "expected"), [("xterm", True, True), ("dumb", True, False), ("xterm", False, False)]
)
def test_no_line_is_redrawn_on_a_dumb_terminal(
    monkeypatch: pytest.MonkeyPatch, term: str, tty: bool, expected: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert redraws(Stream(tty)) == expected


def plan() -> Plan:
    key = ObjectKey("v1", "ConfigMap", "llm", EVIL)
    patch = PatchObject("p", f"change {EVIL}", key, {}, changes=(Change("change", ("a", EVIL), EVIL, "b"),), why=EVIL)
    return Plan(
        "llm",
        "granite",
        "claim",
        "path",
        steps=(patch,),
        unchanged=(EVIL,),
        refusals=(Refusal(EVIL, EVIL, (f"kubectl {EVIL}",)),),
        not_done=(NotDone(EVIL, EVIL, EVIL),),
        notes=(EVIL,),
        admission={"p": (Change("add", (EVIL,), new=EVIL),)},
    )


VALUES: dict[str, Any] = {
    "plan": plan(),
    "proof": Proof(EVIL, (Check("a", EVIL, "failed", EVIL, (EVIL,)),)),
    "error": PvserveError(EVIL, EVIL, subject=EVIL + "1", remedy=(EVIL,), detail=EVIL),
    "finding": (Finding("Code", EVIL, "fail", (Seen(EVIL, EVIL, EVIL),), (EVIL,)),),
    "claim": (ClaimRow(EVIL, EVIL, EVIL, EVIL, (EVIL,), EVIL, EVIL, (), (EVIL,), ()),),
    "model": (ClaimRow("n", "c", "B", "", (), "", "", (ModelRow(EVIL, EVIL, 1, 1, EVIL, EVIL, (EVIL,)),), (), ()),),
}


@pytest.mark.parametrize("what", list(VALUES))
def test_nothing_from_outside_steers_the_terminal(what: str) -> None:
    text = text_of(VALUES[what])
    assert "y" in text
    assert not [char for char in text if not char.isprintable() and char != "\n"]


@pytest.mark.parametrize("what", list(VALUES))
def test_colours_add_nothing_but_colours(what: str) -> None:
    plain, coloured = text_of(VALUES[what]), text_of(VALUES[what], colour=True)
    for style in ("red", "green", "yellow", "dim", "bold"):
        coloured = coloured.replace(styled("", style, True).removesuffix("\x1b[0m"), "")
    assert coloured.replace("\x1b[0m", "") == plain


def test_an_error_says_what_where_why_and_what_to_do() -> None:
    error = Refused(
        "ClaimTooSmall", "claim c has 1Gi", subject="PersistentVolumeClaim llm/c", remedy=("a\nb",), detail="x"
    )
    assert error_text(error) == (
        "error (ClaimTooSmall): claim c has 1Gi\n  object: PersistentVolumeClaim llm/c\n  seen: x\n  -> a\n  -> b\n"
    )


def test_a_proof_is_proven_only_when_every_check_passed() -> None:
    unknown = Proof(
        "granite", (Check("a", "A", "passed", "seen"), Check("b", "B", "unknown", "not read", ("do this",)))
    )
    text = text_of(unknown)
    assert "NOT proven: 1 passed, 0 failed, 1 unknown" in text
    assert "-> do this" in text


def test_a_claim_without_a_recorded_model_is_a_row_too() -> None:
    row = ClaimRow("llm", "cache", "Bound", "nfs", ("ReadWriteMany",), "20Gi", "Retain", (), ("granite",), ())
    head, line = text_of([row]).splitlines()
    assert head.split()[:3] == ["NAMESPACE", "CLAIM", "CLASS"]
    assert line.split() == ["llm", "cache", "nfs", "RWX", "Retain", "20Gi", "-", "granite", "-"]


def test_what_pvserve_does_not_show_is_an_error_and_not_a_guess() -> None:
    with pytest.raises(TypeError, match="int"):
        text_of(3)
