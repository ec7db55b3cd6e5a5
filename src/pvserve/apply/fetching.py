"""The step in which a Job fetches a source: made, handed the Lease, followed, its result recorded; then it goes.

Owns the order of these, and finding a Job that an earlier run left at work. Must not decide where the model goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pvserve.apply.job_state import JobState, look, place_jobs
from pvserve.apply.lease import give_back_of_job, hand_to_job, taken
from pvserve.apply.noting import Noting
from pvserve.apply.recording import record
from pvserve.cluster import AlreadyExists, Cluster
from pvserve.errors import Interrupted, PvserveError, Refused, Temporary
from pvserve.events import Listener, StepState
from pvserve.facts import Object, annotations_of, name
from pvserve.plan.fetch_job import fetch_job, job_program, place_label
from pvserve.plan.of_here import without_given
from pvserve.plan.steps import LoadJob
from pvserve.transfer import later_epoch
from pvserve.transfer.agent.place import FIRST_LEASE
from pvserve.transfer.program import fetch_files

POLL_SECONDS = 1.0
AWAY_SECONDS = 300.0  # of the API server, before a client gives up following
ORDER = "pvserve.io/order"  # annotation of the Job: what it was asked, so that the same command finds it again
JOB = ("batch/v1", "Job")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """What a Job brought; `detached` where it still runs, and nothing of this is known yet."""

    manifest_digest: str = ""
    bytes: int = 0
    files: int = 0
    fetched_bytes: int = 0
    seconds: float = 0.0
    job: str = ""
    detached: bool = False


def run_fetch(cluster: Cluster, step: LoadJob, listen: Listener, cancel: threading.Event) -> Fetched:
    """Has the Job made, or found again, and follows it to its end; with `step.detach` until it runs.

    Raises what the program in the Job says; Refused when another writer is alive or the Job's pod cannot start;
    Interrupted, when the Job is removed and the same command goes on where it stopped.
    """

    def say(detail: str) -> None:
        listen(StepState(step.id, step.title, "ongoing", detail))

    def followed(job: Object) -> Fetched:
        state = follow(cluster, name(job), cancel, listen, say, until_running=step.detach)
        if step.detach and not state.ended:
            return Fetched(job=name(job), detached=True)
        return settle(cluster, job, state)

    try:
        return followed(_found_again(cluster, step) or _made(cluster, step, cancel, say))
    except Temporary as error:
        after = later_epoch(error)
        if not after:
            raise
    say("an unfinished load came with the volume: another Job goes on from it")
    return followed(_made(cluster, step, cancel, say, after))


def settle(cluster: Cluster, job: Object, state: JobState) -> Fetched:
    """After a Job's end: records what it brought, gives its Lease back, removes it; raises what it failed with."""
    place = place_of(job)
    try:
        if state.error is not None:
            raise state.error
        result = state.result
        record(
            cluster,
            place["claim"],
            place["path"],
            manifest=str(result["manifest"]),
            bytes=int(result["bytes"]),
            files=int(result["files"]),
            source=str(result["source"])[:500],
            listing=place["listing"],
        )
    finally:
        give_back_of_job(cluster, place["claim"], place["path"], name(job))
        cluster.delete(*JOB, name(job), cluster.namespace, uid=str(job["metadata"]["uid"]))
    return Fetched(
        manifest_digest=str(result["manifest"]),
        bytes=int(result["bytes"]),
        files=int(result["files"]),
        fetched_bytes=int(result["fetched"]),
        seconds=float(result["seconds"]),
        job=name(job),
    )


def place_of(job: Object) -> dict[str, str]:
    """Claim, path and the list's fingerprint that a Job of ours was made for."""
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    order = json.loads(args[1])
    return {
        "claim": str(order["claim"]),
        "path": str(order["place"]["path"]),
        "listing": str(order["fingerprint"]),
        "source": str(order["source"]["uri"]),
    }


def follow(
    cluster: Cluster,
    job: str,
    cancel: threading.Event,
    listen: Listener,
    say: Say,
    *,
    until_running: bool = False,
    ours: bool = True,
) -> JobState:
    """Until the Job ended (or runs); tells its progress.

    Raises Interrupted when `cancel` is set: the Job is removed where it is `ours`, and goes on where it is not.
    """
    told, last, note = "", time.monotonic(), Noting(cluster, job)
    while True:
        try:
            state = look(cluster, job)
            last = time.monotonic()
        except Temporary as error:
            if time.monotonic() - last > AWAY_SECONDS:
                raise
            state = JobState(waiting=error.message)
        if state.transfer is not None:
            listen(state.transfer)
            note(state.transfer)
        if state.waiting and state.waiting != told:
            told = state.waiting
            say(told)
        if state.ended or (until_running and state.running):
            return state
        if cancel.wait(POLL_SECONDS):
            if not ours:
                raise Interrupted("Interrupted", f"stopped looking: Job {job} goes on")
            cluster.delete(*JOB, job, cluster.namespace)
            raise Interrupted(
                "Interrupted", f"stopped: Job {job} is removed; the same command goes on where it stopped"
            )


def _found_again(cluster: Cluster, step: LoadJob) -> Object | None:
    """A Job that does this very load already. One that ended is settled or removed."""
    for job in place_jobs(cluster, place_label(step.claim, step.path)):
        same = annotations_of(job).get(ORDER) == _order_digest(step)
        if same:
            _give_program(cluster, job)
        state = look(cluster, name(job))
        if not state.ended and same:
            return job
        if not state.ended:
            raise Refused(
                "WriterActive",
                f"pvc://{step.claim}/{step.path} is being written by Job {name(job)}, from {place_of(job)['source']}",
                subject=f"Job {cluster.namespace}/{name(job)}",
                remedy=(
                    f"wait for it: pvserve status pvc://{step.claim}/{step.path} --follow",
                    f"or end it: pvserve cancel pvc://{step.claim}/{step.path}",
                ),
            )
        if same and state.error is None:
            return job
        with contextlib.suppress(PvserveError):  # what an earlier load failed with is no concern of this one
            settle(cluster, job, state)
    return None


def _made(cluster: Cluster, step: LoadJob, cancel: threading.Event, say: Say, after: int = 0) -> Object:
    """Lease, Job, program; the Lease is the Job's from then on, since its pod has no token to renew one."""
    lease = taken(cluster, step.claim, step.path, cancel, say, after)
    wanted = fetch_job(step, FIRST_LEASE + int(lease["spec"]["leaseTransitions"]))
    wanted["metadata"]["annotations"][ORDER] = _order_digest(step)
    job: Object | None = None
    try:
        job = cluster.create(wanted)
        _give_program(cluster, job)
    except PvserveError:
        if job is not None:
            cluster.delete(*JOB, name(job), cluster.namespace, uid=str(job["metadata"]["uid"]))
        give_back_of_job(cluster, step.claim, step.path, "")
        raise
    hand_to_job(cluster, lease, name(job))
    return job


def _give_program(cluster: Cluster, job: Object) -> None:
    """What the Job's pod waits for; also that of a client that was killed before it did this."""
    with contextlib.suppress(AlreadyExists):
        cluster.create(job_program(job, fetch_files()))


def _order_digest(step: LoadJob) -> str:
    pod: Any = step.job["spec"]["template"]["spec"]
    text = json.dumps([without_given(step.order), pod["containers"][0]["image"], pod["volumes"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
