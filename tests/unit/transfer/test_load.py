"""A load over every channel: what was at the source is at the target, digested, with its manifest, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from pvserve.errors import Refused
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, inspect, load

from .conftest import MIB
from .pod import LocalPod, contents


def pod(channel: str) -> LocalPod:
    return {
        "exec": LocalPod(),
        "pod": LocalPod(address="127.0.0.1"),
        "proxy": LocalPod(can_proxy=True),
        "port-forward": LocalPod(can_forward=True),
    }[channel]


@pytest.mark.parametrize("channel", ["exec", "pod", "proxy", "port-forward"])
def test_everything_arrives_and_is_proven(channel: str, source: Path, claim: Path, cache: DigestCache) -> None:
    (source / "config.json").chmod(0o755)
    target = Target("team/granite", "vllm", str(claim))
    done = load(listing(source), pod(channel), target, cache=cache)
    assert done.channel == channel
    assert contents(claim / "team/granite") == contents(source)
    assert done.sent_bytes == done.manifest.bytes
    assert os.access(claim / "team/granite/config.json", os.X_OK)
    assert sorted(os.listdir(claim)) == [".pvserve", "team"]
    assert os.listdir(claim / ".pvserve/partial") == []
    home = claim / ".pvserve/models/team%2Fgranite"
    hexes = (home / "current").read_text().strip()
    assert done.manifest_digest == f"sha256:{hexes}"
    statement = json.loads((home / hexes / "manifest.json").read_text())
    assert {r["name"] for r in statement["predicate"]["resources"]} == set(contents(source))
    checked = subprocess.run(["sha256sum", "-c", home / hexes / "SHA256SUMS"], cwd=claim / "team/granite", check=False)
    assert checked.returncode == 0
    report = inspect(pod(channel), "team/granite", "full", mount=str(claim))
    assert (report.matches, report.missing, report.extra, report.changed) == (6, (), (), ())


def test_a_second_load_sends_nothing(source: Path, claim: Path, cache: DigestCache) -> None:
    target = Target("granite", "vllm", str(claim))
    load(listing(source), LocalPod(), target, cache=cache)
    again = load(listing(source), LocalPod(), target, cache=cache)
    assert (again.sent_bytes, again.reused_bytes) == (0, again.manifest.bytes)


def test_inspect_names_what_differs(source: Path, claim: Path, cache: DigestCache) -> None:
    load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    with (claim / "granite/model.safetensors").open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"\0flipped")
    (claim / "granite/config.json").unlink()
    (claim / "granite/\x1b[31mred").write_bytes(b"")
    report = inspect(LocalPod(), "granite", "full", mount=str(claim))
    assert report.changed == ("model.safetensors",)
    assert report.missing == ("config.json",)
    assert report.extra == ('"\\x1b[31mred"',)
    assert inspect(LocalPod(), "granite", "quick", mount=str(claim)).changed == ()
    assert hashlib.sha256((claim / "granite/exactly").read_bytes()).digest()


@pytest.mark.parametrize("path", ["team", "team/granite/adapter"])
def test_no_model_comes_to_lie_inside_another(path: str, source: Path, claim: Path, cache: DigestCache) -> None:
    """Not even by --replace: the inner one would go with the outer one, which would hold files unknown to it."""
    load(listing(source), LocalPod(), Target("team/granite", "vllm", str(claim)), cache=cache)
    with pytest.raises(Refused) as refused:
        load(listing(source), LocalPod(), Target(path, "vllm", str(claim)), cache=cache, replace=True)
    assert refused.value.reason == "PathHoldsModels"
    assert refused.value.remedy[1] == "or remove the other model first: pvserve rm pvc://vllm/team/granite"
    assert inspect(LocalPod(), "team/granite", "full", mount=str(claim)).matches == 6
    assert contents(claim / "team/granite") == contents(source)
    assert os.listdir(claim / ".pvserve/partial") == []


def test_equal_files_are_not_adopted_around_another_model(source: Path, claim: Path, cache: DigestCache) -> None:
    load(listing(source), LocalPod(), Target("team/granite", "vllm", str(claim)), cache=cache)
    with pytest.raises(Refused) as refused:
        load(listing(claim / "team"), LocalPod(), Target("team", "vllm", str(claim)), cache=cache)
    assert refused.value.reason == "PathHoldsModels"


@pytest.mark.parametrize("planted", ["link", "fifo", "elsewhere", "gone"])
def test_a_record_that_leads_nowhere_keeps_nobody_from_loading(
    planted: str, source: Path, claim: Path, cache: DigestCache
) -> None:
    record = claim / ".pvserve/models/some/path"
    record.parent.mkdir(parents=True)
    if planted == "link":
        record.symlink_to("/etc/hostname")
    elif planted == "fifo":
        os.mkfifo(record)
    else:
        record.write_text({"elsewhere": "granite/../..", "gone": "granite/gone"}[planted])
    done = load(listing(source), LocalPod(), Target("granite", "vllm", str(claim)), cache=cache)
    assert done.sent_bytes
