"""Model directories to load: sizes as asked for, contents that no disk, network or digest can make shortcuts of.

Owns making and removing them. Says nothing about time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

BLOCK = 1 << 20
UNITS = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_PART = re.compile(r"(\d+)x(\d+)(|Ki|Mi|Gi)")


def parse(text: str) -> list[tuple[int, int]]:
    """`4x512Mi+200x8Ki` as [(4, 536870912), (200, 8192)]. Raises ValueError."""
    parts = []
    for part in text.split("+"):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not COUNTxSIZE, such as 4x512Mi")
        parts.append((int(match[1]), int(match[2]) * UNITS[match[3]]))
    return parts


@contextlib.contextmanager
def model(directory: Path, files: str) -> Iterator[Path]:
    """A directory with these files, removed afterwards."""
    root = directory / f"pvserve-benchmark-{os.getpid()}-{files}"
    try:
        for number, (count, size) in enumerate(parse(files)):
            for index in range(count):
                # A thousand files in one directory, as large data sets have them.
                path = root / f"part{number}" / f"{index // 1000:03}" / f"{index:06}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, size)
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _write(path: Path, size: int) -> None:
    """Random bytes, of which each MiB differs from all others."""
    block = bytearray(os.urandom(min(size, BLOCK)))
    with path.open("wb", buffering=0) as file:
        for offset in range(0, size, BLOCK):
            block[:8] = offset.to_bytes(8, "big")[: len(block)]
            file.write(block[: size - offset])
