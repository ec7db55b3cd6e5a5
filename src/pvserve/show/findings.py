"""Findings as text.

Owns the layout: cause, what was seen, what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pvserve.diagnose import Finding
from pvserve.show.words import clean, styled

STYLE = {"fail": "red", "warn": "yellow", "info": "dim"}


def findings_text(service: str, found: Sequence[Finding], *, colour: bool = False) -> str:
    """The service's name, then one block per finding, most causal first."""
    blocks = [line for item in found for line in _block(item, colour)]
    return "\n".join([styled(clean(service), "bold", colour), *blocks]) + "\n"


def _block(item: Finding, colour: bool) -> Iterator[str]:
    yield f"{styled(item.severity, STYLE[item.severity], colour)} ({item.code}): {clean(item.title)}"
    for seen in item.evidence:
        at = f" at {seen.time}" if seen.time else ""
        yield from (f"  seen: {clean(f'{seen.object}: {line}{at}')}" for line in seen.observed.splitlines())
    yield from (f"  -> {clean(line)}" for text in item.remedy for line in text.splitlines())
