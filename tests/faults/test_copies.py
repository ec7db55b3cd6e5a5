"""Copies from claim to claim: those that share blocks, and those that are compared with their source.

Aspects: whole after a power cut · struck at each call · a volume that gives back other bytes · a source that rotted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.errors import DataDiffers
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, copy, inspect, load
from tests.unit.transfer.pod import LocalPod, contents, tree

from . import reader
from .trial import KIB, Trial
from .volume import MIB, Volume

SIZE = 48 * MIB


@pytest.fixture
def shelf(mounting: None, tmp_path: Path) -> Iterator[Volume]:
    """An xfs, which shares blocks."""
    with Volume(tmp_path / "volume", mib=384, kind="xfs") as made:
        yield made


def test_a_copy_that_shares_blocks_is_whole_after_a_power_cut(shelf: Volume, tmp_path: Path) -> None:
    model = tree(tmp_path / "source", {"model.data": os.urandom(SIZE), "config.json": b"{}"})
    source, target = (Target(path, "models", str(shelf.root)) for path in ("granite", "team/copy"))
    load(listing(model), LocalPod(), source, cache=DigestCache(tmp_path / "digests"))
    shelf.fill(SIZE // 2)  # there is no room for a second set of blocks
    free = os.statvfs(shelf.root).f_bavail
    before = contents(shelf.root / "granite")
    done = copy(source, LocalPod(), target, cache=DigestCache(tmp_path / "nothing"))
    shelf.power_fails()
    shelf.comes_back()
    block = os.statvfs(shelf.root).f_frsize
    assert (free - os.statvfs(shelf.root).f_bavail) * block < SIZE // 4  # the blocks are the source's
    assert contents(shelf.root / "team/copy") == before == contents(model)
    seen = inspect(LocalPod(), "team/copy", "full", mount=str(shelf.root))
    assert (seen.matches, seen.changed, seen.manifest) == (2, (), done.manifest)
    # The source's stamps outlived being shared, and the copy has its own: a copy of the copy is known too.
    names = {path.parent.parent.name for path in shelf.root.glob(".pvserve/models/*/*/stamps")}
    assert names == {"granite", "team%2Fcopy"}
    third = Target("third", "models", str(shelf.root))
    assert copy(target, LocalPod(), third, cache=DigestCache(tmp_path / "none")).manifest_digest == done.manifest_digest


LARGE = 41 * MIB + 77  # more than is noted at once, and no whole block
EVERY = int(os.environ.get("EVERY", "15"))  # of the calls


def struck(trial: Trial, how: str, at: int, volume: Volume | None = None) -> tuple[list[str], str]:
    """What is wrong where a copy of a known source is struck at this call, and which that was."""
    source = trial.source(large=(LARGE, 300 * KIB), small=3)
    known = {"from_claim": True, "path": "known"}
    assert not trial.run(source, **known).code  # from now on the client knows the source's digests
    trial.arm(how, at)
    ran = trial.run(source, epoch=2, from_claim=True)
    assert not trial.plan.exists(), f"call {at} never came"
    trial.disarm()
    called = trial.calls()[at - 1]
    if volume is not None:
        trial.kill_agents()
        volume.comes_back()
    wrong = trial.check({"nothing": None, "the source": reader.digests(source)}, ("known",))
    if ran.code:  # it gave up: then the same command ends the job
        assert ran.reason != "Traceback", ran.said
        ran = trial.run(source, epoch=3, from_claim=True)
    return [*wrong, *trial.check_done(ran, source, ("known",))], called


def calls_of_a_copy(trial: Trial) -> int:
    source = trial.source(large=(LARGE, 300 * KIB), small=3)
    assert not trial.run(source, from_claim=True, path="known").code
    trial.arm("nothing", -1)
    assert not trial.run(source, epoch=2, from_claim=True).code
    trial.disarm()
    calls = [line.split()[1] for line in trial.calls()]
    assert "copy_file_range" not in calls
    return len(calls)


@pytest.mark.parametrize("how", ["kill", "EIO", "power"])
def test_a_copy_that_is_compared_is_struck_at_each_call(how: str, mounting: None, tmp_path: Path, seed: int) -> None:
    def on(home: Path) -> Volume:
        return Volume(home, mib=320 if how == "power" else 160, kind="xfs" if how == "power" else "ext4")

    with on(tmp_path / "count") as volume:
        count = calls_of_a_copy(Trial(tmp_path / "count/trial", seed, claim=volume.root))
    assert count > 40, "the calls are not counted any more"
    found = []
    for at in range(1 + seed % EVERY, count + 1, EVERY):
        with on(tmp_path / f"at-{at}") as volume:
            trial = Trial(tmp_path / f"at-{at}/trial", seed, claim=volume.root)
            try:
                wrong, called = struck(trial, how, at, volume if how == "power" else None)
            finally:
                trial.clear()
        found += [f"{how} at call {at} ({called}): {words}" for words in wrong]
    assert not found, "\n".join(found)


def test_a_source_that_rotted_is_found_by_checksum_and_its_copy_by_verify(
    on_volume: Trial, volume: Volume, tmp_path: Path
) -> None:
    source = on_volume.source(large=(2 * MIB,), small=2)
    assert on_volume.check_done(on_volume.run(source), source) == []
    on_volume.kill_agents()
    volume.flip_byte(f"{on_volume.path}/model-00000.bin", 1234567)
    volume.comes_back()
    loaded, other = Target(on_volume.path, "workbench", str(volume.root)), tmp_path / "other"
    other.mkdir()
    with pytest.raises(DataDiffers, match=r"model-00000\.bin is not what was loaded") as rotted:
        copy(loaded, LocalPod(), Target("a", "vllm", str(other)), checksum=True, cache=DigestCache(tmp_path / "1"))
    assert (rotted.value.reason, os.listdir(other)) == ("SourceDamaged", [".pvserve"])
    # Known by its stamps it is not digested, and the copy is as it is.
    copy(loaded, LocalPod(), Target("b", "vllm", str(other)), cache=DigestCache(tmp_path / "2"))
    assert inspect(LocalPod(), "b", "full", mount=str(other)).changed == ("model-00000.bin",)
