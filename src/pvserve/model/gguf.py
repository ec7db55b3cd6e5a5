"""Whether a GGUF file is whole, from its header alone.

Owns the header's layout (ggml's docs/gguf.md). Reads metadata and tensor descriptions, never tensors.
"""

from __future__ import annotations

import math
import struct
from typing import BinaryIO

MAGIC = b"GGUF"
_VERSIONS = (2, 3)  # llama.cpp reads no other; 1 had 32-bit lengths

# Bytes of the scalar metadata types; 8 is a string, 9 an array.
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9

# Elements and bytes of a block of each tensor type. A type that is not here is newer than this table: only where its
# tensors begin is checked.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip


def check(file: BinaryIO, size: int) -> None:
    """Read the header of a file of `size` bytes.

    Raises:
        ValueError: what is wrong, as a clause that follows the file's name.
    """
    try:
        end = _Reader(file, size).end_of_tensors()
    except (struct.error, OverflowError):
        raise ValueError("is cut off in its header") from None
    if end > size:
        raise ValueError(f"is cut off: {end - size} of {end} bytes are missing")


class _Reader:
    """One pass over the header."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._order = "<"

    def end_of_tensors(self) -> int:
        """The least size of the whole file."""
        if self._file.read(4) != MAGIC:
            raise ValueError("is no GGUF file: it does not begin with GGUF")
        version = self._number("I")
        if version & 0xFFFF == 0:  # written on a big-endian machine
            self._order, version = ">", int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in _VERSIONS:
            raise ValueError(f"is GGUF version {version}; llama.cpp reads {' and '.join(map(str, _VERSIONS))}")
        tensors, pairs = self._count(), self._count()
        alignment = 32
        for _ in range(pairs):
            key = self._string()
            kind = self._number("I")
            if key == b"general.alignment" and kind == 4:
                alignment = self._number("I") or 32
            else:
                self._skip_value(kind)
        ends = [self._tensor() for _ in range(tensors)]
        start = -(-self._file.tell() // alignment) * alignment
        return max((start + end for end in ends), default=0)

    def _tensor(self) -> int:
        """Where the tensor ends, counted from the first byte of all tensors."""
        self._string()
        dimensions = self._number("I")
        if dimensions > 16:
            raise ValueError("has a header that describes no tensors")
        shape = [self._number("Q") for _ in range(dimensions)]
        kind, offset = self._number("I"), self._number("Q")
        elements, size = _BLOCKS.get(kind, (1, 0))
        return offset + -(-math.prod(shape) // elements) * size

    def _skip_value(self, kind: int) -> None:
        if kind in _SCALARS:
            self._skip(_SCALARS[kind])
        elif kind == _STRING:
            self._skip(self._number("Q"))
        elif kind == _ARRAY:
            item, count = self._number("I"), self._count()
            if item in _SCALARS:
                self._skip(_SCALARS[item] * count)
            elif item == _STRING:
                for _ in range(count):
                    self._skip(self._number("Q"))
            else:
                raise ValueError("has metadata of an unknown type")
        else:
            raise ValueError("has metadata of an unknown type")

    def _string(self) -> bytes:
        length = self._count()
        text = self._file.read(length)
        if len(text) != length:
            raise struct.error
        return text

    def _count(self) -> int:
        """A number of things that each take at least one byte, so there cannot be more than the file is long."""
        count = self._number("Q")
        if count > self._size:
            raise struct.error
        return count

    def _number(self, code: str) -> int:
        layout = struct.Struct(self._order + code)
        return int(layout.unpack(self._file.read(layout.size))[0])

    def _skip(self, count: int) -> None:
        if count > self._size:
            raise struct.error
        self._file.seek(count, 1)
