"""What ends a load from outside while it runs: the user, a lost Lease, the end of the loader pod.

Owns looking at these beside the transfer, and the error that says which it was. Must not know how bytes move.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from pvserve.apply.lease import Held
from pvserve.cluster import Cluster
from pvserve.errors import PvserveError, Temporary
from pvserve.facts import Object, name
from pvserve.mount import why_ended

LOOK_SECONDS = 0.2  # at the user's wish and the Lease
POD_SECONDS = 2.0  # between two looks at the pod: an API request each
POD_LOST = "LoaderPodLost"


@dataclass
class Attended:
    """`stop` is set as soon as one of them ends the load; `pod_end` says why the pod is no more, "" while it is."""

    held: Held
    place: str
    stop: threading.Event = field(default_factory=threading.Event)
    pod_end: str = ""

    def cause(self, error: PvserveError) -> PvserveError:
        """What really ended the load that broke off with `error`."""
        if self.held.lost.is_set():
            return Temporary(
                "LeaseLost",
                f"the Lease of {self.place} was lost while writing: another writer may have it",
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
        return error


@contextlib.contextmanager
def attending(cluster: Cluster, pod: Object, held: Held, place: str, cancel: threading.Event) -> Iterator[Attended]:
    """Looks at all three while the body runs."""
    attended, over = Attended(held, place), threading.Event()

    def attend() -> None:
        looks = 0
        while not over.wait(LOOK_SECONDS):
            looks += 1
            if looks % round(POD_SECONDS / LOOK_SECONDS) == 0:
                with contextlib.suppress(PvserveError):  # an API server that is away says nothing about the pod
                    attended.pod_end = why_ended(cluster, pod)
            if cancel.is_set() or held.lost.is_set() or attended.pod_end:
                attended.stop.set()
                return

    threading.Thread(target=attend, daemon=True, name=f"attending {name(pod)}").start()
    try:
        yield attended
    finally:
        over.set()
