"""What a pod answers is taken apart here and there; what does not fit is one error.

Owns that error. A pod may lie: no answer of it may end in a traceback.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

from pvserve.transfer.agent.frames import Broken

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
