"""What is still to come of a listing, as jobs for whoever reads it: the sender here, or the copier in the pod.

Owns how files are grouped, and their order. Must not read files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pvserve.model import Found
from pvserve.transfer.agent.frames import CELL, SMALL, Broken
from pvserve.transfer.sender import Job, packs

SHARED = 250  # files that share their blocks, made durable at once; the agent takes no more than 256


def jobs(
    entries: Sequence[Found], known: Sequence[str], have: Mapping[int, list[Any]], *, in_pod: bool, shares: bool
) -> list[Job]:
    """Files that are missing, and those that are there but not yet digested on this side; large ones by size.

    `have` is what the far end has, by number: as `Session` heard it. `in_pod`: the source is there; with `shares` files
    whose digest is known are not read at all.

    Raises:
        Broken: the far end names what no file has.
    """
    large: list[int] = []
    small: list[int] = []
    shared: list[int] = []
    digest_only: list[int] = []
    for number, found in enumerate(entries):
        there = have[number][0] if number in have else ""
        if there in ("v", "c"):
            if not known[number]:
                (digest_only if found.size <= SMALL else large).append(number)
        elif shares and known[number] and not there:
            shared.append(number)
        else:
            (small if found.size <= SMALL else large).append(number)
    grouped = [Job(shared[start : start + SHARED]) for start in range(0, len(shared), SHARED)]
    packed = [Job(numbers) for numbers in packs(entries, small)]
    whole = [_whole(entries[number], number, have.get(number, [""])) for number in _by_size(entries, large)]
    # Within the pod small ones become durable while large ones are copied.
    first, then = (packed, whole) if in_pod else (whole, packed)
    return [*grouped, *first, *then, *(Job(numbers, send=False) for numbers in packs(entries, digest_only))]


def _by_size(entries: Sequence[Found], numbers: Iterable[int]) -> list[int]:
    return sorted(numbers, key=lambda number: -entries[number].size)


def _whole(found: Found, number: int, row: list[Any]) -> Job:
    skip = _cells(found, row[1]) if row[0] == "d" else None
    return Job([number], skip, send=row[0] not in ("v", "c"))


def _cells(found: Found, runs: Iterable[tuple[int, int]]) -> bytearray:
    """The cells that are durable."""
    cells = bytearray(-(-found.size // CELL))
    for first, count in runs:
        if not 0 <= first <= first + count <= len(cells):
            raise Broken("the agent names a piece that no file has")
        cells[first : first + count] = b"\1" * count
    return cells
