"""What KServe says of a service, in its status and its events."""

from __future__ import annotations

import pytest

from pvserve.diagnose import judge
from pvserve.diagnose.judging import findings
from pvserve.diagnose.pods import service_claims
from pvserve.facts import Unknown

from .objects import LATER, START, event, ready_service, recorded, service_evidence


def waiting(written: str = START) -> dict[str, object]:
    return {**ready_service(written=written), "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}


def error(message: str, at: str = LATER) -> dict[str, object]:
    return event("InferenceService", "granite", "InternalError", message, at)


KNATIVE = (
    'admission webhook "validation.webhook.serving.knative.dev" denied the request: '
    "validation failed: Persistent volume claim support is disabled, but found persistent volume claim models"
)


def test_knative_without_its_flags_for_claims() -> None:
    ended = judge(service_evidence(waiting(), events=(error(KNATIVE),))).hopeless
    assert ended is not None
    assert ended.code == "KnativeWithoutClaims"
    assert "kubernetes.podspec-persistent-volume-claim" in ended.remedy[0]


def test_unknown_error_is_shown_and_does_not_end_the_wait() -> None:
    evidence = service_evidence(waiting(), events=(error("something nobody has seen before"),))
    assert judge(evidence).hopeless is None
    found = findings(evidence)[0]
    assert (found.code, found.severity) == ("ServiceError", "warn")
    assert "something nobody has seen before" in found.evidence[0].observed


@pytest.mark.parametrize(
    "message",
    ["Operation cannot be fulfilled: the object has been modified", 'failed calling webhook "x": connection refused'],
)
def test_error_in_passing_is_none(message: str) -> None:
    codes = [item.code for item in findings(service_evidence(waiting(), events=(error(message),)))]
    assert codes == ["NotReady"]


def test_error_about_an_earlier_spec_is_history() -> None:
    both = error("must provide only one of storageUri and storage.path", at="2026-11-24T12:00:00Z")
    assert judge(service_evidence(waiting(), events=(both,))).hopeless is not None
    mended = waiting(written="2026-11-24T12:05:00Z")
    assert judge(service_evidence(mended, events=(both,))).hopeless is None


def test_service_that_nobody_acts_on() -> None:
    untouched = {**ready_service(), "status": {}}
    untouched["metadata"]["creationTimestamp"] = START
    found = findings(service_evidence(untouched))[0]
    assert found.code == "NoStatus"
    assert "for 600 s" in found.title
    young = service_evidence(untouched, now="2026-11-24T12:00:10Z")
    assert [item.code for item in findings(young)] == ["NotReady"]


def test_service_that_may_not_be_read_is_unknown() -> None:
    evidence = service_evidence(Unknown("you may not get inferenceservices", "forbidden"))
    verdict = judge(evidence)
    assert (verdict.ready, verdict.hopeless, verdict.lines[0].state) == (False, None, "unknown")
    assert [item.code for item in findings(evidence)] == ["NotReadable"]


def test_service_that_does_not_exist() -> None:
    ended = judge(service_evidence(None)).hopeless
    assert ended is not None
    assert ended.code == "ServiceMissing"


@pytest.mark.parametrize(
    ("case", "claims"),
    [
        ("pvc", ("models",)),
        ("pvc-root", ("models",)),
        ("storage-uris-pvc", ("models",)),
        ("custom-predictor", ("models",)),
        ("s3-storage-uri", ()),
    ],
)
def test_claims_that_a_service_names(case: str, claims: tuple[str, ...]) -> None:
    service = recorded(case).service
    assert isinstance(service, dict)
    assert service_claims(service) == claims
