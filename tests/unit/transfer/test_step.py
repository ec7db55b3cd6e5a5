"""The load step's program, as a pod runs it: one file, nothing of pvserve installed, no client."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, load
from pvserve.transfer.agent.place import FIRST_LEASE
from pvserve.transfer.program import STARTER, step_files, step_source

from .conftest import MIB
from .pod import LocalPod, contents


@dataclass(frozen=True)
class Step:
    """One pod's view: the program, a source and the claim."""

    program: Path
    source: Path
    claim: Path

    def command(self, *more: str, source: str = "", path: str = "team/granite") -> list[str]:
        arguments = ["--from", source or str(self.source), "--to", path, "--mount", str(self.claim), "--claim", "vllm"]
        return [sys.executable, "-X", "utf8", "-I", "-S", str(self.program), "load", *arguments, *more]

    def __call__(self, *more: str, source: str = "", path: str = "team/granite") -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            self.command(*more, source=source, path=path), capture_output=True, text=True, env={}, timeout=60
        )
        assert done.stdout.count("\n") == 1, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    @property
    def epochs(self) -> list[int]:
        return [int(found.name) for found in (self.claim / ".pvserve/partial").glob("*/*")]


@pytest.fixture
def step(tmp_path: Path, source: Path, claim: Path) -> Step:
    for name, text in step_files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return Step(tmp_path / STARTER, source, claim)


def test_the_program_is_plain_text_of_the_standard_library_and_the_same_every_time() -> None:
    text = step_source()
    step_source.cache_clear()
    assert step_source() == text
    ast.parse(text)
    for absent in ("cryptography", "kubernetes", "pydantic", "pvserve.cluster", "pvserve.plan"):
        assert f"import {absent}" not in text
        assert f"from {absent}" not in text


def test_a_model_is_loaded_once_and_told(step: Step, tmp_path: Path) -> None:
    files = [f"--{name}-file={tmp_path / 'results' / name}" for name in ("uri", "digest", "bytes")]
    code, told = step("--source-name", "pvc://a/b", "--result", str(tmp_path / "log"), *files)
    assert (code, told["unchanged"], told["copied"]) == (0, False, told["bytes"])
    assert contents(step.claim / "team/granite") == contents(step.source)
    assert json.loads((tmp_path / "log").read_text()) == told
    assert {name: (tmp_path / "results" / name).read_text() for name in ("uri", "digest", "bytes")} == {
        "uri": "pvc://vllm/team/granite",
        "digest": told["digest"],
        "bytes": str(told["bytes"]),
    }
    (manifest,) = (step.claim / ".pvserve/models").glob("*/*/manifest.json")
    assert json.loads(manifest.read_text())["predicate"]["pvserve"]["source"] == "pvc://a/b"
    assert step.epochs == []

    again = step()
    assert again == (0, {**told, "copied": 0, "unchanged": True})
    assert step.epochs == []


def test_a_client_finds_what_a_step_loaded(step: Step, cache: DigestCache) -> None:
    _, told = step()
    done = load(listing(step.source), LocalPod(), Target("team/granite", "vllm", str(step.claim)), cache=cache)
    assert (done.manifest_digest, done.sent_bytes) == (told["digest"], 0)


def test_other_content_is_refused_or_replaced_and_kept(step: Step) -> None:
    assert step()[0] == 0
    (step.source / "config.json").write_text("other")
    code, told = step()
    assert (code, told["error"]["reason"]) == (3, "PathOccupied")
    code, _ = step("--replace")
    assert code == 0
    assert contents(step.claim / "team/granite") == contents(step.source)
    assert len(list((step.claim / ".pvserve/replaced").glob("*/*"))) == 1


def test_only_the_expected_content_is_published(step: Step, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code, told = step("--expect", "sha256:" + "0" * 64, "--result", str(log))
    assert (code, told["error"]["reason"]) == (6, "UnexpectedContent")
    assert json.loads(log.read_text()) == told
    assert not (step.claim / "team/granite").exists()
    _, told = step()
    assert step("--expect", told["digest"])[0] == 0
    assert step("--expect", "sha256:" + "0" * 64)[1]["error"]["reason"] == "UnexpectedContent"


@pytest.mark.parametrize(
    ("below", "more", "reason"),
    [
        ("gone", (), "NoSuchSource"),
        ("", ("--exclude", "*"), "EmptyDirectory"),
    ],
)
def test_what_cannot_be_loaded_is_refused(step: Step, below: str, more: tuple[str, ...], reason: str) -> None:
    code, told = step(*more, source=str(step.source / below))
    assert (code, told["error"]["reason"]) == (3, reason)


def test_links_may_lead_within_the_claim_that_is_said(step: Step, tmp_path: Path) -> None:
    (step.source / "link.json").symlink_to("../shared.json")
    (step.source.parent / "shared.json").write_text("{}")
    code, told = step()
    assert (code, told["error"]["reason"]) == (3, "UnloadableFiles")
    (step.source / "link.json").unlink()
    (step.source / "link.json").symlink_to("config.json")
    assert step("--within", str(step.source.parent))[0] == 0


def test_killed_at_any_moment_the_next_one_goes_on(step: Step) -> None:
    (step.source / "large.bin").write_bytes(os.urandom(64 * MIB))
    running = subprocess.Popen(step.command(), stdout=subprocess.PIPE, env={})
    deadline = time.monotonic() + 30
    journal = step.claim / ".pvserve/partial"
    while not any(b"\nd " in file.read_bytes() for file in journal.glob("*/*/journal")):
        assert time.monotonic() < deadline
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=5) == 143
    running.stdout.close()
    assert not (step.claim / "team/granite").exists()
    assert step.epochs == [1]
    code, told = step()
    assert code == 0
    assert contents(step.claim / "team/granite") == contents(step.source)
    assert 0 < told["copied"] < told["bytes"]
    assert step.epochs == []


def test_a_step_never_overtakes_a_holder_of_a_lease(step: Step) -> None:
    """... and takes over from a step whatever its epoch."""
    step("--replace")
    (step.source / "config.json").write_text("new")
    target = Target("team/granite", "vllm", str(step.claim))
    from pvserve.transfer.ask import transfer_of

    home = step.claim / ".pvserve/partial" / transfer_of(target, listing(step.source))
    (home / f"{FIRST_LEASE + 4:012d}").mkdir(parents=True)
    code, told = step("--replace")
    assert (code, told["error"]["reason"]) == (3, "TransferOfOther")
    assert step("--replace", "--epoch", str(FIRST_LEASE + 5))[0] == 0
    (step.source / "config.json").write_text("newer")
    (home / "000000000007").mkdir(parents=True)
    assert step("--replace")[0] == 0
    assert step.epochs == []


def test_a_python_that_is_too_old_says_so_in_the_form_of_every_error() -> None:
    head = step_source().partition("MODULES = {}")[0].replace("(3, 11)", "(9, 0)")
    done = subprocess.run([sys.executable, "-c", head], capture_output=True, text=True)
    assert done.returncode == 3
    assert json.loads(done.stdout)["error"]["reason"] == "CopyNeedsPython"


def test_steps_at_the_same_moment_leave_one_whole_model(step: Step) -> None:
    running = [subprocess.Popen(step.command(), stdout=subprocess.PIPE, env={}, text=True) for _ in range(4)]
    told = [(process.communicate(timeout=60)[0], process.returncode) for process in running]
    assert any(code == 0 for _, code in told), told
    assert {code for _, code in told} <= {0, 1, 3, 5}, told
    assert step()[0] == 0
    assert contents(step.claim / "team/granite") == contents(step.source)
