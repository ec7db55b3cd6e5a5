"""Bytes, blocks and inodes that are not there: before the first byte, in the middle, and once the claim has grown."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pvserve.transfer.causes import INODES

from . import reader
from .trial import KIB, MIB, Trial
from .volume import Volume


def test_what_cannot_fit_is_refused_before_the_first_byte(on_volume: Trial) -> None:
    source = on_volume.source(large=(70 * MIB,), small=2)
    ran = on_volume.run(source)
    assert (ran.code, ran.reason, ran.sent) == (3, "ClaimTooSmall", 0)
    assert ran.said["message"].endswith("; 1Gi would do")
    assert reader.read(on_volume.claim, on_volume.path).files is None


def test_headroom_counts(on_volume: Trial, volume: Volume) -> None:
    """Exactly the bytes are there, but not the file system's own need."""
    volume.fill(leave=20 * MIB)
    ran = on_volume.run(on_volume.source(large=(20 * MIB - 64 * KIB,), small=0))
    assert (ran.code, ran.reason, ran.sent) == (3, "ClaimTooSmall", 0)


@pytest.mark.parametrize("via", ["exec", "pod", "shell"])
def test_full_in_the_middle_then_grown_sends_only_the_rest(via: str, on_volume: Trial, volume: Volume) -> None:
    source = on_volume.source(large=(22 * MIB, 14 * MIB), small=4)
    total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    running = on_volume.start(source, via=via, pace=0.15)
    acked = 4 * MIB if via != "shell" else 1
    running.reached(lambda counts: counts[2] >= acked or counts[3] in ("verify", "publish"))
    volume.fill(leave=3 * MIB)
    began = time.monotonic()
    ran = running.ended()
    assert (ran.code, ran.reason) == (1, "ClaimFull"), ran.said
    assert time.monotonic() - began < 8, "it went on trying on a full volume"
    assert "vllm" in ran.said["message"]
    assert "free now" in ran.said["message"]
    assert via == "shell" or ran.said["message"].endswith("; 1Gi would do")
    on_volume.kill_agents()
    tenants = ("other-tenant",)
    assert on_volume.check({"nothing": None}, tenants) == []
    volume.grow(160)
    again = on_volume.run(source, via=via, epoch=2)
    assert on_volume.check_done(again, source, tenants) == []
    if via != "shell":  # whose acknowledgements are those of its parts, not counted here
        assert again.said["sent"] <= total - ran.acked


def test_no_inodes(mounting: None, tmp_path: Path, seed: int) -> None:
    with Volume(tmp_path / "volume", make=("-N", "64")) as volume:
        trial = Trial(tmp_path / "trial", seed, claim=volume.root)
        ran = trial.run(trial.source(small=60))
        assert (ran.code, ran.reason, ran.sent) == (3, "ClaimOutOfInodes", 0)
        trial.clear()


def taking_all_inodes(where: Path) -> list[Path]:
    """Files until none can be made."""
    made = []
    while True:
        made.append(where / str(len(made)))
        try:
            made[-1].touch()
        except OSError:
            return made


def inodes_needed(trial: Trial, source: Path) -> int:
    """For a resume: what its partial transfer has already, it has."""
    there = list(trial.claim.glob(".pvserve/partial/*/*/files/**/*"))
    return len(list(source.rglob("*"))) - len(there) + INODES


def test_inodes_gone_in_the_middle(mounting: None, tmp_path: Path, seed: int) -> None:
    with Volume(tmp_path / "volume", make=("-N", "320")) as volume:
        trial = Trial(tmp_path / "trial", seed, claim=volume.root)
        try:
            source = trial.source(large=(9 * MIB,), small=70)
            running = trial.start(source, pace=0.1)
            running.reached(lambda counts: counts[1] > 0)
            others = volume.root / "other-tenant"
            others.mkdir()
            made = taking_all_inodes(others)
            ran = running.ended()
            if ran.code:  # unless all files had been made by then
                assert (ran.code, ran.reason) == (1, "ClaimFull"), ran.said
            trial.kill_agents()
            for path in made[: inodes_needed(trial, source)]:  # and not one more
                path.unlink(missing_ok=True)
            assert trial.check_done(trial.run(source, epoch=2), source, ("other-tenant",)) == []
        finally:
            trial.clear()


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT"])
@pytest.mark.parametrize("call", ["pwrite", "fsync", "mkdir", "rename", "fdatasync"])
def test_every_call_may_be_the_one_without_room(name: str, call: str, trial: Trial) -> None:
    """A quota says EDQUOT; a full file system may say ENOSPC anywhere, also while publishing."""
    source = trial.source(large=(3 * MIB,), small=5)
    trial.arm(name, 2 if call != "rename" else 1, calls=[call], again=True)
    ran = trial.run(source)
    assert (ran.code, ran.reason) == (1, "ClaimFull"), ran.said
    trial.disarm()
    trial.kill_agents()
    assert trial.check({"nothing": None}) == []
    assert trial.check_done(trial.run(source, epoch=2), source) == []


def test_two_loads_that_do_not_fit_together(on_volume: Trial, volume: Volume, tmp_path: Path, seed: int) -> None:
    """Each would fit alone: at least one is told of it, none publishes a part, and the volume is not left unusable."""
    other = Trial(tmp_path / "other", seed + 1, claim=volume.root)
    trials = [on_volume, other]
    try:
        sources = [trial.source(large=(34 * MIB,), small=2) for trial in trials]
        running = [trial.start(source, pace=0.01) for trial, source in zip(trials, sources, strict=True)]
        ran = [one.ended() for one in running]
        assert any(one.reason in ("ClaimFull", "ClaimTooSmall") for one in ran), ran
        for trial, source, one in zip(trials, sources, ran, strict=True):
            allowed = {"nothing": None} if one.code else {"whole": reader.digests(source)}
            assert reader.read(trial.claim, trial.path).files in allowed.values()
    finally:
        other.clear()
