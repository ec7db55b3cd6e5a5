"""Waiting for a service: live state per object, ready, hopeless or out of time.

Owns the loop. What a state means is `diagnose`'s to say.
"""

from __future__ import annotations

import threading
import time

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_evidence
from pvserve.diagnose import Evidence, Finding, Verdict, findings, judge
from pvserve.errors import Interrupted, PvserveError, Temporary, TimedOut
from pvserve.events import Listener, StepState
from pvserve.plan.steps import WaitReady

POLL_SECONDS = 1.0


def wait_ready(cluster: Cluster, step: WaitReady, listen: Listener, cancel: threading.Event) -> None:
    """Returns when the service is Ready for its present generation.

    Raises PvserveError at once on a state that waiting cannot mend, TimedOut after `timeout_seconds`, Interrupted.
    """
    deadline = time.monotonic() + step.timeout_seconds
    shown: dict[str, tuple[str, str]] = {}
    while True:
        if cancel.is_set():
            raise Interrupted("Interrupted", f"stopped while waiting for {step.service}; nothing was undone")
        try:
            evidence = read_evidence(cluster, cluster.namespace, step.service)
        except Temporary as error:
            listen(StepState(step.id, step.title, "ongoing", error.message))
        else:
            verdict = judge(evidence)
            _tell(step, verdict, listen, shown)
            if verdict.ready:
                return
            if verdict.hopeless is not None:
                raise failure(step.service, verdict.hopeless)
        if time.monotonic() > deadline:
            raise _out_of_time(step, evidence)
        cancel.wait(POLL_SECONDS)


def _tell(step: WaitReady, verdict: Verdict, listen: Listener, shown: dict[str, tuple[str, str]]) -> None:
    """One event for each object whose state changed since it was last told."""
    for line in verdict.lines:
        if shown.get(line.object) != (line.state, line.reason):
            shown[line.object] = (line.state, line.reason)
            listen(StepState(step.id, step.title, "ongoing", f"{line.object}: {line.state} {line.reason}".rstrip()))


def failure(service: str, finding: Finding) -> PvserveError:
    """The finding as the error that ends the command."""
    seen = "\n".join(f"{item.object}: {item.observed}" for item in finding.evidence)
    return PvserveError(
        finding.code, finding.title, subject=f"InferenceService {service}", remedy=finding.remedy, detail=seen
    )


def _out_of_time(step: WaitReady, evidence: Evidence) -> TimedOut:
    likely = findings(evidence)
    seen = "\n".join(f"{finding.title}" for finding in likely)
    return TimedOut(
        "NotReadyInTime",
        f"service {step.service} is not Ready after {step.timeout_seconds} s; it may become so, nothing was undone",
        subject=f"InferenceService {step.service}",
        remedy=(*(line for finding in likely for line in finding.remedy), f"pvserve status {step.service}"),
        detail=seen,
    )
