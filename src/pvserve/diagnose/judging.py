"""Evidence in, verdict or findings out.

Owns which causes count: of the present generation only, the most causal first.
"""

from __future__ import annotations

from dataclasses import replace

from pvserve.diagnose.claims import claim_causes
from pvserve.diagnose.containers import container_causes
from pvserve.diagnose.creation import creation_causes
from pvserve.diagnose.lateness import deadline_causes, policy_causes, unread_causes
from pvserve.diagnose.lines import pod_lines, service_lines
from pvserve.diagnose.meanings import cause, rank
from pvserve.diagnose.mounting import mounting_causes
from pvserve.diagnose.naming import in_its_words, lines_in_its_words
from pvserve.diagnose.occurrences import conditions
from pvserve.diagnose.rollout import current_pods, is_fresh, is_ready
from pvserve.diagnose.scheduling import scheduling_causes
from pvserve.diagnose.serving import service_causes
from pvserve.diagnose.values import Cause, Evidence, Finding, PodEvidence, Seen, Verdict
from pvserve.facts import Object, known


def judge(evidence: Evidence) -> Verdict:
    """Whether to go on waiting for a service.

    Not hopeless while what is seen may be of an earlier spec: a broken service that was just mended is waited for.
    """
    causes = _causes(evidence)
    lines = lines_in_its_words(service_lines(evidence, causes), evidence)
    if is_ready(evidence):
        return Verdict(True, None, lines)
    gone = evidence.service is None
    return Verdict(False, _hopeless(causes) if gone or is_fresh(evidence) else None, lines)


def judge_pod(evidence: PodEvidence) -> Verdict:
    """Whether to go on waiting for a pod that stands alone."""
    pods = known(evidence.pods, ())
    causes = _dated(_pod_causes(evidence, pods), evidence.now)
    is_up = bool(pods) and all((conditions(pod).get("Ready") or {}).get("status") == "True" for pod in pods)
    return Verdict(is_up, None if is_up else _hopeless(causes), pod_lines(evidence, causes))


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """All that is wrong or worth knowing, most causal first; never empty."""
    causes = _causes(evidence)
    found = [item.finding for item in causes]
    if is_ready(evidence):
        checked = in_its_words(cause("Healthy", *_checks(evidence), service=evidence.name), evidence)
        healthy = _of_now(checked.finding, evidence.now)
        # What failed and is mended by now is history to a service that serves.
        return (*(replace(item, severity="warn") if item.severity == "fail" else item for item in found), healthy)
    if not any(item.severity == "fail" for item in found) and isinstance(evidence.service, dict):
        found.append(_of_now(_unexplained(evidence, evidence.service), evidence.now))
    return tuple(found)


def _hopeless(causes: tuple[Cause, ...]) -> Finding | None:
    """Once the deadline has passed, the most causal failure says why, hopeless by itself or not."""
    if any(item.finding.code == "DeadlineExceeded" and item.hopeless for item in causes):
        return next(item.finding for item in causes if item.finding.severity == "fail")
    return next((item.finding for item in causes if item.hopeless), None)


def _causes(evidence: Evidence) -> tuple[Cause, ...]:
    pods = current_pods(evidence)
    found = (
        *service_causes(evidence),
        *creation_causes(evidence),
        *deadline_causes(evidence, pods),
        *policy_causes(evidence, pods),
    )
    causes = _dated(_ordered((*found, *_pod_causes(evidence, pods))), evidence.now)
    return tuple(in_its_words(item, evidence) for item in causes)


def _pod_causes(evidence: PodEvidence, pods: tuple[Object, ...]) -> tuple[Cause, ...]:
    return _ordered(
        (
            *claim_causes(evidence),
            *scheduling_causes(evidence, pods),
            *mounting_causes(evidence, pods),
            *container_causes(evidence, pods),
            *unread_causes(evidence),
        )
    )


def _ordered(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Most causal first; what was seen twice is one finding with both observations."""
    by_title: dict[str, Cause] = {}
    for item in sorted(causes, key=rank):
        known_as = by_title.setdefault(item.finding.title, item)
        if known_as is not item:
            seen = tuple(dict.fromkeys((*known_as.finding.evidence, *item.finding.evidence)))
            merged = replace(known_as.finding, evidence=seen)
            by_title[item.finding.title] = Cause(merged, known_as.hopeless or item.hopeless)
    return tuple(by_title.values())


def _dated(causes: tuple[Cause, ...], now: str) -> tuple[Cause, ...]:
    """What bears no time of its own is as of now: at least one observation of each finding says when it was made."""
    return tuple(replace(item, finding=_of_now(item.finding, now)) for item in causes)


def _of_now(finding: Finding, now: str) -> Finding:
    if not finding.evidence or any(item.time for item in finding.evidence):
        return finding
    first, *others = finding.evidence
    return replace(finding, evidence=(replace(first, time=now), *others))


def _unexplained(evidence: Evidence, service: Object) -> Finding:
    """What the service says of itself, and no guess."""
    told = tuple(
        Seen(
            f"InferenceService {evidence.name}",
            f"{kind} is {item.get('status')}: {item.get('reason') or ''} {item.get('message') or ''}".rstrip(": "),
            str(item.get("lastTransitionTime") or ""),
        )
        for kind, item in conditions(service).items()
        if item.get("status") != "True" and item.get("severity") != "Info"
    )
    found = cause("NotReady", *told, service=evidence.name, namespace=evidence.namespace)
    return in_its_words(found, evidence).finding


def _checks(evidence: Evidence) -> tuple[Seen, ...]:
    """Every object that was looked at, and what it said."""
    return tuple(Seen(line.object, f"{line.state} {line.reason}".rstrip()) for line in service_lines(evidence, ()))
