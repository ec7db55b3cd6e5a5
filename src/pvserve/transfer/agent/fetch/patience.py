"""How long a server may disappoint, and what it means when that was too long.

Owns waiting between tries and the errors for what a server refuses. Must not send.
"""

from __future__ import annotations

import email.utils
import http.client
import random
import socket
import ssl
import time
from typing import Callable

from pvserve.errors import NotAllowed, PvserveError, Refused, Temporary
from pvserve.model.contain import shown

from .web import Answer, place, untrusted

LISTING_SECONDS = 30.0  # somebody waits for the list
FETCHING_SECONDS = 180.0  # without a single byte
PAUSE, LONGEST_PAUSE = 0.25, 20.0
BUSY = (408, 425, 429, 500, 502, 503, 504, 509)
CUT = (OSError, http.client.HTTPException)  # what a connection can end with


class Busy(Exception):
    """The server said that it cannot now; `seconds` is how long it asks for, or 0."""

    def __init__(self, status: int, seconds: float) -> None:
        super().__init__(f"it answers {status}")
        self.seconds = seconds


class Patience:
    """Waits between tries; `tell` hears what is waited for, "" when it goes on."""

    def __init__(self, seconds: float, tell: Callable[[str], None]) -> None:
        self._limit = seconds
        self._tell = tell
        self._tries = 0
        self._since = time.monotonic()

    def moved(self) -> None:
        """Something came."""
        if self._tries:
            self._tell("")
        self._tries, self._since = 0, time.monotonic()

    def wait(self, url: str, error: BaseException) -> None:
        """Before the next try. Raises what the error means when trying again is of no use, or no more."""
        if isinstance(error, ssl.SSLCertVerificationError):
            raise untrusted(url, error) from error
        pause = min(LONGEST_PAUSE, PAUSE * 2**self._tries) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries
        if isinstance(error, Busy):
            pause = max(pause, min(error.seconds, 60.0))
        if time.monotonic() + pause - self._since > self._limit:
            raise unreachable(url, error) from error
        self._tries += 1
        if self._tries > 1:
            self._tell(f"{place(url)}: {clause(error)}")
        time.sleep(pause)


def to_list(tell: Callable[[str], None]) -> Patience:
    """For a list."""
    return Patience(LISTING_SECONDS, tell)


def to_fetch(tell: Callable[[str], None]) -> Patience:
    """For a file's bytes."""
    return Patience(FETCHING_SECONDS, tell)


def check_busy(answer: Answer) -> None:
    """Raises Busy where the server only asks for patience."""
    if answer.status in BUSY:
        seconds = _seconds(answer.header("Retry-After"))
        answer.close()
        raise Busy(answer.status, seconds)


def _seconds(text: str) -> float:
    """Retry-After is a number of seconds or a date (RFC 9110, 10.2.3)."""
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def clause(error: BaseException) -> str:
    """An error of a connection in a few words."""
    if isinstance(error, socket.gaierror):
        return "its name is not known to this cluster's DNS"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended early"
    if isinstance(error, socket.timeout):
        return "it did not answer in time"
    return shown(str(error) or type(error).__name__)[:200]


def unreachable(url: str, error: BaseException) -> PvserveError:
    """Tried long enough; the same command goes on where this ended."""
    return Temporary(
        "SourceUnreachable",
        f"{place(url)} could not be read: {clause(error)}",
        subject=place(url),
        remedy=("run the same command again; it goes on where this one stopped",),
    )


def refused(answer: Answer, what: str, said: str = "") -> PvserveError:
    """What an answer means that is neither the bytes nor a request for patience; `said` is the server's own reason."""
    status, why = answer.status, f" ({shown(said[:200])})" if said else ""
    if status == 407:
        return NotAllowed("ProxyForbidden", f"the proxy wants a user and password{why}")
    if status in (401, 403):
        return NotAllowed(
            "SourceForbidden",
            f"{what} may not be read: the server answers {status}{why}",
            subject=what,
            remedy=("name the Secret that holds the credentials with --connection NAME",),
        )
    if status in (404, 410):
        return Refused(
            "NoSuchSource", f"{what} does not exist: the server answers {status}{why}; nothing was loaded", subject=what
        )
    return PvserveError("SourceFailed", f"{what} cannot be read: the server answers {status}{why}", subject=what)


def changed(path: str, how: str) -> PvserveError:
    """A file is no longer the one that was listed."""
    from pvserve.errors import StalePlan

    return StalePlan(
        "SourceChanged",
        f"{shown(path)} {how} since the source was listed",
        subject=shown(path),
        remedy=("run the same command again: it lists the source anew and fetches only what changed",),
    )
