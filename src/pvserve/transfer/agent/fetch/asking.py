"""One request, sent again until the server has an answer to it.

Owns the tries of a list's requests. Must not know what is asked for, nor what the answer means.
"""

from __future__ import annotations

from typing import Callable, TypeVar

from .patience import CUT, Busy, Patience, check_busy
from .web import Answer, Line, Request

PAGE_LIMIT = 64 << 20  # bytes of one page of a list

T = TypeVar("T")


def answered(
    line: Line, url: str, request: Callable[[], Request], patience: Patience, heard: Callable[[Answer], T]
) -> T:
    """What `heard` makes of the answer; `request` is made anew for each try, since signatures age.

    Raises what `patience` makes of a server that disappoints for too long.
    """
    while True:
        try:
            answer = line.ask(request())
            check_busy(answer)
            return heard(answer)
        except (*CUT, Busy) as error:  # noqa: PERF203 - each try may be the last
            patience.wait(url, error)


def page(line: Line, url: str, request: Callable[[], Request], patience: Patience) -> tuple[Answer, bytes]:
    """As `answered`: the answer, and all that it says."""
    return answered(line, url, request, patience, lambda answer: (answer, answer.text(PAGE_LIMIT)))
