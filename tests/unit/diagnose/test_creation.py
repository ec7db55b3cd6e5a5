"""Pods that admission refuses, in the refuser's words."""

from __future__ import annotations

import pytest

from pvserve.diagnose import Verdict, judge

from .objects import LATER, START, deployment, ready_service, service_evidence


def refused(message: str, since: str = START) -> Verdict:
    failing = deployment(updatedReplicas=0, replicas=0)
    failing["status"]["conditions"] = [
        {
            "type": "ReplicaFailure",
            "status": "True",
            "reason": "FailedCreate",
            "message": message,
            "lastTransitionTime": since,
        }
    ]
    service = ready_service()
    service["status"]["conditions"][0]["status"] = "False"
    return judge(service_evidence(service, failing))


@pytest.mark.parametrize(
    ("message", "code", "names"),
    [
        (
            'pods "g-1" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=1, used: 0, limited: 0',
            "QuotaExceeded",
            "ResourceQuota team",
        ),
        (
            'pods "g-1" is forbidden: failed quota: team: must specify limits.cpu, limits.memory for: a',
            "QuotaNeedsResources",
            "limits.memory",
        ),
        (
            'pods "g-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "LimitRangeExceeded",
            "LimitRange of namespace llm",
        ),
        (
            'pods "g-1" is forbidden: minimum cpu usage per Pod is 100m, but request is 10m',
            "LimitRangeExceeded",
            "LimitRange of namespace llm",
        ),
        (
            'pods "g-1" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
            "PodSecurityRefused",
            "restricted:latest",
        ),
        (
            'pods "g-1" is forbidden: unable to validate against any security context constraint: [...]',
            "SccRefused",
            "security context constraint",
        ),
        (
            'pods "g-1" is forbidden: error looking up service account llm/robot: serviceaccount "robot" not found',
            "ServiceAccountMissing",
            "ServiceAccount robot",
        ),
        ('admission webhook "policy.example" denied the request: no', "WebhookRefused", "policy.example"),
    ],
)
def test_refusals_have_a_meaning(message: str, code: str, names: str) -> None:
    ended = refused(message).hopeless
    assert ended is not None
    assert (ended.code, names in ended.title) == (code, True)
    assert message in ended.evidence[0].observed


def test_webhook_that_does_not_answer_may_come_back() -> None:
    failing = 'Internal error occurred: failed calling webhook "policy.example": connection refused'
    assert refused(failing).hopeless is None


def test_quota_that_was_just_freed_is_counted_again() -> None:
    assert refused("exceeded quota: team, requested: pods=1", since=LATER).hopeless is None


def test_unknown_refusal_is_shown_and_not_judged() -> None:
    verdict = refused("something nobody has seen before")
    assert verdict.hopeless is None
    assert any("something nobody has seen before" in line.reason for line in verdict.lines)
