"""Small files in archives, for a pod that has a tar and no Python.

Owns how many go into one, and its form. Must not know what becomes of it.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence

from pvserve.model.walk import Found
from pvserve.transfer.agent.volume import FILE_MODE, PROGRAM_MODE

PACK_BYTES, PACK_FILES = 8 << 20, 400


def packs(entries: Sequence[Found], numbers: Sequence[int]) -> list[list[int]]:
    """The files of these numbers, in their order, in groups that make one archive each."""
    found: list[list[int]] = []
    size = 0
    for number in numbers:
        if not found or len(found[-1]) == PACK_FILES or size + entries[number].size > PACK_BYTES:
            found.append([])
            size = 0
        found[-1].append(number)
        size += entries[number].size
    return found


def archive(entries: Sequence[Found], contents: Mapping[int, bytes]) -> bytes:
    """A tar of these contents by file number, with the modes that files of a model get."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number, data in contents.items():
            member = tarfile.TarInfo("./" + entries[number].path)
            member.size, member.mode = len(data), PROGRAM_MODE if entries[number].executable else FILE_MODE
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()
