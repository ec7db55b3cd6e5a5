"""Whether a safetensors file is whole, from its header alone.

Owns the header's rules (the safetensors README, "Format", and its reference reader). Reads the header, never tensors.
"""

from __future__ import annotations

import json
from typing import Any, BinaryIO

MAX_HEADER = 100_000_000  # bytes, the reference reader's own limit

# Bits of one element. A type that is not here is newer than this table: its ranges are checked, its size is not.
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


def tensors(file: BinaryIO, size: int) -> frozenset[str]:
    """The names of the tensors in a file of `size` bytes that is exactly as its header says.

    Raises:
        ValueError: what is wrong, as a clause that follows the file's name.
    """
    header, length = _header(file, size)
    header.pop("__metadata__", None)
    data = size - 8 - length
    ranges = sorted(_range(name, tensor) for name, tensor in header.items())
    expected = 0
    for begin, end, name in ranges:
        if begin != expected:
            raise ValueError(f"has a {'hole' if begin > expected else 'overlap'} before tensor {name!r:.120}")
        expected = end
    if expected > data:
        raise ValueError(f"is cut off: {expected - data} of {expected} bytes of its tensors are missing")
    if expected < data:
        raise ValueError(f"has {data - expected} bytes that belong to no tensor")
    return frozenset(header)


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The parsed header and its length."""
    if size < 8:
        raise ValueError(f"is cut off: it has {size} bytes, too few for a header")
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise ValueError("is no safetensors file: its header would be larger than the format allows")
    if length > size - 8:
        raise ValueError(f"is cut off in its header: {size} bytes of at least {length + 8}")
    raw = file.read(length)
    if len(raw) != length or not raw.startswith(b"{"):
        raise ValueError("is no safetensors file: its header is no JSON object")
    try:
        header = json.loads(raw, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError("has a header that is no valid JSON") from None
    return header, length


def _range(name: str, tensor: Any) -> tuple[int, int, str]:
    """Where a tensor's bytes lie, after its size is found to fit its shape and type."""
    shown = f"tensor {name!r:.120}"
    try:
        kind, shape, (begin, end) = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"has a header that does not describe {shown}") from None
    numbers = [begin, end, *shape] if isinstance(shape, list) else [None]
    if not isinstance(kind, str) or any(type(number) is not int or not 0 <= number < 1 << 63 for number in numbers):
        raise ValueError(f"has a header that does not describe {shown}")
    bits = _BITS.get(kind)
    if begin > end or (bits is not None and bits * _elements(shape) != 8 * (end - begin)):
        raise ValueError(f"has a header in which the size of {shown} does not fit its shape")
    return begin, end, name


def _elements(shape: list[int]) -> int:
    """The product of the dimensions, not computed further than any file could hold."""
    if 0 in shape:
        return 0
    count = 1
    for dimension in shape:
        count *= dimension
        if count >= 1 << 63:
            break
    return count


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(_text: str) -> None:
    raise ValueError
