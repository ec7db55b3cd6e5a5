"""The program as a pipeline runs it: its results in files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pvserve.transfer.program import STARTER, fetch_files

from .conftest import Kind


def test_results_are_left_in_files_that_a_pipeline_names(make: Callable[[str], Kind], tmp_path: Path) -> None:
    kind = make("https")
    kind.stock({"model.bin": b"x" * 1000})
    for name, text in fetch_files().items():
        (tmp_path / name).write_text(text)
    files = [
        word for name in ("uri", "digest", "bytes") for word in (f"--{name}-file", str(tmp_path / "results" / name))
    ]
    command = [sys.executable, "-X", "utf8", "-I", "-S", str(tmp_path / STARTER), "load"]
    done = subprocess.run(
        [*command, json.dumps(kind.order().value), *files], capture_output=True, text=True, timeout=60
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, told["done"]) == (0, True), done.stderr
    assert {path.name: path.read_text() for path in (tmp_path / "results").iterdir()} == {
        "uri": "pvc://cache/models/granite",
        "digest": told["manifest"],
        "bytes": "1000",
    }
