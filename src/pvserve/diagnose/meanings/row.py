"""What one trap means: a row of the table.

Owns the row's fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvserve.diagnose.values import Severity


@dataclass(frozen=True)
class Meaning:
    """One row. `title` and `remedy` hold {placeholders} that the rule fills; `source` says who says so."""

    code: str
    trap: str
    title: str
    remedy: tuple[str, ...]
    source: str
    severity: Severity = "fail"
