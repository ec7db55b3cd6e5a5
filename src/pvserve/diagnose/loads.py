"""Loads by Job that wait although nothing is wrong with a pod of theirs: suspended, by Kueue or by hand.

Owns the reading of such a Job and of what Kueue says of it. Must not judge pods.
"""

from __future__ import annotations

from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import text
from pvserve.diagnose.values import Finding, LoadEvidence, Many, Seen, Words
from pvserve.facts import Object, Unknown, annotations_of, labels, name
from pvserve.plan.fetch_job import QUEUE
from pvserve.plan.load_step import PLACE

ENDED = ("Complete", "Failed", "FailureTarget")


def load_findings(evidence: LoadEvidence) -> tuple[Finding, ...]:
    """One for each load that is suspended, by the Job's name."""
    where = evidence.namespace
    if isinstance(evidence.jobs, Unknown):
        unread = Seen("Jobs", evidence.jobs.why, evidence.now)
        return (cause("NotReadable", unread, what="Jobs", namespace=where).finding,)
    return tuple(_suspended(job, evidence) for job in sorted(evidence.jobs, key=name) if is_suspended(job))


def is_suspended(job: Object) -> bool:
    """Whether it waits to be let go on."""
    told = {item.get("type"): item.get("status") for item in (job.get("status") or {}).get("conditions") or ()}
    return bool(job["spec"].get("suspend")) and not any(told.get(kind) == "True" for kind in ENDED)


def queue_of(job: Object) -> str:
    """Kueue's queue that it is in, "" where none is named."""
    return str(labels(job).get(QUEUE, ""))


def why_queued(events: Many, job: str) -> str:
    """Kueue says it with events of its Workload for the Job, whose name is `job-NAME-HASH` (pkg/scheduler)."""
    latest = _said_last(events, job)
    return text(latest) if latest is not None else ""


def _said_last(events: Many, job: str) -> Object | None:
    if isinstance(events, Unknown):
        return None
    ours = [
        event
        for event in events
        if event["involvedObject"].get("kind") == "Workload"
        and str(event["involvedObject"].get("name", "")).startswith(f"job-{job}-")
    ]
    return max(ours, key=lambda event: str(event.get("lastTimestamp") or ""), default=None)


def _suspended(job: Object, evidence: LoadEvidence) -> Finding:
    queue, last = queue_of(job), _said_last(evidence.events, name(job))
    seen = [Seen(f"Job {name(job)}", f"suspended, label {QUEUE}: {queue or '(none)'}", evidence.now)]
    if last is not None:
        of = f"Workload {last['involvedObject'].get('name')}"
        seen.append(Seen(of, text(last), str(last.get("lastTimestamp") or "")))
    elif isinstance(evidence.events, Unknown):
        seen.append(Seen("Events", evidence.events.why, evidence.now))
    words: Words = {
        "job": name(job),
        "place": annotations_of(job).get(PLACE, "its claim"),
        "namespace": evidence.namespace,
    }
    return cause("LoadQueued" if queue else "LoadSuspended", *seen, queue=queue, **words).finding
