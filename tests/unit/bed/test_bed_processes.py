"""The bed ends its own processes and no others; its files say what runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed import processes
from bed.build import installed, remember
from bed.cluster import _check_same
from bed.errors import BedError
from bed.settings import Settings, settings

# Components outlive who starts them, so nobody waits for them; Popen calls that a leak.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Settings]:
    made = Settings(tmp_path / "home", tmp_path / "cache", tmp_path / "volumes")
    made.home.mkdir()
    yield made
    for name in ("sleeper", "dies"):
        processes.stop(made, name)


def test_a_component_is_started_once_and_ended_by_pid(bed: Settings) -> None:
    number = processes.start(bed, "sleeper", ["sleep", "60"])
    assert processes.start(bed, "sleeper", ["sleep", "60"]) == number == processes.pid(bed, "sleeper")
    processes.stop(bed, "sleeper")
    assert processes.pid(bed, "sleeper") == 0
    assert not Path(f"/proc/{number}").exists()


@pytest.mark.parametrize("since", ["1234@another-boot", ""])
def test_a_pid_that_is_somebody_elses_now_is_left_alone(bed: Settings, since: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (bed.home / "pid").mkdir()
        (bed.home / "pid" / "sleeper").write_text(f"{other.pid} {since}")
        assert processes.pid(bed, "sleeper") == 0
        processes.stop(bed, "sleeper")
        assert other.poll() is None
        other.kill()


def test_a_component_that_dies_is_reported_with_the_end_of_its_log(bed: Settings) -> None:
    processes.start(bed, "dies", [sys.executable, "-c", "raise SystemExit('cannot bind port 6443')"])
    with pytest.raises(BedError, match=r"dies ended by itself:\n  cannot bind port 6443"):
        processes.wait(bed, "it is ready", "dies", lambda: False, seconds=10)


def test_waiting_ends(bed: Settings) -> None:
    processes.start(bed, "sleeper", ["sleep", "60"])
    with pytest.raises(BedError, match="not within 0 s: it is ready"):
        processes.wait(bed, "it is ready", "sleeper", lambda: False, seconds=0.1)


def test_one_command_at_a_time(bed: Settings) -> None:
    hold = f"""
import fcntl, time
file = open({str(bed.home / "lock")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(0.5)
"""
    said: list[str] = []
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        start = time.monotonic()
        with processes.alone(bed, said.append):
            assert time.monotonic() - start > 0.3
    assert said == ["waiting for another `bed` command to end"]


def test_a_bed_keeps_its_volumes_and_its_kserve(bed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BED_HOME", str(bed.home))
    assert settings().volumes == bed.home / "volumes"
    elsewhere = settings("/dev/shm")
    assert elsewhere.volumes == Path("/dev/shm/pvserve-bed")
    _check_same(elsewhere, "none")  # nothing there yet
    (bed.home / "volumes-dir").write_text(str(elsewhere.volumes))
    (bed.home / "kserve").write_text("emulator")
    assert settings().volumes == elsewhere.volumes
    _check_same(settings(), "emulator")
    with pytest.raises(BedError, match="was started with --kserve emulator, not none"):
        _check_same(settings(), "none")
    with pytest.raises(BedError, match="volumes are in /dev/shm/pvserve-bed"):
        _check_same(settings("/tmp"), "emulator")


def test_commands_that_must_not_build_know_what_runs(bed: Settings) -> None:
    with pytest.raises(BedError, match="never been up"):
        installed(bed)
    remember(bed, {"kubectl": Path("/cache/kubectl")})
    assert installed(bed) == {"kubectl": Path("/cache/kubectl")}
