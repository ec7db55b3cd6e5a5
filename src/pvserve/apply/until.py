"""Waiting by looking again and again, for objects of which no watch is worth its right, and what events say meanwhile.

Owns the loop and the reading of a claim's events. Must not know what is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, TimedOut
from pvserve.facts import Object, Unknown

POLL_SECONDS = 0.5


def until(
    done: Callable[[], bool],
    seconds: int,
    late: TimedOut,
    cancel: threading.Event,
    said: Callable[[], str] = str,
) -> None:
    """Returns when `done` says so.

    Raises `late`, with what was `said` meanwhile, after `seconds`; Interrupted once `cancel` is set.
    """
    deadline = time.monotonic() + seconds
    while not done():
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped while waiting; the same command goes on")
        if time.monotonic() > deadline:
            late.detail = said()
            raise late
        cancel.wait(POLL_SECONDS)


def events_on(cluster: Cluster, claim: Object, about: str) -> tuple[str, ...] | Unknown:
    """The messages of the events on this very claim whose reason holds the word `about`."""
    uid = str(claim["metadata"]["uid"])
    found = cluster.find_all("v1", "Event", cluster.namespace, field_selector=f"involvedObject.uid={uid}")
    if isinstance(found, Unknown):
        return found
    return tuple(str(event.get("message") or "") for event in found if about in str(event.get("reason")))
