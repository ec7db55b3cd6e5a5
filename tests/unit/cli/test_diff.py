"""What `diff` says and how it ends, for one model and for several."""

from typing import Any

import pytest

from pvserve.api import drifting
from pvserve.api.drifting import Compared
from pvserve.errors import NotAllowed, PvserveError
from pvserve.plan.drift import Difference, Drift
from pvserve.plan.steps import Change, Refusal

from .conftest import Run

SAME = Drift("llm", "a", same=("InferenceService llm/a",))
EDITED = Drift("llm", "a", (Difference("InferenceService llm/a", "changed", (Change("change", ("spec", "x"), 1, 2),)),))
UNKNOWN = Drift("llm", "a", unknown=("whether the content is the same",))
REFUSED = Drift("llm", "a", refusals=(Refusal("Unreadable", "claim c could not be read", (), 4),))
ONE = ("-f", "-")
FILE = "name: {}\nformat: f\nclaim: {}\n"
TWO = "---\n".join(FILE.format(name, f"c-{name}") for name in ("a", "b"))


class Found:
    """What the rooms below would find, by model."""

    def __init__(self) -> None:
        self.by_name: dict[str, Drift | PvserveError] = {}
        self.given: dict[str, Any] = {}

    def many(self, specs: Any, _cluster: Any, **given: Any) -> tuple[Compared, ...]:
        self.given = given
        out = []
        for spec in specs:
            found = self.by_name.get(spec.name, SAME)
            failed = isinstance(found, PvserveError)
            out.append(Compared(spec.name, "llm", error=found) if failed else Compared(spec.name, "llm", found))
        return tuple(out)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Found:
    below = Found()
    monkeypatch.setattr(drifting, "diff_many", below.many)
    return below


@pytest.mark.parametrize(
    ("drift", "code", "words"),
    [
        (SAME, 0, "No difference"),
        (EDITED, 9, "~ spec.x: 1 -> 2"),
        (UNKNOWN, 10, "unknown: whether"),
    ],
)
def test_one_model_ends_with_what_was_found(run: Run, found: Found, drift: Drift, code: int, words: str) -> None:
    found.by_name["a"] = drift
    said = run("diff", *ONE, stdin=FILE.format("a", "c"))
    assert said.code == code
    assert words in said.out


def test_what_cannot_be_compared_is_an_error(run: Run, found: Found) -> None:
    found.by_name["a"] = REFUSED
    said = run("diff", *ONE, stdin=FILE.format("a", "c"))
    assert said.code == 4
    assert "error (Unreadable)" in said.err


def test_for_machines_a_difference_has_its_paths_and_values(run: Run, found: Found) -> None:
    found.by_name["a"] = EDITED
    (result,) = run("diff", *ONE, "-o", "json", stdin=FILE.format("a", "c")).objects
    assert (result["type"], result["model"], result["drift"], result["exitCode"]) == ("result", "a", True, 9)
    assert result["differences"][0]["changes"] == [{"op": "change", "path": ["spec", "x"], "old": 1, "new": 2}]


def test_of_several_each_is_said_and_the_most_serious_counts(run: Run, found: Found) -> None:
    found.by_name = {"a": UNKNOWN, "b": EDITED}
    said = run("diff", *ONE, stdin=TWO)
    assert said.code == 9
    assert said.out.splitlines()[-3:] == [
        "2 models: 1 unknown, 1 differs",
        "  a  unknown  1 unknown",
        "  b  differs  1 differences",
    ]
    found.by_name["a"] = NotAllowed("Forbidden", "you may not get claims")
    said = run("diff", *ONE, "-o", "json", stdin=TWO)
    assert said.code == 4
    assert [item["type"] for item in said.objects] == ["error", "result", "summary"]


def test_an_error_that_all_have_is_said_once(run: Run, found: Found) -> None:
    found.by_name = dict.fromkeys(("a", "b"), NotAllowed("NotLoggedIn", "nobody is logged in"))
    said = run("diff", *ONE, stdin=TWO)
    assert (said.code, said.out, said.err.count("nobody is logged in")) == (4, "", 1)


def test_levels_are_handed_on(run: Run, found: Found) -> None:
    run("diff", *ONE, "--full", "--checksum", stdin=FILE.format("a", "c"))
    assert (found.given["full"], found.given["checksum"]) == (True, True)
