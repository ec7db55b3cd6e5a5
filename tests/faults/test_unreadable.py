"""A disk that cannot be read: that of the source, and that of the claim when it is proven."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pvserve.transfer import inspect
from tests.unit.transfer.pod import LocalPod

from .trial import MIB, Trial
from .volume import Volume


def forgotten(root: Path) -> None:
    """Nothing of the files is in memory."""
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("via", ["exec", "pod", "shell"])
def test_a_source_that_cannot_be_read_is_named(via: str, trial: Trial, volume: Volume) -> None:
    source = Path(shutil.copytree(trial.source(large=(24 * MIB,), small=0), volume.root / "model"))
    forgotten(source)
    with volume.unreadable():
        ran = trial.run(source, via=via)
    assert (ran.code, ran.reason) == (1, "SourceUnreadable"), ran.said
    assert "model-00000.bin failed at byte " in ran.said["message"]
    trial.kill_agents()
    assert trial.check({"nothing": None}) == []
    assert trial.check_done(trial.run(source, via=via, epoch=2), source) == []


def test_a_file_that_cannot_be_read_back_fails_the_proof_by_name(on_volume: Trial, volume: Volume) -> None:
    source = on_volume.source(large=(24 * MIB,), small=0)
    assert on_volume.check_done(on_volume.run(source), source) == []
    on_volume.kill_agents()
    forgotten(on_volume.claim / on_volume.path)
    with volume.unreadable():
        seen = inspect(LocalPod(), on_volume.path, "full", mount=str(on_volume.claim))
    assert (seen.unreadable, seen.matches) == (("model-00000.bin",), 0)
