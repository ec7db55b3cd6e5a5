"""Sizes, rates, durations and colours in words.

Owns how values look to people. Computes nothing else.
"""

from __future__ import annotations

import os
from typing import IO

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
STYLES = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


def size(count: int) -> str:
    """Bytes as people read them: 1.5 GiB."""
    value = float(count)
    for unit in UNITS:
        if value < 1024 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Seconds as 45 s, 3 min 20 s, 2 h 05 min."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def colours(stream: IO[str]) -> bool:
    """Whether to colour `stream`: NO_COLOR wins (https://no-color.org), then FORCE_COLOR, else only a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return redraws(stream)


def redraws(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal that understands colours and redrawing a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, style: str, on: bool) -> str:
    """`text` in a colour or weight, where `on`."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if on else text


def clean(text: str) -> str:
    """Text from a cluster without control characters: nothing outside may steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
