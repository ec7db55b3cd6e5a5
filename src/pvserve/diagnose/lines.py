"""The state of each object in one word, with its last reason.

Owns kapp's four words: ok, ongoing, fail, unknown. Must not decide what a state means for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from pvserve.diagnose import pods as looking
from pvserve.diagnose.naming import kind_of
from pvserve.diagnose.occurrences import conditions, events_of, text, warnings
from pvserve.diagnose.rollout import is_ready, rolled_out
from pvserve.diagnose.values import Cause, Evidence, Found, Many, ObjectLine, PodEvidence, State
from pvserve.facts import Object, Unknown, name


def service_lines(evidence: Evidence, causes: tuple[Cause, ...]) -> tuple[ObjectLine, ...]:
    """Service, Deployments, pods, claims, from the outside in."""
    return (
        *_service_line(evidence, causes),
        *_deployment_lines(evidence.deployments),
        *pod_lines(evidence, causes),
    )


def pod_lines(evidence: PodEvidence, causes: tuple[Cause, ...]) -> tuple[ObjectLine, ...]:
    """Pods and the claims that they mount."""
    failing = {item.object for cause in causes if cause.hopeless for item in cause.finding.evidence}
    claims = (_claim_line(evidence, claim, of.object) for claim, of in sorted(evidence.claims.items()))
    if isinstance(evidence.pods, Unknown):
        return (ObjectLine("Pods", "unknown", evidence.pods.why), *claims)
    return (*(_pod_line(evidence, pod, failing) for pod in evidence.pods), *claims)


def _service_line(evidence: Evidence, causes: tuple[Cause, ...]) -> Iterator[ObjectLine]:
    subject = f"InferenceService {evidence.name}"
    service = evidence.service
    if isinstance(service, Unknown):
        yield ObjectLine(subject, "unknown", service.why)
    elif service is None:
        yield ObjectLine(subject, "fail", "not found")
    else:
        told = conditions(service).get("Ready", {})
        failed = any(cause.hopeless for cause in causes)
        state: State = "ok" if is_ready(evidence) else "fail" if failed else "ongoing"
        said = "" if state == "ok" else " ".join(str(told.get(key) or "") for key in ("reason", "message")).strip()
        stale = told.get("status") == "True" and state != "ok"
        yield ObjectLine(
            subject, state, "the change is being rolled out" if stale else said or _last(evidence, service, state)
        )


def _last(evidence: Evidence, service: Object, state: State) -> str:
    """Its last event where its conditions say nothing."""
    if state == "ok":
        return "Ready"
    told = warnings(events_of(evidence, kind_of(evidence), service))
    return f"{told[-1].get('reason')}: {text(told[-1])}" if told else "not Ready yet"


def _deployment_lines(found: Many) -> Iterator[ObjectLine]:
    if isinstance(found, Unknown):
        yield ObjectLine("Deployments", "unknown", found.why)
    else:
        yield from (_deployment_line(item) for item in found)


def _deployment_line(deployment: Object) -> ObjectLine:
    told = conditions(deployment)
    subject = f"Deployment {name(deployment)}"
    status = deployment.get("status") or {}
    count = f"{status.get('availableReplicas') or 0} of {deployment['spec'].get('replicas', 1)} available"
    if told.get("ReplicaFailure", {}).get("status") == "True":
        return ObjectLine(subject, "fail", str(told["ReplicaFailure"].get("message") or ""))
    if told.get("Progressing", {}).get("status") == "False":
        return ObjectLine(subject, "fail", str(told["Progressing"].get("message") or ""))
    return ObjectLine(subject, "ok" if rolled_out(deployment) else "ongoing", count)


def _pod_line(evidence: PodEvidence, pod: Object, failing: set[str]) -> ObjectLine:
    subject = f"Pod {name(pod)}"
    if looking.going(pod):
        return ObjectLine(subject, "ongoing", "is being removed")
    if looking.ready(pod):
        return ObjectLine(subject, "ok", f"Ready on {looking.node(pod)}")
    failed = looking.phase(pod) == "Failed" or any(
        item == subject or item.startswith(f"{subject} ") for item in failing
    )
    return ObjectLine(subject, "fail" if failed else "ongoing", _pod_reason(evidence, pod))


def _pod_reason(evidence: PodEvidence, pod: Object) -> str:
    """The first container that waits, ended or runs before the others; else why it has no node; else its last event."""
    for container in looking.containers(pod):
        waiting, ended = container.state("waiting"), container.state("terminated")
        if waiting and waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{container.name}: {waiting['reason']}"
        if ended and ended.get("exitCode"):
            return f"{container.name}: {ended.get('reason')}, exit code {ended['exitCode']}"
        if container.init and container.state("running") and not container.status.get("ready"):
            return f"init container {container.name} is running"
    unscheduled = conditions(pod).get("PodScheduled", {})
    if unscheduled.get("status") == "False":
        return str(unscheduled.get("message") or unscheduled.get("reason") or "")
    events = events_of(evidence, "Pod", pod)
    told = warnings(events) or events
    return f"{told[-1].get('reason')}: {text(told[-1])}" if told else looking.phase(pod)


def _claim_line(evidence: PodEvidence, claim: str, found: Found) -> ObjectLine:
    subject = f"PersistentVolumeClaim {claim}"
    if isinstance(found, Unknown):
        return ObjectLine(subject, "unknown", found.why)
    if found is None:
        return ObjectLine(subject, "fail", "not found")
    phase = str((found.get("status") or {}).get("phase") or "Pending")
    if phase == "Bound":
        return ObjectLine(subject, "ok", f"Bound to {found['spec'].get('volumeName')}")
    told = events_of(evidence, "PersistentVolumeClaim", found)
    reason = f"{told[-1].get('reason')}: {text(told[-1])}" if told else phase
    return ObjectLine(subject, "fail" if phase == "Lost" else "ongoing", reason)
