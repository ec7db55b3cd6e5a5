"""Findings as text.

Owns the layout: cause, what was seen, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

from pvserve.diagnose import Finding
from pvserve.show.words import clean, styled

STYLE = {"fail": "red", "warn": "yellow", "info": "dim"}


def findings_text(service: str, found: Sequence[Finding], *, colour: bool = False) -> str:
    """One block per finding, most causal first; says so when there is none."""
    if not found:
        return f"{service}: nothing wrong was found\n"
    lines: list[str] = []
    for item in found:
        lines.append(f"{styled(item.severity, STYLE[item.severity], colour)} ({item.code}): {clean(item.title)}")
        for seen in item.evidence:
            at = f" at {seen.time}" if seen.time else ""
            lines.extend(f"  seen: {clean(f'{seen.object}: {line}{at}')}" for line in seen.observed.splitlines())
        lines.extend(f"  -> {clean(line)}" for text in item.remedy for line in text.splitlines())
    return "\n".join(lines) + "\n"
