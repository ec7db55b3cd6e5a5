"""Refusals of a plan as errors.

Owns that step. Must not decide what is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from pvserve.errors import NotAllowed, PvserveError, Refused, UsageError
from pvserve.plan.steps import Refusal


def refuse_all(refusals: Sequence[Refusal]) -> None:
    """Raises the first, with the others in its detail; nothing where there is none."""
    error = refusal_of(refusals)
    if error is not None:
        raise error


def refusal_of(refusals: Sequence[Refusal]) -> PvserveError | None:
    """The first of them as the error that it is, with the others in its detail; None where there is none."""
    if not refusals:
        return None
    first, *others = refusals
    kind = {2: UsageError, 3: Refused, 4: NotAllowed}[first.exit_code]
    also = "\n".join(f"also: {item.message}" for item in others)
    return kind(first.reason, first.message, remedy=first.remedy, detail=also)
