"""Names and shapes of model directories, by the agent and by a shell."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from pathlib import Path

from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, inspect, load

from .conftest import MIB
from .pod import LocalPod, contents, tree

ODD = [
    "with space", " leading", "trailing ", "new\nline", "\n", "carriage\rreturn", "tab\t", "back\\slash", "-rf", "--",
    "quote'\"", "$(id)", "`id`", "*", "~", "%2e%2e", "...", "a:b", "\x1b[31mred", "x" * 255, "é" * 127,
    unicodedata.normalize("NFC", "modèle"), unicodedata.normalize("NFD", "modèle"), "模型-🤗", "'", "-", "#", "&;|",
]  # fmt: skip


def check(pod: LocalPod, source: Path, claim: Path, cache: DigestCache) -> None:
    found = listing(source)
    done = load(found, pod, Target("team/granite", "vllm", str(claim)), cache=cache)
    assert contents(claim / "team/granite") == contents(source)
    report = inspect(pod, "team/granite", "full", mount=str(claim))
    assert (report.matches, report.missing, report.extra, report.changed) == (len(found.entries), (), (), ())
    home = claim / ".pvserve/models/team%2Fgranite"
    sums = home / (home / "current").read_text().strip() / "SHA256SUMS"
    assert subprocess.run(["sha256sum", "-c", "--quiet", sums], cwd=claim / "team/granite").returncode == 0
    assert done.manifest == report.manifest


def odd_names(tmp_path: Path) -> Path:
    small = {f"{number}/{name}": name.encode() for number, name in enumerate(ODD)}
    large = {f"large {number}/{name}": b"%d" % number * (MIB + 10) for number, name in enumerate(ODD[:12])}
    return tree(tmp_path / "odd", {**small, **large})


def test_odd_names(tmp_path: Path, claim: Path, cache: DigestCache) -> None:
    check(LocalPod(), odd_names(tmp_path), claim, cache)


def test_odd_names_by_a_shell(tmp_path: Path, claim: Path, cache: DigestCache, shell_pod: LocalPod) -> None:
    check(shell_pod, odd_names(tmp_path), claim, cache)


def deep_and_strange(tmp_path: Path) -> Path:
    root = tree(
        tmp_path / "shapes",
        {
            "/".join(f"d{level}" for level in range(40)) + "/file": b"deep",
            "empty": b"",
            "one byte less": os.urandom(MIB - 1),
            "exactly": os.urandom(MIB),
            "one more": os.urandom(MIB + 1),
            "quarter": os.urandom(MIB // 4),
            "quarter and one": os.urandom(MIB // 4 + 1),
        },
    )
    os.link(root / "exactly", root / "hard link")
    with (root / "sparse").open("wb") as file:
        file.truncate(24 * MIB)
        file.seek(5 * MIB)
        file.write(b"island")
    (root / "inner").symlink_to("empty")
    return root


def test_shapes(tmp_path: Path, claim: Path, cache: DigestCache) -> None:
    check(LocalPod(), deep_and_strange(tmp_path), claim, cache)
    assert (claim / "team/granite/hard link").stat().st_nlink == 1


def test_shapes_by_a_shell(tmp_path: Path, claim: Path, cache: DigestCache, shell_pod: LocalPod) -> None:
    check(shell_pod, deep_and_strange(tmp_path), claim, cache)


def test_many_small_files(tmp_path: Path, claim: Path, cache: DigestCache) -> None:
    check(LocalPod(), tree(tmp_path / "many", {f"d{n % 7}/f{n}": b"%d" % n for n in range(1000)}), claim, cache)


def test_many_small_files_by_a_shell(tmp_path: Path, claim: Path, cache: DigestCache, shell_pod: LocalPod) -> None:
    check(shell_pod, tree(tmp_path / "many", {f"d{n % 7}/f{n}": b"%d" % n for n in range(450)}), claim, cache)
