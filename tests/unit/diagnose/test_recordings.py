"""What is said of services as real KServe left them seven seconds after they were applied."""

from __future__ import annotations

import pytest

from pvserve.diagnose import findings, judge

from .objects import RECORDINGS, recorded

HOPELESS = {
    "both-storage-and-uri": "StorageTwice",
    "runtime-missing": "RuntimeMissing",
    "runtime-disabled": "RuntimeDisabled",
    "format-unsupported": "FormatUnsupported",
    "pvc-stopped": "ServiceStopped",
    "storage-uris-pvc": "ClaimMountedTwice",
}
# Alive, but its container sleeps and never listens.
WAITING = sorted(path.stem for path in RECORDINGS.glob("*.yaml") if path.stem not in HOPELESS)


@pytest.mark.parametrize(("case", "code"), HOPELESS.items())
def test_invalid_service_is_hopeless(case: str, code: str) -> None:
    evidence = recorded(case)
    verdict = judge(evidence)
    assert verdict.hopeless is not None
    assert verdict.hopeless.code == code
    assert verdict.hopeless == findings(evidence)[0]
    assert verdict.hopeless.evidence
    assert verdict.hopeless.remedy


@pytest.mark.parametrize("case", WAITING)
def test_service_that_may_still_come_up_is_waited_for(case: str) -> None:
    verdict = judge(recorded(case))
    assert not verdict.ready
    assert verdict.hopeless is None
    assert verdict.lines[0].object == "InferenceService granite"


def test_all_recordings_are_covered() -> None:
    assert len(HOPELESS) + len(WAITING) == len(list(RECORDINGS.glob("*.yaml"))) == 25


def test_claim_that_does_not_exist_is_told_by_the_scheduler_alone() -> None:
    found = findings(recorded("pvc-missing-claim"))
    assert found[0].code == "NotReady", "the recording has no PodScheduled condition, so nothing is guessed"
