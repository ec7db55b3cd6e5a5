"""What every transfer test starts from: a source, a claim, a digest cache of its own, and pods of each kind."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pvserve.model import DigestCache

from .pod import LocalPod, tree

MIB = 1 << 20
APPLETS = [
    "sh",
    "head",
    "dd",
    "tar",
    "find",
    "xargs",
    "stat",
    "df",
    "sha256sum",
    "sync",
    "mkdir",
    "rm",
    "mv",
    "rmdir",
    "cat",
    "echo",
    "id",
    "ls",
    "expr",
    "tail",
    "sleep",
    "kill",
    "chmod",
    "grep",
]


def safetensors(body: bytes) -> bytes:
    """A whole file of weights, with one tensor."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}}).encode()
    return len(header).to_bytes(8, "little") + header + body


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tree(
        tmp_path / "source",
        {
            "model.safetensors": safetensors(os.urandom(MIB) * 9 + b"tail"),
            "config.json": b"{}",
            "empty": b"",
            "sub/dir/tokenizer.json": os.urandom(5000),
            "odd \n name": b"odd",
            "exactly": os.urandom(2 * MIB),
        },
    )


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    path = tmp_path / "claim"
    path.mkdir(mode=0o775)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> DigestCache:
    return DigestCache(tmp_path / "digests")


@pytest.fixture(params=["dash", "busybox"])
def shell_pod(request: pytest.FixtureRequest, tmp_path: Path) -> LocalPod:
    """A pod that has one shell and the programs named in remote.sh, and no Python.

    `dash` with coreutils (apt: dash coreutils), or busybox alone (apt: busybox-static).
    """
    binary = shutil.which(request.param)
    if binary is None:
        needs = {"dash": "dash", "busybox": "busybox-static"}[request.param]
        assert "shell" not in os.environ.get("PVSERVE_REQUIRE", ""), f"apt-get install {needs}"
        pytest.skip(f"needs {request.param}: apt-get install {needs}")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in APPLETS:
        here = binary if request.param == "busybox" or name == "sh" else shutil.which(name)
        if here:  # echo, kill: part of the shell
            (programs / name).symlink_to(here)
    return LocalPod(lacks=("python3",), env={"PATH": str(programs)})
