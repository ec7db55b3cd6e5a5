"""The program as a Job runs it: one file, isolated Python, its output and its exit codes."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvserve.remote import error_of
from pvserve.transfer import Target, later_epoch
from pvserve.transfer.agent.place import FIRST_LEASE
from pvserve.transfer.program import fetch_files, fetch_source
from pvserve.transfer.values import place_word

from .conftest import Kind

Make = Callable[[str], Kind]


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    for name, text in fetch_files().items():
        (tmp_path / name).write_text(text)

    def run(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        argv = [sys.executable, "-X", "utf8", "-I", "-S", str(tmp_path / "load.py"), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, cwd="/", timeout=60)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_it_lists_and_loads(make: Make, program: Any, model: dict[str, bytes]) -> None:
    kind = make("hf")  # needs no mounted Secret, whose place is fixed
    files = kind.stock(model)
    order = json.dumps(kind.order().value)
    code, lines = program("list", order)
    assert (code, lines[-1]["pvserve"], lines[-1]["files"]) == (0, "listed", len(files))
    assert [line["row"][0] for line in lines[:-1]] == sorted(files)
    code, lines = program("load", order)
    assert (code, lines[-1]["done"], lines[0]["pvserve"]) == (0, True, "progress")
    kind.check(files, lines[-1])
    code, lines = program("load", json.dumps({**kind.order().value, "fingerprint": lines[-1]["manifest"]}))
    assert (code, lines[-1]["reason"]) == (8, "SourceChanged")


def test_what_it_cannot_do_it_says_in_its_last_line(program: Any) -> None:
    code, lines = program("load", "{")
    assert (code, lines[-1]["done"]) == (1, False)
    code, lines = program("load", '{"version": 2}')
    assert (code, lines[-1]["reason"]) == (2, "NoOrder")


def test_a_job_that_was_overtaken_is_not_tried_again_with_the_same_epoch(
    make: Make, program: Any, model: dict[str, bytes]
) -> None:
    kind = make("hf")
    kind.stock(model)
    order = kind.order().value
    word = place_word(Target("models/granite", "a"))
    (kind.claim / f".pvserve/partial/{word}-{'0' * 16}/{FIRST_LEASE + 7:012d}").mkdir(parents=True)
    code, lines = program("load", json.dumps({**order, "epoch": FIRST_LEASE + 1}))
    assert (code, lines[-1]["reason"], lines[-1]["exitCode"]) == (8, "Overtaken", 5)
    assert later_epoch(error_of(lines[-1])) == FIRST_LEASE + 7
    code, lines = program("load", json.dumps({**order, "epoch": FIRST_LEASE + 8}))
    assert (code, lines[-1]["done"]) == (0, True)


def test_python_3_8_can_read_all_of_it() -> None:
    tree = ast.parse(fetch_source(), feature_version=(3, 8))
    texts = [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    assert len(texts) > 30
    for text in texts:
        ast.parse(text, feature_version=(3, 8))


def test_a_config_map_can_hold_it_and_kubectl_apply_too() -> None:
    assert sum(map(len, fetch_files().values())) < 200_000
