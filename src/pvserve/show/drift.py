"""Drift as text: what differs, from what the cluster has to what the file says, and what is unknown.

Owns the layout. Must not compute anything that the drift does not say.
"""

from __future__ import annotations

from collections.abc import Iterator

from pvserve.plan.drift import Difference, Drift
from pvserve.show.plan import change_line
from pvserve.show.words import clean, styled

WORDS = {"missing": ("missing", "red"), "changed": ("differs", "yellow"), "content": ("other content", "yellow")}


def drift_text(drift: Drift, *, colour: bool = False) -> str:
    """One line for each object that differs with its fields below, then what is unknown, then what is the same."""
    return "\n".join(_lines(drift, colour)) + "\n"


def _lines(drift: Drift, colour: bool) -> Iterator[str]:
    for difference in drift.differences:
        yield from _difference(difference, colour)
    for item in drift.unknown:
        yield f"{styled('unknown', 'yellow', colour)}: {clean(item)}"
    if not drift.differences and not drift.unknown and not drift.refusals:
        yield "No difference: the cluster is as the model file says."
    for same in drift.same:
        yield f"   same: {clean(same)}"
    for refusal in drift.refusals:
        yield f"{styled('refused', 'red', colour)} ({clean(refusal.reason)}): {clean(refusal.message)}"


def _difference(difference: Difference, colour: bool) -> Iterator[str]:
    word, style = WORDS[difference.kind]
    why = f" ({clean(difference.why)})" if difference.why else ""
    yield f"{styled(word, style, colour)}: {clean(difference.subject)}{why}"
    yield from (f"   {change_line(change, colour)}" for change in difference.changes)
