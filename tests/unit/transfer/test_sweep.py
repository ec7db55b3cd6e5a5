"""What `gc` finds on a volume and takes away, and what it leaves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, contents, inspect, load, sweep
from pvserve.transfer.agent import leftovers

from .pod import LocalPod, tree
from .pod import contents as files

NAME = "a" * 16 + "-" + "b" * 16


@pytest.fixture
def used(claim: Path, cache: DigestCache, tmp_path: Path) -> Path:
    """A claim with one model, what it replaced, and a partial transfer to another path."""
    target = Target("team/granite", "vllm", str(claim))
    for epoch, text in ((1, b"old"), (2, b"new")):
        model = tree(tmp_path / f"model{epoch}", {"config.json": text, "weights": os.urandom(50_000)})
        load(listing(model), LocalPod(), target, cache=cache, epoch=epoch, replace=True)
    tree(claim / ".pvserve/partial" / NAME / "000000000003", {"files/weights": os.urandom(80_000), "journal": b"f 1\n"})
    return claim


def test_everything_that_no_model_needs_is_found(used: Path) -> None:
    found = contents(LocalPod(), "vllm", str(used))
    [partial] = found.partials
    assert (partial.name, partial.files) == (NAME, 2)
    assert partial.bytes >= 80_000
    assert 0 <= partial.age_seconds < 60
    [replaced] = found.replaced
    assert (replaced.path, replaced.files) == ("team/granite", 2)
    assert found.models == ("team/granite",)
    os.utime(used / ".pvserve/partial" / NAME, (0, 0))
    for path in (used / ".pvserve/partial" / NAME).rglob("*"):
        os.utime(path, (0, 0))
    [partial] = contents(LocalPod(), "vllm", str(used)).partials
    assert partial.age_seconds > 10**9


def test_an_empty_volume_holds_nothing(claim: Path) -> None:
    found = contents(LocalPod(), "vllm", str(claim))
    assert (found.partials, found.replaced, found.models) == ((), (), ())
    assert os.listdir(claim) == []


def test_only_what_was_named_goes(used: Path) -> None:
    [row] = contents(LocalPod(), "vllm", str(used)).replaced
    model = files(used / "team/granite")
    done = sweep(LocalPod(), "vllm", [NAME], [], str(used))
    assert done.bytes >= 80_000
    assert os.listdir(used / ".pvserve/partial") == []
    assert contents(LocalPod(), "vllm", str(used)).replaced == (row,)
    sweep(LocalPod(), "vllm", [], [(row.key, row.name)], str(used))
    assert os.listdir(used / ".pvserve/replaced") == []
    assert files(used / "team/granite") == model
    assert inspect(LocalPod(), "team/granite", "full", mount=str(used)).matches == 2


@pytest.mark.parametrize("name", ["..", "../models", "team", ".", ""])
def test_names_that_lead_elsewhere_remove_nothing(used: Path, name: str) -> None:
    before = files(used)
    sweep(LocalPod(), "vllm", [name], [("team%2Fgranite", name)], str(used))
    assert files(used) == before


def test_what_a_stopped_publisher_may_put_back_is_not_offered_and_not_removed(used: Path) -> None:
    [row] = contents(LocalPod(), "vllm", str(used)).replaced
    intent = {"to": "x", "inode": 1, "old": 2, "kept": row.name, "partial": "p/0"}
    (used / ".pvserve/models/team%2Fgranite/publishing").write_text(json.dumps(intent))
    assert contents(LocalPod(), "vllm", str(used)).replaced == ()
    sweep(LocalPod(), "vllm", [], [(row.key, row.name)], str(used))
    assert (used / ".pvserve/replaced" / row.key / row.name).is_dir()


def test_a_sweep_that_was_stopped_leaves_no_journal_to_believe(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_base: int, _name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(leftovers, "remove_tree", stopped)
    with pytest.raises(KeyboardInterrupt):
        leftovers.sweep(str(used), [NAME], [])
    assert not (used / ".pvserve/partial" / NAME / "000000000003/journal").exists()
    monkeypatch.undo()
    sweep(LocalPod(), "vllm", [NAME], [], str(used))
    assert os.listdir(used / ".pvserve/partial") == []
