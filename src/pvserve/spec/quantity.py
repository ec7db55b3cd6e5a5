"""Kubernetes quantities of bytes: `13Gi`, `1.5e9`, `500M`.

Owns reading and writing them (k8s.io/apimachinery, resource.Quantity). Knows nothing else.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
}
_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([eE][+-]?\d{1,3}|[A-Za-z]*)", re.ASCII)
MAX = (1 << 63) - 1  # what Kubernetes can hold


def parse_quantity(text: str) -> int:
    """Bytes, rounded up as Kubernetes rounds.

    Raises:
        ValueError: no quantity, or one below zero or above 2^63 - 1; a clause that says what would do.
    """
    match = _QUANTITY.fullmatch(text)
    number, suffix = match.groups() if match else ("", "")
    if suffix[-1:].isdigit():  # an exponent; `E` alone is exa
        value = Decimal(number + suffix)
    elif match and suffix in _BINARY:
        value = Decimal(number) * _BINARY[suffix]
    elif match and suffix in _DECIMAL:
        value = Decimal(number) * _DECIMAL[suffix]
    else:
        raise ValueError(f"is no Kubernetes quantity{_meant(text)}")
    if not 0 <= value <= MAX:
        raise ValueError("is below zero or more than 2^63 - 1 bytes")
    return int(value.to_integral_value(rounding=ROUND_CEILING))


def claim_size(text: str) -> str:
    """`text` itself, when it is the size of a claim: a quantity above zero.

    Raises:
        ValueError: as `parse_quantity`, or zero.
    """
    if parse_quantity(text) == 0:
        raise ValueError("must be more than 0")
    return text


def format_quantity(size: int) -> str:
    """Exactly `size` bytes with the largest binary suffix that divides it, so that parsing gives `size` again."""
    for suffix, factor in reversed(_BINARY.items()):
        if size and size % factor == 0:
            return f"{size // factor}{suffix}"
    return str(size)


def round_up(size: int) -> str:
    """The next whole Mi below 10 Gi, the next whole Gi above: a size that people write."""
    suffix = "Gi" if size > 10 * _BINARY["Gi"] else "Mi"
    return format_quantity(max(1, -(-size // _BINARY[suffix])) * _BINARY[suffix])


def _meant(text: str) -> str:
    """A guess at what was meant: `10GB`, `10 Gi`, `10g`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgtpe])?i?b?\s*", text, re.IGNORECASE | re.ASCII)
    if not match:
        return ", as 10Gi or 500M"
    prefix = (match[2] or "").upper()
    return f", {match[1]}{prefix}i would do" if prefix else f", {match[1]} would do"
