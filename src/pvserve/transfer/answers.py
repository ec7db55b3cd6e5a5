"""What a pod answers: a frame of the kind that is due, or why there is none. What broke off is asked again.

Owns the error of an answer that does not fit, and the second try. A pod may lie: no answer of it ends in a
traceback.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pvserve.errors import PvserveError, Temporary
from pvserve.model import shown
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import FAIL, LISTED, PING, Broken, Frame, Unexpected, Wire
from pvserve.transfer.values import Target

T = TypeVar("T")

_NONSENSE = (
    AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip


@contextlib.contextmanager
def understood() -> Iterator[None]:
    """Raises Broken where an answer has another shape than its reader expects."""
    try:
        yield
    except _NONSENSE as error:
        raise Broken("the agent's answer makes no sense") from error


def answer(wire: Wire, kind: int, target: Target) -> Frame:
    """The frame of this kind that is due. Raises what the agent says instead, of `target`; Broken."""
    try:
        return wire.expect(kind)
    except Unexpected as error:
        if error.failure is None:
            raise
        raise causes.failure(error.failure, target) from error


def answers(wire: Wire, failed: Callable[[Any], PvserveError]) -> Iterator[Frame]:
    """What the agent says to a question, until it says that this was all. Raises `failed` of what it says instead."""
    while (frame := wire.receive()).kind != LISTED:
        if frame.kind == FAIL:
            raise failed(frame.json())
        if frame.kind != PING:
            yield frame


def twice(once: Callable[[], T], cut: Callable[[str], Temporary]) -> T:
    """The result of `once`, tried again where the connection broke. Raises `cut`, of the reason, the second time."""
    try:
        return once()
    except (Broken, OSError):
        pass
    try:
        return once()
    except (Broken, OSError) as error:
        raise cut(shown(str(error))[:300]) from error
