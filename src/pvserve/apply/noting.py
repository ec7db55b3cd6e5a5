"""What a command that follows a Job writes on it: how far it is, for whoever looks at the Job alone.

Owns the annotation. The Job's pod has no token to write one: while nobody follows, its log alone says how far it is.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pvserve.cluster import Cluster
from pvserve.errors import PvserveError
from pvserve.events import Transfer

PROGRESS = "pvserve.io/progress"
EVERY_SECONDS = 10.0
FEWEST_SECONDS = 3.0  # no time left is told before


class Noting:
    """Of one Job; at most every EVERY_SECONDS, and only what has changed. Never fails what it tells of."""

    def __init__(self, cluster: Cluster, job: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._job = job
        self._clock = clock
        self._told = clock() - EVERY_SECONDS
        self._last: Transfer | None = None

    def __call__(self, transfer: Transfer) -> None:
        """Note it, where it is time to."""
        now = self._clock()
        same = self._last is not None and transfer.bytes_done == self._last.bytes_done
        if now - self._told < EVERY_SECONDS or (same and transfer.waiting_for == ""):
            return
        self._told, self._last = now, transfer
        body = {"metadata": {"annotations": {PROGRESS: json.dumps(noted(transfer))}}}
        with contextlib.suppress(PvserveError):
            self._cluster.patch("batch/v1", "Job", self._job, self._cluster.namespace, body)


def noted(transfer: Transfer) -> dict[str, object]:
    """The annotation's content; `rate` in bytes per second, `secondsLeft` where it can be told."""
    moved = max(0, transfer.bytes_done - transfer.bytes_reused)
    rate = moved / transfer.seconds if transfer.seconds > 1 else 0.0
    left = {}
    if rate and transfer.seconds > FEWEST_SECONDS:
        left = {"secondsLeft": round((transfer.bytes_total - transfer.bytes_done) / rate)}
    return {
        "phase": transfer.phase,
        "bytes": transfer.bytes_done,
        "bytesTotal": transfer.bytes_total,
        "files": transfer.files_done,
        "filesTotal": transfer.files_total,
        "rate": round(rate),
        **left,
        **({"waitingFor": transfer.waiting_for} if transfer.waiting_for else {}),
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
