"""A model taken away from its path, through the agent in a pod that mounts the claim.

Owns the two questions, whether it may go and that it goes, and what their answers mean. Must not decide who uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pvserve.errors import Refused, Temporary
from pvserve.transfer.agent.frames import REMOVE, REMOVED, Wire
from pvserve.transfer.answers import answer, twice, understood
from pvserve.transfer.ask import place_of
from pvserve.transfer.channel import Channel
from pvserve.transfer.channels import NoAgent, exec_channel
from pvserve.transfer.values import Reach, Target, place_word

NO_CONTENT = "0" * 16  # in the place of a transfer's content: there is none


@dataclass(frozen=True)
class Removed:
    """What went: `found` says whether anything lay at the path, `bytes` what the volume has back."""

    found: bool
    bytes: int
    files: int

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.found or other.found, self.bytes + other.bytes, self.files + other.files)


def remove(
    reach: Reach,
    target: Target,
    *,
    epoch: int,
    named: bool,
    everything: bool,
    before: Callable[[], None],
) -> Removed:
    """Removes the model at `target`, its records and the partial transfers to it; with `everything` what was replaced.

    `named`: its name was typed, so it may be something that pvserve did not put there. `before` is called once it is
    known that the agent would do it, and before anything is changed.

    Raises:
        Refused: NotOurs, PathHoldsModels, RemoveNeedsPython. Temporary: RemoveCut, Overtaken.
    """
    ask = {**place_of(target), "named": named, "everything": everything, "epoch": epoch}
    ask["transfer"] = f"{place_word(target)}-{NO_CONTENT}"

    def once() -> Removed:
        channel = _channel(reach, target)
        try:
            channel.keep_alive()
            _asked(channel.control, {**ask, "check": True}, target)
            before()
            return _asked(channel.control, {**ask, "check": False}, target)
        finally:
            channel.close()

    def cut(why: str) -> Temporary:
        message = f"removing {target} through a pod broke off: {why}"
        remedy = "run the same command again; it finishes what this one began"
        return Temporary("RemoveCut", message, subject=str(target), remedy=(remedy,))

    return twice(once, cut)


def _channel(reach: Reach, target: Target) -> Channel:
    try:
        return exec_channel(reach, place_word(target))
    except NoAgent as error:
        raise Refused(
            "RemoveNeedsPython",
            f"{target} is removed by a program that needs Python 3.8 or newer in the pod: {error}",
            subject=str(target),
            remedy=("add --image with an image that has Python 3.8 or newer",),
        ) from error


def _asked(wire: Wire, ask: dict[str, Any], target: Target) -> Removed:
    wire.send_json(REMOVE, ask)
    frame = answer(wire, REMOVED, target)
    with understood():
        told = frame.json()
        return Removed(bool(told["found"]), int(told.get("bytes", 0)), int(told.get("files", 0)))
