"""A pod with no Python: dash with coreutils, or busybox alone, leave what the agent would have left."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from pvserve.errors import PvserveError, Refused, Temporary
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, inspect, later_epoch, load, shell_load

from .conftest import MIB
from .pod import LocalPod, contents, tree


def test_everything_arrives_and_is_proven(shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache) -> None:
    (source / "config.json").chmod(0o755)
    (source / "exactly").chmod(0o755)
    done = load(listing(source), shell_pod, Target("team/granite", "vllm", str(claim)), cache=cache)
    assert done.channel == "shell"
    assert contents(claim / "team/granite") == contents(source)
    assert done.sent_bytes == done.manifest.bytes
    modes = {path.name: path.stat().st_mode & 0o777 for path in (claim / "team/granite").rglob("*")}
    assert modes == {
        "config.json": 0o775, "exactly": 0o775, "empty": 0o664, "model.safetensors": 0o664, "odd \n name": 0o664,
        "sub": 0o775, "dir": 0o775, "tokenizer.json": 0o664,
    }  # fmt: skip
    home = claim / ".pvserve/models/team%2Fgranite"
    hexes = (home / "current").read_text().strip()
    assert done.manifest_digest == f"sha256:{hexes}"
    assert sorted(os.listdir(home)) == sorted([hexes, "current", "path"])
    assert os.listdir(claim / ".pvserve/partial") == []
    sums = home / hexes / "SHA256SUMS"
    assert subprocess.run(["sha256sum", "-c", "--quiet", sums], cwd=claim / "team/granite").returncode == 0


def test_agent_and_shell_see_the_same(shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache) -> None:
    load(listing(source), shell_pod, Target("granite", "vllm", str(claim)), cache=cache)
    (claim / "granite/model.safetensors").write_bytes(b"short")
    (claim / "granite/empty").unlink()
    (claim / "granite/-rf \n").write_bytes(b"x")
    os.mkfifo(claim / "granite/pipe")
    for level in ("full", "quick", "list"):
        by_shell, by_agent = (inspect(pod, "granite", level, mount=str(claim)) for pod in (shell_pod, LocalPod()))
        assert by_shell.manifest == by_agent.manifest
        for what in ("matches", "missing", "extra", "changed", "unreadable", "uid", "gids", "exists", "level"):
            assert getattr(by_shell, what) == getattr(by_agent, what), (level, what)
        assert by_shell.missing == ("empty",)
        assert by_shell.free_bytes == pytest.approx(by_agent.free_bytes, rel=0.1)  # others write too


@pytest.mark.parametrize("first", ["shell", "agent"])
def test_a_second_load_sends_nothing_whoever_was_first(
    first: str, shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache
) -> None:
    pods = [shell_pod, LocalPod()] if first == "shell" else [LocalPod(), shell_pod]
    target = Target("granite", "vllm", str(claim))
    load(listing(source), pods[0], target, cache=cache)
    again = load(listing(source), pods[1], target, cache=cache)
    assert (again.sent_bytes, again.reused_bytes) == (0, again.manifest.bytes)


def test_other_content_is_not_replaced(shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache) -> None:
    tree(claim / "granite", {"other": b"content"})
    target = Target("granite", "vllm", str(claim))
    with pytest.raises(Refused) as refused:
        load(listing(source), shell_pod, target, cache=cache)
    assert refused.value.reason == "PathOccupied"
    with pytest.raises(Refused, match="no Python") as refused:
        load(listing(source), shell_pod, target, replace=True, cache=cache)
    assert refused.value.reason == "ReplaceNeedsPython"
    assert contents(claim / "granite") == {"other": b"content"}


@pytest.mark.parametrize("path", ["team", "team/granite/adapter"])
def test_no_model_comes_to_lie_inside_another(
    path: str, shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache
) -> None:
    load(listing(source), shell_pod, Target("team/granite", "vllm", str(claim)), cache=cache)
    load(listing(source), shell_pod, Target("team/granite2", "vllm", str(claim)), cache=cache)
    with pytest.raises(Refused) as refused:
        load(listing(source), shell_pod, Target(path, "vllm", str(claim)), cache=cache)
    assert refused.value.reason == ("PathOccupied" if path == "team" else "PathHoldsModels")
    assert path == "team" or "rm pvc://vllm/team/granite" in refused.value.remedy[1]
    assert contents(claim / "team/granite") == contents(source)


def test_equal_files_of_others_are_adopted(shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache) -> None:
    tree(claim / "granite", contents(source))
    done = load(listing(source), shell_pod, Target("granite", "vllm", str(claim)), cache=cache)
    assert done.sent_bytes == 0
    assert inspect(LocalPod(), "granite", "full", mount=str(claim)).matches == 6


@pytest.mark.parametrize("stop_after", [2, 5, 8, 11, 12])
def test_what_was_acknowledged_is_not_sent_again(
    stop_after: int, shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_load, "PART", MIB)
    monkeypatch.setattr(shell_load, "WORKERS", 1)
    target = Target("granite", "vllm", str(claim))
    sends = 0
    stream = shell_pod.stream

    def dying(argv: list[str]) -> object:
        nonlocal sends
        sends += argv[4] in ("part", "pack")
        if sends > stop_after:
            raise PvserveError("Killed", "the client is gone")
        return stream(argv)

    monkeypatch.setattr(shell_pod, "stream", dying)
    with pytest.raises(PvserveError, match="the client is gone"):
        load(listing(source), shell_pod, target, epoch=1, cache=cache)
    assert sorted(os.listdir(claim)) == [".pvserve"]
    monkeypatch.setattr(shell_pod, "stream", stream)
    done = load(listing(source), shell_pod, target, epoch=2, cache=cache)
    assert contents(claim / "granite") == contents(source)
    assert done.sent_bytes <= done.manifest.bytes - min(stop_after, 11) * MIB


def test_a_later_writer_overtakes(shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache) -> None:
    """The older one is stopped before it publishes; the newer one takes its files over and publishes."""
    target = Target("granite", "vllm", str(claim))
    stream = shell_pod.stream

    def interfering(argv: list[str]) -> object:
        if argv[4] == "publish":
            shell_pod.stream = stream  # type: ignore[method-assign]
            newer = load(listing(source), shell_pod, target, epoch=9, cache=cache)
            assert newer.sent_bytes == 0
        return stream(argv)

    shell_pod.stream = interfering  # type: ignore[method-assign,assignment]
    with pytest.raises(Temporary) as overtaken:
        load(listing(source), shell_pod, target, epoch=1, cache=cache)
    assert overtaken.value.reason == "Overtaken"
    assert contents(claim / "granite") == contents(source)


def test_an_older_writer_does_not_even_begin(
    shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache
) -> None:
    found = listing(source)
    from pvserve.transfer.ask import transfer_of

    target = Target("granite", "vllm", str(claim))
    (claim / ".pvserve/partial" / transfer_of(target, found) / f"{7:012d}/files").mkdir(parents=True)
    with pytest.raises(Temporary) as overtaken:
        load(found, shell_pod, target, epoch=6, cache=cache)
    assert overtaken.value.reason == "Overtaken"
    assert later_epoch(overtaken.value) == 7


@pytest.mark.parametrize("planted", [".pvserve", ".pvserve/models", "team", "team/granite"])
def test_a_planted_link_is_not_followed(
    planted: str, shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (claim / planted).parent.mkdir(parents=True, exist_ok=True)
    (claim / planted).symlink_to(outside)
    with pytest.raises(PvserveError) as unsafe:
        load(listing(source), shell_pod, Target("team/granite", "vllm", str(claim)), cache=cache)
    assert unsafe.value.reason == "VolumeUnsafe"
    assert os.listdir(outside) == []


def test_a_publish_that_was_stopped_is_understood(
    shell_pod: LocalPod, source: Path, claim: Path, cache: DigestCache
) -> None:
    """Stopped between the rename and the marker: both kinds of pod take the directory for what it is."""
    target = Target("granite", "vllm", str(claim))
    stream = shell_pod.stream

    def dying(argv: list[str]) -> object:
        if argv[4] == "file" and argv[6].endswith("/path"):
            raise PvserveError("Killed", "the client is gone")
        return stream(argv)

    shell_pod.stream = dying  # type: ignore[method-assign,assignment]
    with pytest.raises(PvserveError, match="the client is gone"):
        load(listing(source), shell_pod, target, cache=cache)
    shell_pod.stream = stream  # type: ignore[method-assign]
    home = claim / ".pvserve/models/granite"
    assert json.loads((home / "publishing").read_text())["inode"] == (claim / "granite").stat().st_ino
    for pod in (shell_pod, LocalPod()):
        assert inspect(pod, "granite", "full", mount=str(claim)).matches == 6
    assert load(listing(source), shell_pod, target, cache=cache).sent_bytes == 0


def test_a_pod_with_nothing_says_what_it_lacks(source: Path, claim: Path, cache: DigestCache) -> None:
    pod = LocalPod(lacks=("python3", "sh"))
    with pytest.raises(PvserveError) as error:
        load(listing(source), pod, Target("granite", "vllm", str(claim)), cache=cache)
    assert error.value.reason == "NoShell"
    assert "--image" in error.value.remedy[0]
