"""Why a container does not start, or does not stay.

Owns the reading of container states. Log lines are `logs`' to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pvserve.diagnose import logs
from pvserve.diagnose import pods as looking
from pvserve.diagnose.meanings import cause
from pvserve.diagnose.occurrences import events_of, lasted, seconds_between, seen, text, with_reason
from pvserve.diagnose.pods import Container
from pvserve.diagnose.values import Cause, PodEvidence, Seen, Words
from pvserve.facts import Object, Unknown, name

CRASHES = 2  # a server that lost a race at its first start is up at the second
LISTEN_SECONDS = 60.0
IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_FINAL_PULL = re.compile(
    r"not found|denied|unauthorized|authentication required|no match for platform|invalid reference format|forbidden",
    re.I,
)
_MISSING = re.compile(r'(secret|configmap) "[^"]+" not found|couldn\'t find key \S+ in (Secret|ConfigMap) \S+', re.I)
_PASSING = re.compile(r"context deadline exceeded|is reserved for|failed to sync (secret|configmap) cache")


def container_causes(evidence: PodEvidence, pods: tuple[Object, ...]) -> Iterator[Cause]:
    """What is wrong with the containers of each pod, and with pods that ended."""
    yield from _evictions(evidence, pods)
    for pod in pods:
        if looking.going(pod):
            continue
        if _evicted(pod):
            continue
        ended = [item for item in looking.containers(pod) if (item.ended or {}).get("exitCode")]
        if looking.phase(pod) == "Failed" and not ended:
            yield _failed_pod(evidence, pod)
        for container in looking.containers(pod):
            yield from _waiting(evidence, container)
            yield from _ended(evidence, container)
            yield from _not_listening(evidence, container)


def _failed_pod(evidence: PodEvidence, pod: Object) -> Cause:
    """A pod that a controller made is replaced; one that stands alone has ended for good."""
    status = pod.get("status") or {}
    reason = str(status.get("reason") or "phase Failed")
    said = f"{reason}: {status['message']}" if status.get("message") else reason
    alone = not pod["metadata"].get("ownerReferences")
    words = looking.words(evidence, pod)
    return cause("PodFailed", Seen(f"Pod {name(pod)}", said), hopeless=alone, reason=reason, **words)


def _evicted(pod: Object) -> bool:
    return (pod.get("status") or {}).get("reason") == "Evicted"


def _evictions(evidence: PodEvidence, pods: tuple[Object, ...]) -> Iterator[Cause]:
    """The last eviction. Hopeless where it came again, or where the pod outgrew a limit of its own."""
    evicted = sorted((pod for pod in pods if _evicted(pod)), key=lambda pod: str(pod["status"].get("startTime") or ""))
    if not evicted:
        return
    last = evicted[-1]
    said = str(last["status"].get("message") or "").strip()
    told = tuple(seen(event) for event in with_reason(events_of(evidence, "Pod", last), "Evicted"))
    times = f", {len(evicted)} times by now" if len(evicted) > 1 else ""
    observed = Seen(f"Pod {name(last)}", f"Evicted: {said}{times}", told[-1].time if told else "")
    final = len(evicted) > 1 or "exceed" in said or not last["metadata"].get("ownerReferences")
    served = any(looking.ready(pod) for pod in pods)
    yield cause("Evicted", observed, hopeless=final and not served, **looking.words(evidence, last))


def _words(evidence: PodEvidence, container: Container) -> Words:
    claim, path = looking.claim_mount(container)
    return {"container": container.name, "claim": claim, "path": path, **looking.words(evidence, container.pod)}


def _waiting(evidence: PodEvidence, container: Container) -> Iterator[Cause]:
    waiting = container.state("waiting") or {}
    reason, said = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    words = _words(evidence, container)
    observed = Seen(container.subject, f"{reason}: {' '.join(said.split())}")
    if reason in IMAGE:
        failed = _pull_event(evidence, container)
        final = reason != "ErrImagePull" or bool(_FINAL_PULL.search(said + "".join(item.observed for item in failed)))
        image = str(container.spec.get("image"))
        yield cause("ImagePullFailed", *(failed or (observed,)), hopeless=final, image=image, **words)
    elif reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        yield _not_created(observed, said, words)


def _pull_event(evidence: PodEvidence, container: Container) -> tuple[Seen, ...]:
    """The event that holds the registry's own words; ImagePullBackOff repeats only that it waits."""
    failed = with_reason(events_of(evidence, "Pod", container.pod), "Failed", "ErrImageNeverPull", "InspectFailed")
    image = str(container.spec.get("image"))
    return tuple(seen(event) for event in failed if image in text(event) and "ImagePullBackOff" not in text(event))[-1:]


def _not_created(observed: Seen, said: str, words: Words) -> Cause:
    missing = _MISSING.search(said)
    if missing:
        return cause("ConfigMissing", observed, hopeless=True, missing=missing[0], **words)
    if "runAsNonRoot" in said:
        return cause("RunsAsRoot", observed, hopeless=True, **words)
    if "subPath" in said:
        return cause("SubPathFailed", observed, hopeless=True, **words)
    return cause("ContainerNotCreated", observed, hopeless=not _PASSING.search(said), **words)


def _ended(evidence: PodEvidence, container: Container) -> Iterator[Cause]:
    """A container that ended badly and does not serve now. One that serves again is none of this."""
    ended = container.ended
    if ended is None or container.status.get("ready") or (ended.get("exitCode") == 0 and container.init):
        return
    at = str(ended.get("finishedAt") or "")
    code, reason = ended.get("exitCode"), str(ended.get("reason") or "")
    observed = Seen(container.subject, f"exit code {code} ({reason}), restarts: {container.restarts}", at)
    words = _words(evidence, container)
    if reason == "OOMKilled":
        limit = ((container.spec.get("resources") or {}).get("limits") or {}).get("memory", "the node")
        yield cause("OomKilled", observed, hopeless=True, limit=limit, **words)
        return
    killed = _liveness(evidence, container)
    if killed:
        yield cause("LivenessKills", observed, killed[-1], hopeless=container.restarts >= CRASHES, **words)
        return
    yield _crashed(evidence, container, observed, words)


def _liveness(evidence: PodEvidence, container: Container) -> tuple[Seen, ...]:
    killing = with_reason(events_of(evidence, "Pod", container.pod), "Killing")
    phrase = f"Container {container.name} failed liveness probe"
    startup = f"Container {container.name} failed startup probe"
    return tuple(seen(event) for event in killing if phrase in text(event) or startup in text(event))


def _crashed(evidence: PodEvidence, container: Container, observed: Seen, words: Words) -> Cause:
    log = evidence.logs.get((name(container.pod), container.name), "")
    subject = f"{container.subject} log"
    text_of = "" if isinstance(log, Unknown) else log
    told = tuple(Seen(subject, line) for line in logs.last_lines(text_of))
    if isinstance(log, Unknown):
        told = (Seen(subject, f"could not be read: {log.why}"),)
    final = container.restarts >= CRASHES or looking.phase(container.pod) == "Failed"
    ended = container.ended or {}
    known = None if container.init else logs.meaning_of(text_of)  # a download fails for reasons of its own
    if known:
        line = Seen(subject, known[1])
        rest = tuple(item for item in told if item != line)
        return cause(known[0], observed, line, *rest, hopeless=final or container.restarts >= 1, **words)
    code = "InitContainerFailed" if container.init else "CrashLoop"
    again = "true" if container.restarts else "false"  # of one that ran once there is no previous log
    detail = {"code": ended.get("exitCode"), "restarts": container.restarts, "again": again}
    return cause(code, observed, *told, hopeless=final, **detail, **words)


def _not_listening(evidence: PodEvidence, container: Container) -> Iterator[Cause]:
    running = container.state("running")
    if not running or container.init or container.status.get("ready") or container.ended:
        return
    since = str(running.get("startedAt") or "")
    age = seconds_between(since, evidence.now)
    unhealthy = with_reason(events_of(evidence, "Pod", container.pod), "Unhealthy")
    if unhealthy and age is not None and lasted(since, evidence, LISTEN_SECONDS):
        log = evidence.logs.get((name(container.pod), container.name), "")
        told = () if isinstance(log, Unknown) else tuple(logs.last_lines(log))
        lines = (Seen(f"{container.subject} log", line) for line in told)
        words = _words(evidence, container)
        yield cause("NotListening", seen(unhealthy[-1]), *lines, seconds=f"{age:.0f}", **words)
