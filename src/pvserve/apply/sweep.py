"""The step that removes leftovers from a claim: pod, the Lease of each place, bytes; the pod goes whatever happens.

Owns the order of these. Must not decide what may go (plan), nor touch the volume (transfer).
"""

from __future__ import annotations

import contextlib
import threading
from itertools import groupby

from pvserve.apply.lease import writing
from pvserve.apply.remove import run_remove
from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, Temporary
from pvserve.events import Listener, StepState
from pvserve.facts import name
from pvserve.mount import mounted
from pvserve.plan.volume_steps import RemoveModel, SweepVolume
from pvserve.transfer import Removed, sweep


def run_removal(
    cluster: Cluster, step: RemoveModel | SweepVolume, listen: Listener, cancel: threading.Event
) -> Removed:
    """Carries out the step; what went."""
    if isinstance(step, RemoveModel):
        return run_remove(cluster, step, listen, cancel)
    return run_sweep(cluster, step, listen, cancel)


def run_sweep(cluster: Cluster, step: SweepVolume, listen: Listener, cancel: threading.Event) -> Removed:
    """Removes the leftovers, path by path. Raises what `transfer.sweep` raises; Refused when a writer is alive."""

    def say(detail: str) -> None:
        listen(StepState(step.id, step.title, "ongoing", detail))
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped between two leftovers; the same command goes on")

    gone = Removed(True, 0, 0)
    with mounted(cluster, step.pod, say) as pod:
        reach = cluster.reach(name(pod), cluster.namespace, str(pod["spec"]["containers"][0]["name"]))
        for path, items in groupby(sorted(step.leftovers, key=lambda item: item.path), key=lambda item: item.path):
            found = tuple(items)
            say(found[0].title)
            with contextlib.ExitStack() as stack:
                if path:  # of a path that no Lease names there is no writer
                    held = stack.enter_context(writing(cluster, step.claim, path, cancel, say))
                    if held.lost.is_set():
                        raise Temporary("LeaseLost", "the Lease was lost, so another writer may have the place")
                partials = [item.name for item in found if item.kind == "partial"]
                replaced = [(item.key, item.name) for item in found if item.kind == "replaced"]
                gone += sweep(reach, step.claim, partials, replaced)
    return gone
