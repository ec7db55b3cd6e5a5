"""What a pod answers is taken apart here and there; what does not fit is one error, and what broke off is asked again.

Owns that error and the second try. A pod may lie: no answer of it may end in a traceback.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

from pvserve.errors import Temporary
from pvserve.model import shown
from pvserve.transfer.agent.frames import Broken

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
