"""The verdict: unknown is never passed, and no exit code 0 without a proof."""

import itertools

import pytest

from pvserve.verify.proof import Check, Proof, Result


def proof(*results: Result) -> Proof:
    return Proof("x", tuple(Check(f"check-{number}", "", result, "") for number, result in enumerate(results)))


@pytest.mark.parametrize("results", list(itertools.product(("passed", "failed", "unknown"), repeat=3)))
def test_zero_only_when_every_check_passed(results: tuple[Result, ...]) -> None:
    assert (proof(*results).exit_code == 0) == all(result == "passed" for result in results)


def test_a_proof_of_nothing_is_no_proof() -> None:
    assert proof().exit_code != 0


def test_differing_bytes_have_their_own_exit_code() -> None:
    assert Proof("x", (Check("digests", "", "failed", ""), Check("ready", "", "passed", ""))).exit_code == 6


def test_another_failure_beside_differing_bytes_is_a_failure() -> None:
    assert Proof("x", (Check("digests", "", "failed", ""), Check("ready", "", "failed", ""))).exit_code == 1


def test_unknown_is_told_apart_from_failed() -> None:
    assert proof("passed", "unknown").exit_code == 10
