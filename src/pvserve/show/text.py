"""Any value that the API gives, as text.

Owns the choice of form by type. Values of rooms that `show` must not import are known by what they hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pvserve.diagnose import Finding
from pvserve.errors import PvserveError
from pvserve.inventory import ClaimRow
from pvserve.plan.drift import Drift
from pvserve.plan.steps import Plan
from pvserve.show.drift import drift_text
from pvserve.show.errors import error_text
from pvserve.show.findings import findings_text
from pvserve.show.inventory import inventory_text
from pvserve.show.plan import plan_text
from pvserve.show.proof import proof_text
from pvserve.verify.proof import Proof


def text_of(value: Any, *, colour: bool = False) -> str:
    """`value` as the commands print it: plan, outcome, proof, findings, claims, error.

    Raises TypeError for what is none of these.
    """
    match value:
        case Plan():
            return plan_text(value, colour=colour)
        case Proof():
            return proof_text(value, colour=colour)
        case PvserveError():
            return error_text(value, colour=colour)
        case ClaimRow():
            return inventory_text((value,))
        case Drift():
            return drift_text(value, colour=colour)
        case Finding():
            return findings_text("", (value,), colour=colour)
        case list() | tuple():
            return _several(value, colour)
    if getattr(value, "proof", None) is not None:
        return proof_text(value.proof, colour=colour)
    if isinstance(getattr(value, "plan", None), Plan):  # planned, or an outcome with nothing to prove
        return plan_text(value.plan, colour=colour)
    raise TypeError(f"{type(value).__name__} is nothing that pvserve shows")


def _several(values: Sequence[Any], colour: bool) -> str:
    if values and all(isinstance(value, ClaimRow) for value in values):
        return inventory_text(values)
    return "\n".join(text_of(value, colour=colour) for value in values)
