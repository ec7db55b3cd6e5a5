"""Images are built once, whole or not at all, and say what went wrong. Real builds from Debian, as root."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from bed.images import ImageError, ensure

pytestmark = pytest.mark.bed
BUSYBOX, PAUSE, LLAMA = "bed.local/busybox:1", "bed.local/pause:1", "bed.local/llama-server:1"


def start_build(cache: Path, image: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "bed.images", "build", str(cache), image]
    return subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, start_new_session=True)


def test_busybox_has_the_commands_that_pods_of_the_bed_use(tmp_path: Path) -> None:
    reported: list[str] = []
    path = ensure(tmp_path, [BUSYBOX], reported.append)[BUSYBOX]
    assert reported == [f"making image {BUSYBOX}"]
    with tarfile.open(path) as archive:
        layer = next(name for name in archive.getnames() if name.endswith("layer.tar"))
        with tarfile.open(fileobj=archive.extractfile(layer)) as files:
            names = set(files.getnames())
    assert {f"./bin/{name}" for name in ("sh", "tar", "dd", "sha256sum", "nc", "find", "sync", "wget", "df")} <= names


def test_an_image_is_built_once(tmp_path: Path) -> None:
    first = ensure(tmp_path, [BUSYBOX])
    built = first[BUSYBOX].stat().st_mtime_ns
    reported: list[str] = []
    assert ensure(tmp_path, [BUSYBOX], reported.append) == first
    assert reported == []
    assert first[BUSYBOX].stat().st_mtime_ns == built


def test_two_processes_share_one_build(tmp_path: Path) -> None:
    builds = [start_build(tmp_path, BUSYBOX) for _ in range(2)]
    said = "".join(build.communicate(timeout=120)[0] for build in builds)
    assert [build.returncode for build in builds] == [0, 0]
    assert said.count(f"making image {BUSYBOX}") == 1


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path) -> None:
    build = start_build(tmp_path, BUSYBOX)
    scratch = tmp_path / "images/building"
    deadline = time.monotonic() + 60
    while not (scratch.exists() and list(scratch.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(build.pid, signal.SIGKILL)
    build.communicate(timeout=10)
    assert list(scratch.iterdir()), "killed too late to show anything"
    assert not list((tmp_path / "images").glob("*.tar"))
    assert ensure(tmp_path, [BUSYBOX])[BUSYBOX].exists()
    assert not scratch.exists()


def test_a_mirror_that_does_not_answer_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BED_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(ImageError) as raised:
        ensure(tmp_path, [PAUSE, LLAMA])
    assert str(raised.value).startswith("making the Debian bookworm base: mmdebstrap ended with ")
    assert "127.0.0.1:9" in str(raised.value)
    assert str(raised.value).endswith("name one that has Debian bookworm: BED_DEBIAN_MIRROR=URL")
    assert [path.name.split("-")[0] for path in (tmp_path / "images").glob("*.tar")] == ["pause"]
