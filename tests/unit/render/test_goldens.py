"""What each form writes, file by file, kept in tests/golden/render: `pytest tests/unit/render --update-goldens`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pvserve.plan.load_step import program_map
from pvserve.render import FORMS
from pvserve.transfer.program import PACKED, STARTER, step_files

from . import plans
from .plans import render

GOLDEN = Path(__file__).parents[2] / "golden" / "render"


def written(form: str) -> dict[str, str]:
    """The files, without the program and what is named by it: that changes with the transfer, not with the forms."""
    plan = plans.copying()
    name, packed = program_map(plan.namespace, step_files())["metadata"]["name"], step_files()[PACKED]
    found = {}
    for file, text in render(plan, form).items():
        text = text.replace(packed, "PROGRAM\n").replace(name, "pvserve-load-PROGRAM")
        text = re.sub(rf"({STARTER}|{PACKED}): \|\n(    .*\n|\n)+", r"\1: PROGRAM\n", text)
        text = re.sub(r"(Job |name: )pvserve-load-[0-9a-f]{12}\b", r"\1pvserve-load-CONTENT", text)
        found[file.replace(name, "pvserve-load-PROGRAM")] = text
    return found


@pytest.mark.parametrize("form", list(FORMS))
def test_files_are_as_they_were(form: str, request: pytest.FixtureRequest) -> None:
    made = written(form)
    if request.config.getoption("--update-goldens"):
        for old in (GOLDEN / form).rglob("*.*"):
            old.unlink()
        for file, text in made.items():
            path = GOLDEN / form / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    kept = {str(path.relative_to(GOLDEN / form)): path.read_text() for path in (GOLDEN / form).rglob("*.*")}
    assert made == kept
