"""What a Job that fetches is doing: waiting, running, done or failed, and why.

Owns reading it from the Job, its newest pod, and the last lines of that pod's log. Must not change anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_pod_evidence
from pvserve.diagnose import judge_pod
from pvserve.diagnose.loads import is_suspended, queue_of, why_queued
from pvserve.errors import PvserveError, Refused, Temporary
from pvserve.events import Transfer
from pvserve.facts import Object, Unknown, annotations_of, name
from pvserve.plan.fetch_job import FINAL_CODES, KEPT_SECONDS
from pvserve.plan.loading import LOADER_LABEL
from pvserve.remote import error_of

LOG_LINES = 10
WHICH = "batch.kubernetes.io/job-completion-index"  # of several pods of a Job, which one
WORDS = {"list": "scan", "fetch": "send", "publish": "publish"}


@dataclass(frozen=True)
class JobState:
    """`ended` with `result`, or with `error`; else what it waits for, or how far it is."""

    ended: bool = False
    running: bool = False
    waiting: str = ""
    transfer: Transfer | None = None
    result: dict[str, Any] = field(default_factory=dict)
    error: PvserveError | None = None


def place_jobs(cluster: Cluster, label: str) -> list[Object]:
    """The Jobs of one place, or with "" of all, the youngest first."""
    selector = f"{LOADER_LABEL}={label}" if label else LOADER_LABEL
    found = cluster.list("batch/v1", "Job", cluster.namespace, label_selector=selector)
    return sorted(found, key=lambda job: str(job["metadata"]["creationTimestamp"]), reverse=True)


def look(cluster: Cluster, job: str) -> JobState:
    """The Job as it is now. Raises what reading it raises."""
    found = cluster.find("batch/v1", "Job", job, cluster.namespace)
    if found is None or isinstance(found, Unknown) or found["metadata"].get("deletionTimestamp"):
        why = found.why if isinstance(found, Unknown) else "it was removed"
        return JobState(ended=True, error=_gone(job, why))
    pods = cluster.list("v1", "Pod", cluster.namespace, label_selector=f"job-name={job}")
    latest = _latest(pods)
    pod = latest[-1] if latest else None
    shards = int(found["spec"].get("completions") or 1)
    state = together([_of_pod(cluster, one) for one in latest], shards) if latest else None
    if state is not None and state.ended:
        return state
    over = _condition(found, "Complete") or _condition(found, "Failed") or _condition(found, "FailureTarget")
    if over:
        return JobState(ended=True, error=_failed(cluster, job, pod, over))
    if state is not None:
        return state
    if is_suspended(found):
        return JobState(waiting=_queued(cluster, found))
    return JobState(waiting=f"Job {job} has no pod yet{_why_no_pod(cluster, job)}")


def _latest(pods: Sequence[Object]) -> list[Object]:
    """The newest pod of each share, the newest of all last."""
    newest: dict[str, Object] = {}
    for pod in sorted(pods, key=lambda item: str(item["metadata"]["creationTimestamp"])):
        which = annotations_of(pod).get(WHICH, "")
        newest.pop(which, None)
        newest[which] = pod
    return list(newest.values())


def together(states: Sequence[JobState | None], shards: int) -> JobState | None:
    """One state of `shards` pods: the first error ends it; it is done when all are, as the one says that published."""
    known = [state for state in states if state is not None]
    failed = next((state for state in known if state.error is not None), None)
    if failed is not None or (shards == 1 and known):
        return failed or known[-1]
    ended = [state.result for state in known if state.ended]
    published = next((result for result in ended if result.get("manifest")), None)
    if len(ended) == shards and published:
        fetched = sum(int(result.get("fetched", 0)) for result in ended)
        return JobState(ended=True, result={**published, "fetched": fetched})
    if not known:
        return None
    running = any(state.running for state in known)
    waiting = next((state.waiting for state in known if state.waiting), "")
    transfer = _sum([state.transfer for state in known if state.transfer is not None], ended)
    return JobState(running=running, waiting="" if running else waiting, transfer=transfer)


def _sum(running: Sequence[Transfer], ended: Sequence[dict[str, Any]]) -> Transfer | None:
    """What is at work, together with what has ended its share."""
    if not running:
        return None
    done, files = (sum(int(result.get(word, 0)) for result in ended) for word in ("shareBytes", "shareFiles"))
    return replace(
        running[-1],
        bytes_done=done + sum(one.bytes_done for one in running),
        bytes_total=done + sum(one.bytes_total for one in running),
        files_done=files + sum(one.files_done for one in running),
        files_total=files + sum(one.files_total for one in running),
    )


def _of_pod(cluster: Cluster, pod: Object) -> JobState | None:
    """What the pod says; None where a new one is to come."""
    status: dict[str, Any] = pod.get("status") or {}
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    ended = (container.get("state") or {}).get("terminated")
    if ended:
        said = _parsed(str(ended.get("message") or ""))
        code = ended.get("exitCode")
        if code == 0 and said.get("done"):
            return JobState(ended=True, result=said)
        if code in FINAL_CODES and said:
            return JobState(ended=True, error=error_of(said))
        why = said.get("message") or ended.get("reason") or f"exit code {code}"
        return JobState(waiting=f"pod {name(pod)} ended ({_plain(why)}): another one takes its place")
    if (container.get("state") or {}).get("running"):
        return JobState(running=True, transfer=_progress(cluster, pod))
    return _starting(cluster, pod)


def _starting(cluster: Cluster, pod: Object) -> JobState:
    verdict = judge_pod(read_pod_evidence(cluster, pod))
    if verdict.hopeless is not None:
        finding = verdict.hopeless
        seen = "; ".join(f"{item.object}: {item.observed}" for item in finding.evidence)
        error = Refused(finding.code, finding.title, subject=f"Pod {name(pod)}", remedy=finding.remedy, detail=seen)
        return JobState(ended=True, error=error)
    lines = "; ".join(f"{line.object}: {line.reason}" for line in verdict.lines if line.reason)
    return JobState(waiting=lines or f"pod {name(pod)} is starting")


def _progress(cluster: Cluster, pod: Object) -> Transfer | None:
    """From the log's last lines; None where it may not be read, or says nothing yet."""
    try:
        text = cluster.logs(name(pod), cluster.namespace, str(pod["spec"]["containers"][0]["name"]), LOG_LINES)
    except Temporary:
        raise
    except PvserveError:
        return None
    lines = [line for line in map(_parsed, text.splitlines()) if line.get("pvserve") == "progress"]
    if not lines:
        return None
    last = lines[-1]
    try:
        return Transfer(
            WORDS[str(last["phase"])],  # type: ignore[arg-type]
            int(last["bytes"]),
            int(last["bytesTotal"]),
            int(last["files"]),
            int(last["filesTotal"]),
            bytes_reused=int(last.get("reused", 0)),
            seconds=float(last["seconds"]),
            channel="job",
            waiting_for=_plain(last["waitingFor"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def job_log(cluster: Cluster, job: str, lines: int) -> str:
    """The last lines of the newest pod, "" where it has none yet."""
    pods = cluster.list("v1", "Pod", cluster.namespace, label_selector=f"job-name={job}")
    pod = max(pods, key=lambda item: str(item["metadata"]["creationTimestamp"]), default=None)
    if pod is None:
        return ""
    return cluster.logs(name(pod), cluster.namespace, str(pod["spec"]["containers"][0]["name"]), lines)


def _failed(cluster: Cluster, job: str, pod: Object | None, condition: dict[str, Any]) -> PvserveError:
    """The last pod's own words; else what happened to it; else the Job's."""
    if pod is not None:
        container: dict[str, Any] = next(iter((pod.get("status") or {}).get("containerStatuses") or ()), {})
        said = _parsed(str(((container.get("state") or {}).get("terminated") or {}).get("message") or ""))
        if said.get("reason"):
            return error_of(said)
        verdict = judge_pod(read_pod_evidence(cluster, pod))
        if verdict.hopeless is not None:
            finding = verdict.hopeless
            return PvserveError(finding.code, finding.title, subject=f"Pod {name(pod)}", remedy=finding.remedy)
    message = _plain(condition.get("message") or condition.get("reason") or "no reason was given")
    return Temporary(
        "JobFailed",
        f"Job {job} failed: {message}",
        subject=f"Job {job}",
        remedy=("run the same command again; it goes on where the Job stopped",),
    )


def _gone(job: str, why: str) -> PvserveError:
    return Temporary(
        "JobGone",
        f"Job {job} is not there: {why} (a finished one is kept for {KEPT_SECONDS // 3600} h)",
        subject=f"Job {job}",
        remedy=("run the same command again; it goes on where the Job stopped",),
    )


def _why_no_pod(cluster: Cluster, job: str) -> str:
    """A quota or a webhook refuses pods with an event of the Job's."""
    events = cluster.find_all("v1", "Event", cluster.namespace, field_selector=f"involvedObject.name={job}")
    if isinstance(events, Unknown):
        return ""
    said = [str(event.get("message", "")) for event in events if event.get("type") == "Warning"]
    return f": {_plain(said[-1])}" if said else ""


def _queued(cluster: Cluster, job: Object) -> str:
    """Where a suspended Job waits, and why."""
    queue = queue_of(job)
    if not queue:
        return f"Job {name(job)} is suspended, and is in no queue that would let it go on"
    why = why_queued(
        cluster.find_all("v1", "Event", cluster.namespace, field_selector="involvedObject.kind=Workload"), name(job)
    )
    return f"Job {name(job)} is suspended: it waits in queue {queue} to be admitted" + (
        f": {_plain(why)}" if why else ""
    )


def _condition(job: Object, kind: str) -> dict[str, Any] | None:
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind and condition.get("status") == "True":
            return dict(condition)
    return None


def _parsed(text: str) -> dict[str, Any]:
    """The last line that is one of the program's; {} where none is."""
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "pvserve" in value:
            return value
    return {}


def _plain(text: Any) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:300])
