"""What ends a load from outside while it runs: the user, the Lease, the end of the loader pod.

Owns looking at these beside the transfer, and the error that says which it was. Must not know how bytes move.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from pvserve.apply.lease import DURATION_SECONDS, Held
from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, PvserveError, Temporary
from pvserve.facts import Object, name
from pvserve.mount import why_ended

LOOK_SECONDS = 0.2  # at the user's wish and the Lease
POD_SECONDS = 2.0  # between two looks at the pod: an API request each
POD_LOST = "LoaderPodLost"
NOT_RENEWED = "LeaseNotRenewed"


@dataclass
class Attended:
    """`stop` is set as soon as one of them ends the load; `pod_end` says why the pod is no more, "" while it is."""

    held: Held
    place: str
    cancel: threading.Event
    stop: threading.Event = field(default_factory=threading.Event)
    pod_end: str = ""

    def cause(self, error: PvserveError) -> PvserveError:
        """What really ended the load that broke off with `error`."""
        if self.cancel.is_set() and isinstance(error, Interrupted):
            return error
        if self.held.lost.is_set():
            return Temporary(
                "LeaseLost",
                f"the Lease of {self.place} was lost while writing: another writer has it",
                subject=self.place,
                remedy=("run the same command again",),
            )
        if self.pod_end:
            return Temporary(
                POD_LOST,
                f"the loader pod {self.pod_end} while {self.place} was written",
                subject=self.place,
                remedy=("run the same command again; it goes on where this one stopped",),
            )
        if self.held.doubtful:
            return Temporary(
                NOT_RENEWED,
                f"the API server has not answered for {DURATION_SECONDS} s, so another writer may take {self.place}",
                subject=self.place,
                remedy=("run the same command again; it goes on where this one stopped",),
            )
        return error


@contextlib.contextmanager
def attending(cluster: Cluster, pod: Object, held: Held, place: str, cancel: threading.Event) -> Iterator[Attended]:
    """Looks at all three while the body runs."""
    attended, over = Attended(held, place, cancel), threading.Event()

    def attend() -> None:
        while not over.wait(LOOK_SECONDS):
            if cancel.is_set() or held.lost.is_set() or held.doubtful or attended.pod_end:
                attended.stop.set()
                return

    def attend_pod() -> None:
        """Apart from the others: an API server that is away keeps this one waiting."""
        while not attended.pod_end and not over.wait(POD_SECONDS):
            with contextlib.suppress(PvserveError):  # which says nothing about the pod
                attended.pod_end = why_ended(cluster, pod)

    for look in (attend, attend_pod):
        threading.Thread(target=look, daemon=True, name=f"{look.__name__} {name(pod)}").start()
    try:
        yield attended
    finally:
        over.set()
