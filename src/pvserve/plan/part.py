"""A piece of a plan, as one concern decides it.

Owns the value and how pieces are joined. Decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvserve.facts import Object, Unknown
from pvserve.facts.objects import ObjectKey
from pvserve.plan.copies import content_digest
from pvserve.plan.steps import SOME, Assumed, NotDone, Refusal, Step


@dataclass(frozen=True)
class Part:
    """Steps in their order, and all that a plan says beside them."""

    steps: tuple[Step, ...] = ()
    unchanged: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    not_done: tuple[NotDone, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[Assumed, ...] = ()

    def __add__(self, other: Part) -> Part:
        return Part(
            self.steps + other.steps,
            self.unchanged + other.unchanged,
            self.refusals + other.refusals,
            self.not_done + other.not_done,
            self.notes + other.notes,
            self.assumed + other.assumed,
        )


def refused(reason: str, message: str, *remedy: str, code: int = 3) -> Part:
    """A part that stops the whole plan."""
    return Part(refusals=(Refusal(reason, message, remedy, 4 if code == 4 else 2 if code == 2 else 3),))


def unreadable(what: str, unknown: Unknown) -> Part:
    """What a plan cannot do without could not be read."""
    code = 4 if unknown.cause == "forbidden" else 3
    return refused("Unreadable", f"{what} could not be read: {unknown.why}", code=code)


def assume(found: Object | Unknown | None, key: ObjectKey, *, whole: bool) -> Part:
    """That the object stays what it is until the plan is applied; with `whole` its content too."""
    if isinstance(found, Unknown):
        return Part()
    if found is None:
        return Part(assumed=(Assumed(key),))
    if "uid" not in found["metadata"]:  # not from the cluster: `plan.ahead`
        return Part(assumed=(Assumed(key, SOME),))
    return Part(assumed=(Assumed(key, str(found["metadata"].get("uid", "")), content_digest(found) if whole else ""),))
