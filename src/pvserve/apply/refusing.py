"""Refusals of a plan as errors.

Owns that step. Must not decide what is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from pvserve.errors import NotAllowed, Refused, UsageError
from pvserve.plan.steps import Refusal


def refuse_all(refusals: Sequence[Refusal]) -> None:
    """Raises the first, with the others in its detail; nothing where there is none."""
    if not refusals:
        return
    first, *others = refusals
    kind = {2: UsageError, 3: Refused, 4: NotAllowed}[first.exit_code]
    also = "\n".join(f"also: {item.message}" for item in others)
    raise kind(first.reason, first.message, remedy=first.remedy, detail=also)
