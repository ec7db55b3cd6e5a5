"""What `rm` does to a volume, stopped at any point of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pvserve.errors import Refused, Temporary
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, inspect, load, remove
from pvserve.transfer.agent import remove as agent
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.ask import key_of, place_word

from .pod import LocalPod, contents, tree


def nothing() -> None: ...


def placed(claim: Path, cache: DigestCache, source: Path, path: str = "team/granite", epoch: int = 1) -> Target:
    target = Target(path, "vllm", str(claim))
    load(listing(source), LocalPod(), target, cache=cache, epoch=epoch)
    return target


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tree(tmp_path / "model", {"config.json": b"{}", "sub/weights.gguf": os.urandom(300_000)})


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return tree(tmp_path / "other", {"config.json": b"{2}"})


def left(claim: Path) -> list[str]:
    return sorted(str(path.relative_to(claim)) for path in claim.rglob("*") if not path.is_dir())


def gone(target: Target, epoch: int = 2, *, named: bool = False, everything: bool = False) -> object:
    return remove(LocalPod(), target, epoch=epoch, named=named, everything=everything, before=nothing)


def test_a_model_goes_with_its_records_and_others_stay(
    claim: Path, cache: DigestCache, model: Path, other: Path
) -> None:
    target, beside = placed(claim, cache, model), placed(claim, cache, other, "team/other")
    before = contents(claim / "team/other")
    told: list[bool] = []
    done = remove(
        LocalPod(),
        target,
        epoch=2,
        named=False,
        everything=False,
        before=lambda: told.append((claim / "team/granite").is_dir()),
    )
    assert told == [True], "asked before anything was changed"
    assert done.found
    assert done.bytes >= 300_000
    assert contents(claim / "team/other") == before
    assert inspect(LocalPod(), beside.path, "full", mount=str(claim)).matches == 1
    assert not [path for path in left(claim) if "granite" in path]
    assert os.listdir(claim / ".pvserve/partial") == []
    again = gone(target, 3)
    assert (again.found, again.files) == (False, 0)  # type: ignore[attr-defined]


def test_what_was_replaced_goes_only_when_asked_for(claim: Path, cache: DigestCache, model: Path, other: Path) -> None:
    target = placed(claim, cache, model)
    load(listing(other), LocalPod(), target, cache=cache, epoch=2, replace=True)
    kept = claim / ".pvserve/replaced/team%2Fgranite"
    gone(target, 3)
    assert len(os.listdir(kept)) == 1
    gone(target, 4, everything=True)
    assert not kept.exists()


def test_what_pvserve_did_not_put_there_needs_its_name(claim: Path) -> None:
    tree(claim / "mine", {"notes": b"precious"})
    target = Target("mine", "vllm", str(claim))
    with pytest.raises(Refused) as refused:
        gone(target)
    assert refused.value.reason == "NotOurs"
    assert contents(claim / "mine") == {"notes": b"precious"}
    gone(target, named=True)
    assert not (claim / "mine").exists()


@pytest.mark.parametrize("path", ["team", "team/granite/sub"])
def test_a_path_above_or_inside_a_model_is_not_removed_even_by_name(
    claim: Path, cache: DigestCache, model: Path, path: str
) -> None:
    placed(claim, cache, model)
    with pytest.raises(Refused) as refused:
        gone(Target(path, "vllm", str(claim)), named=True)
    assert refused.value.reason == "PathHoldsModels"
    assert contents(claim / "team/granite") == contents(model)


def test_a_model_that_came_to_lie_inside_another_can_leave_it(claim: Path, cache: DigestCache, model: Path) -> None:
    inner = placed(claim, cache, model, "team/granite/adapter")
    record = claim / ".pvserve/models/team%2Fgranite"
    record.mkdir()
    (record / "path").write_text("team/granite")
    gone(inner)
    assert not (claim / "team/granite/adapter").exists()
    gone(inner, 3)
    assert (claim / "team/granite").is_dir()


def test_a_writer_of_an_earlier_epoch_removes_nothing(claim: Path, cache: DigestCache, model: Path) -> None:
    target = placed(claim, cache, model, epoch=5)
    (claim / ".pvserve/partial" / f"{place_word(target)}-{'a' * 16}" / "000000000009").mkdir(parents=True)
    with pytest.raises(Temporary) as overtaken:
        gone(target, 6)
    assert overtaken.value.reason == "Overtaken"
    assert contents(claim / "team/granite") == contents(model)


@pytest.mark.parametrize("stop_at", range(6))
def test_stopped_anywhere_it_leaves_all_or_nothing_and_the_next_run_finishes(
    stop_at: int, claim: Path, cache: DigestCache, model: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the n-th change of the volume that it makes after taking the place over."""
    target = placed(claim, cache, other)
    load(listing(model), LocalPod(), target, cache=cache, epoch=2, replace=True)
    seen = 0

    class Stopped(Exception):
        pass

    def stopping(call):
        def called(*args, **kwargs):
            nonlocal seen
            if seen == stop_at:
                raise Stopped
            seen += 1
            return call(*args, **kwargs)

        return called

    place = Place(str(claim), target.path, key_of(target.path))
    partial = Partial(place, f"{place_word(target)}-{'0' * 16}", 3)
    monkeypatch.setattr(os, "rename", stopping(os.rename))
    monkeypatch.setattr(os, "unlink", stopping(os.unlink))
    with pytest.raises(Stopped):
        agent.remove(place, partial, named=False, everything=True)
    monkeypatch.undo()
    there = claim / target.path
    assert contents(there) == contents(model) if there.exists() else stop_at > 0
    assert place.current() == ("" if stop_at else place.current() or "no version")
    done = gone(target, 4, everything=True)
    assert isinstance(done.found, bool)  # type: ignore[attr-defined]
    assert left(claim) == []


def test_a_load_after_a_removal_that_was_stopped_is_whole(
    claim: Path, cache: DigestCache, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = placed(claim, cache, model)
    place = Place(str(claim), target.path, key_of(target.path))
    partial = Partial(place, f"{place_word(target)}-{'0' * 16}", 2)
    monkeypatch.setattr(Partial, "drop", lambda _self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        agent.remove(place, partial, named=False, everything=False)
    monkeypatch.undo()
    placed(claim, cache, model, epoch=3)
    assert contents(claim / target.path) == contents(model)
    assert os.listdir(claim / ".pvserve/partial") == []
