"""A pod of pvserve's own that mounts a claim: made or found again, waited for, removed.

Owns the life of loader and reader pods. Must not know what is done through them, nor what they look like
(`plan.loader` builds them).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_pod_evidence
from pvserve.cluster.upgrade import load_websockets
from pvserve.diagnose import judge_pod
from pvserve.errors import PvserveError, Refused, Temporary, TimedOut
from pvserve.facts import Object, labels, name, namespace
from pvserve.transfer.channels import load_channels

START_SECONDS = 300.0  # a pod that also waits for a volume to be made and attached
REMOVE_SECONDS = 60.0
# A pod mostly runs a second after it was made, and is gone half a second after it was deleted: half a second between
# two looks would be waited for in vain. Where it takes longer, as for an image, looks are further apart.
QUICK_SECONDS, QUICK_FOR_SECONDS, POLL_SECONDS = 0.1, 10.0, 0.5
EXPLAIN_SECONDS = 1.5  # between two times that it is asked why a pod does not run yet: several requests each
Say = Callable[[str], None]


def _nothing_more(_pod: Object) -> None:
    """Most pods need nothing while they start."""


@contextlib.contextmanager
def mounted(
    cluster: Cluster, pod: Object, say: Say, meanwhile: Callable[[Object], None] = _nothing_more
) -> Iterator[Object]:
    """Yields the running pod; removes it afterwards, whatever happened.

    `pod` names itself by generateName. One with the same labels that still runs is taken over (its client died);
    one that ended is removed first. `meanwhile` gets the pod before it runs: what must be there by then, it makes.
    Raises Refused with the finding when it cannot start, TimedOut after START_SECONDS.
    """
    readying = threading.Thread(target=_ready_to_talk, daemon=True)
    readying.start()
    live = _found_again(cluster, pod) or cluster.create(pod)
    try:
        meanwhile(live)
        running = _running(cluster, live, say)
        readying.join()
        yield running
    except BaseException:
        with contextlib.suppress(Temporary):  # why the work failed says more; unheard, the pod ends by itself
            _remove(cluster, live)
        raise
    _remove(cluster, live)


def _ready_to_talk() -> None:
    """What every talk with a pod begins with, a tenth of a second of importing and compiling, while the pod starts."""
    with contextlib.suppress(Exception):  # it fails again where it is needed, and is told there
        load_websockets()
        load_channels()


def _found_again(cluster: Cluster, pod: Object) -> Object | None:
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels(pod).items()))
    for old in cluster.list("v1", "Pod", namespace(pod), label_selector=selector):
        phase = (old.get("status") or {}).get("phase")
        if phase in ("Running", "Pending") and not old["metadata"].get("deletionTimestamp"):
            return old
        _remove(cluster, old)
    return None


def _running(cluster: Cluster, pod: Object, say: Say) -> Object:
    begun = time.monotonic()
    asked, waiting = begun, ""
    say(f"pod {name(pod)} is starting")
    while True:
        now = cluster.get("v1", "Pod", name(pod), namespace(pod))
        if _ready(now):
            return now
        if time.monotonic() - asked > EXPLAIN_SECONDS:
            waiting = _why_waiting(cluster, now)
            say(waiting or f"pod {name(pod)} is starting")
            asked = time.monotonic()
        if time.monotonic() - begun > START_SECONDS:
            raise TimedOut(
                "PodNotStarted",
                f"pod {name(pod)} did not start within {START_SECONDS:.0f} s: {waiting or 'no reason was given'}",
                subject=f"Pod {namespace(pod)}/{name(pod)}",
                remedy=(f"kubectl -n {namespace(pod)} describe pod {name(pod)}",),
            )
        _pause(begun)


def _why_waiting(cluster: Cluster, pod: Object) -> str:
    """What the pod waits for, "" where nothing says so. Raises Refused with the finding where it waits in vain."""
    verdict = judge_pod(read_pod_evidence(cluster, pod))
    if verdict.hopeless is not None:
        finding = verdict.hopeless
        seen = "; ".join(f"{item.object}: {item.observed}" for item in finding.evidence)
        raise Refused(finding.code, finding.title, subject=f"Pod {name(pod)}", remedy=finding.remedy, detail=seen)
    return "; ".join(f"{line.object}: {line.reason}" for line in verdict.lines if line.reason)


def _pause(begun: float) -> None:
    """Before the next look at what is waited for since then."""
    time.sleep(QUICK_SECONDS if time.monotonic() - begun < QUICK_FOR_SECONDS else POLL_SECONDS)


def _ready(pod: Object) -> bool:
    status: dict[str, Any] = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        raise Temporary(
            "PodEnded",
            f"pod {name(pod)} ended before it was used: {status.get('reason') or status.get('message') or 'no reason'}",
            remedy=("run the same command again",),
        )
    states = status.get("containerStatuses") or ()
    return status.get("phase") == "Running" and bool(states) and all(state.get("ready") for state in states)


def why_ended(cluster: Cluster, pod: Object) -> str:
    """Why the pod is no more, as a clause; "" while it runs. Raises what reading it raises."""
    key = ("v1", "Pod", name(pod), namespace(pod))
    now = cluster.find(*key)
    if now is None or (isinstance(now, dict) and now["metadata"]["uid"] != pod["metadata"]["uid"]):
        return "is gone"
    if not isinstance(now, dict):
        return ""
    if now["metadata"].get("deletionTimestamp"):
        return "was deleted"
    status: dict[str, Any] = now.get("status") or {}
    if status.get("phase") not in ("Succeeded", "Failed"):
        return ""
    ends = [(state.get("state") or {}).get("terminated") or {} for state in status.get("containerStatuses") or ()]
    why = [str(end.get("reason") or "") for end in ends]
    return f"ended: {' '.join(filter(None, [status.get('reason'), status.get('message'), *why])) or 'no reason given'}"


def _remove(cluster: Cluster, pod: Object) -> None:
    """Deletes the pod and waits until it is gone: a pod that still holds a ReadWriteOnce claim blocks other nodes."""
    key = ("v1", "Pod", name(pod), namespace(pod))
    uid = str(pod["metadata"]["uid"])
    cluster.delete(*key, uid=uid, grace_seconds=1)
    begun = time.monotonic()
    while time.monotonic() - begun < REMOVE_SECONDS:
        with contextlib.suppress(Temporary):
            left = cluster.find(*key)
            if not isinstance(left, dict) or left["metadata"]["uid"] != uid:
                return
        _pause(begun)
    raise PvserveError(
        "PodNotRemoved",
        f"pod {name(pod)} was deleted but is still there after {REMOVE_SECONDS:.0f} s",
        subject=f"Pod {namespace(pod)}/{name(pod)}",
        remedy=(f"kubectl -n {namespace(pod)} get pod {name(pod)}",),
    )
