"""Runs the programs that images are made with (apt, uv, tar ...). Knows no image."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bed.images.errors import ImageError

LAST_LINES = 12  # of a failed program's output; apt and uv say the cause at the end


def run(argv: Sequence[str | Path], *, doing: str, env: Mapping[str, str] | None = None, remedy: str = "") -> str:
    """Run `argv` at low priority and return what it printed.

    Low priority because images are built while the Go programs compile on the same few cores.
    Raises ImageError that begins with `doing`, holds the program's last lines and ends with `remedy`.
    """
    command = ["nice", *map(str, argv)]
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            command, env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise ImageError(f"{doing}: cannot run {command[1]}: {error.strerror}") from None
    if done.returncode:
        said = "\n  ".join(done.stdout.strip().splitlines()[-LAST_LINES:]) or "(it printed nothing)"
        next_step = f"\n{remedy}" if remedy else ""
        raise ImageError(f"{doing}: {argv[0]} ended with {done.returncode}:\n  {said}{next_step}")
    return done.stdout
