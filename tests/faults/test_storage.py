"""Storage that turns read-only, hangs, loses what it acknowledged, or rots; and a user who presses Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import time

import pytest

from pvserve.transfer import inspect
from pvserve.transfer.agent.volume import cause
from tests.unit.transfer.pod import LocalPod

from .trial import MIB, Trial
from .volume import Volume


def test_read_only_in_the_middle_is_named_and_resumed(on_volume: Trial, volume: Volume) -> None:
    source = on_volume.source(large=(24 * MIB,), small=3)
    running = on_volume.start(source, pace=0.1)
    running.reached(lambda counts: counts[1] > 4 * MIB)
    volume.becomes_read_only()
    ran = running.ended()
    assert (ran.code, ran.reason) == (1, "VolumeReadOnly"), ran.said
    on_volume.kill_agents()
    volume.comes_back()
    assert on_volume.check({"nothing": None}) == []
    assert on_volume.check_done(on_volume.run(source, epoch=2), source) == []


def test_the_call_that_met_the_end_of_the_journal_is_known_as_read_only(volume: Volume) -> None:
    """It alone gets EIO, now and then in the test above."""
    directory = os.open(volume.root, os.O_RDONLY)
    try:
        assert cause(OSError(errno.EIO, "of one file"), directory).errno == errno.EIO
        volume.becomes_read_only()
        found = cause(OSError(errno.EIO, "met the end", "model.bin"), directory)
        assert (found.errno, found.filename) == (errno.EROFS, "model.bin")
    finally:
        os.close(directory)
    volume.comes_back()


def test_ctrl_c_is_heard_while_the_storage_hangs(on_volume: Trial, volume: Volume) -> None:
    source = on_volume.source(large=(24 * MIB,), small=3)
    # Not by exec: the stand-in for it is a child process, whose end would be waited for.
    running = on_volume.start(source, via="pod", pace=0.1)
    running.reached(lambda counts: counts[1] > 4 * MIB)
    with volume.frozen():
        time.sleep(0.5)
        began = time.monotonic()
        running.signal(signal.SIGINT)
        ran = running.ended(10)
        assert time.monotonic() - began < 3
    assert ran.reason == "Interrupted", ran.said
    on_volume.kill_agents()
    assert on_volume.check({"nothing": None}) == []
    assert on_volume.check_done(on_volume.run(source, epoch=2), source) == []


def test_a_failed_fsync_condemns_the_file_and_is_not_asked_twice(trial: Trial) -> None:
    """As on a thin volume: the first fsync fails, a second one would say that all is well."""
    source = trial.source(large=(3 * MIB,), small=2)
    trial.arm("EIO", 1, calls=["fsync"])
    ran = trial.run(source)
    assert not trial.plan.exists()
    trial.disarm()
    if ran.code:
        ran = trial.run(source, epoch=2)
    assert trial.check_done(ran, source) == []


@pytest.mark.parametrize("code", ["EIO", "EDQUOT"])
def test_a_failed_syncfs_condemns_all_that_it_spoke_of_and_is_not_asked_twice(code: str, on_volume: Trial) -> None:
    source = on_volume.source(large=(), small=120)
    on_volume.arm(code, 1, calls=["syncfs"])
    ran = on_volume.run(source)
    assert not on_volume.plan.exists(), "many small files are not made durable at once any more"
    on_volume.disarm()
    calls = [call.split()[1] for call in on_volume.calls()]
    assert calls.count("syncfs") == 1
    if code == "EIO":
        assert not ran.code, ran.said
        assert calls[calls.index("syncfs") :].count("pwrite") >= 120, "they were not written again"
        assert calls[calls.index("syncfs") :].count("fsync") >= 120, "nor fsynced each"
    else:
        assert ran.reason == "ClaimFull", ran.said
        ran = on_volume.run(source, epoch=2)
    assert on_volume.check_done(ran, source) == []


@pytest.mark.parametrize("offset", [0, 1234567])
def test_a_byte_that_rots_is_found_and_put_right(offset: int, on_volume: Trial, volume: Volume) -> None:
    source = on_volume.source(large=(2 * MIB,), small=2)
    assert on_volume.check_done(on_volume.run(source), source) == []
    on_volume.kill_agents()
    volume.flip_byte(f"{on_volume.path}/model-00000.bin", offset)
    volume.comes_back()
    seen = inspect(LocalPod(), on_volume.path, "full", mount=str(on_volume.claim))
    assert seen.changed == ("model-00000.bin",)
