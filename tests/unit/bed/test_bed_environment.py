"""What `bed env` prints is for a shell, and for a running bed only."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bed import environment
from bed.errors import BedError
from bed.settings import Settings


def test_a_shell_reads_back_what_was_exported() -> None:
    value = 'it\'s "a" $HOME; echo b'
    lines = environment.as_exports({"PVSERVE_TEST_S3_SECRET_KEY": value})
    program = 'eval "$1"; printf %s "$PVSERVE_TEST_S3_SECRET_KEY"'
    done = subprocess.run(["sh", "-c", program, "sh", lines], capture_output=True, text=True, check=True)
    assert done.stdout == value


def test_a_bed_that_is_down_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(BedError) as caught:
        environment.variables(Settings(tmp_path, tmp_path, tmp_path))
    assert caught.value.remedy == "bed up"
