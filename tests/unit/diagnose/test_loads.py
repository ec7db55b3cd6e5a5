"""Loads that are suspended: named with their queue, and with what Kueue says of them."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.diagnose import Finding, LoadEvidence, load_findings
from pvserve.facts import Object, Unknown

QUEUE = "kueue.x-k8s.io/queue-name"
PLACE = "pvc://cache/granite"


def job(name: str = "pvserve-load-1", queue: str = "models", ended: str = "", suspend: bool = True) -> Object:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    return {
        "metadata": {
            "name": name,
            "labels": {QUEUE: queue} if queue else {},
            "annotations": {"pvserve.io/place": PLACE},
        },
        "spec": {"suspend": suspend},
        "status": {"conditions": conditions},
    }


def said(message: str, at: str, of: str = "job-pvserve-load-1-5f3", kind: str = "Workload") -> Object:
    return {"involvedObject": {"kind": kind, "name": of}, "message": message, "lastTimestamp": at}


def found(*jobs: Object, events: Any = ()) -> tuple[Finding, ...]:
    return load_findings(LoadEvidence("llm", "2026-01-01T00:00:00Z", jobs, events))


def test_a_load_in_a_queue_is_named_with_what_kueue_last_said_of_it() -> None:
    events = (
        said("first", "2026-01-01T00:00:01Z"),
        said("insufficient unused quota for cpu", "2026-01-01T00:00:02Z"),
        said("of another", "2026-01-01T00:00:03Z", of="job-pvserve-load-12-5f3"),
        said("no Workload", "2026-01-01T00:00:04Z", kind="Pod"),
    )
    (finding,) = found(job(), events=events)
    assert (finding.code, finding.severity) == ("LoadQueued", "warn")
    assert "pvserve-load-1" in finding.title
    assert PLACE in finding.title
    assert "queue models" in finding.title
    assert finding.evidence[1].observed == "insufficient unused quota for cpu"
    assert any(f"pvserve status {PLACE} --follow -n llm" in line for line in finding.remedy)


def test_one_that_was_paused_by_hand_is_let_go_on_by_hand() -> None:
    (finding,) = found(job(queue=""))
    assert finding.code == "LoadSuspended"
    assert "suspend" in finding.remedy[0]


@pytest.mark.parametrize("ended", ["Complete", "Failed", "FailureTarget"])
def test_what_has_ended_or_runs_waits_for_nobody(ended: str) -> None:
    assert found(job(ended=ended), job(suspend=False)) == ()


def test_what_may_not_be_read_is_unknown() -> None:
    hidden = Unknown("you may not list jobs", "forbidden")
    (finding,) = load_findings(LoadEvidence("llm", "", hidden))
    assert finding.code == "NotReadable"
    (queued,) = found(job(), events=hidden)
    assert queued.evidence[-1].observed == "you may not list jobs"
