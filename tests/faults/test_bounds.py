"""What a load takes of a machine: memory whatever the model's size, page cache, and how often it reads the source."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .trial import MIB, Trial

MEMORY = 256 * MIB  # promised, of either side
CACHE = 16 * MIB


@pytest.mark.parametrize("via", ["exec", "pod"])
def test_memory_is_bounded_and_each_byte_is_read_once(via: str, trial: Trial) -> None:
    """The agent of a connection is another process than the one whose end is waited for: its memory is seen by exec."""
    size = MEMORY + 64 * MIB
    source = trial.source(large=(8 * MIB,), small=4)
    with (source / "large.bin").open("wb") as file:
        file.truncate(size)
    ran = trial.run(source, via=via)
    assert ran.code == 0, ran.said
    assert ran.said["client_memory"] < MEMORY, ran.said
    assert via != "exec" or 0 < ran.said["agent_memory"] < MEMORY, ran.said
    assert ran.said["bytes"] <= ran.said["read"] < ran.said["bytes"] * 1.25, ran.said


@pytest.mark.parametrize("sizes", [(40 * MIB,), (900_000,) * 40], ids=["one large file", "many small ones"])
def test_what_was_written_leaves_the_page_cache(sizes: tuple[int, ...], on_volume: Trial) -> None:
    """Else a pod is killed for the memory that its writes fill, where the storage is slow (ComfyUI-Docker#66)."""
    source = on_volume.source(large=sizes, small=2)
    assert on_volume.run(source).code == 0
    kept = resident([path for path in (on_volume.claim / on_volume.path).rglob("*") if path.is_file()])
    assert kept < CACHE, f"{kept} bytes of {sum(sizes)} are still in memory"


def resident(files: list[Path]) -> int:
    """Bytes of the files that lie in the page cache (util-linux)."""
    told = subprocess.run(["fincore", "-nb", "-o", "RES", *files], check=True, capture_output=True, text=True).stdout
    assert len(told.splitlines()) == len(files)
    return sum(map(int, told.split()))
