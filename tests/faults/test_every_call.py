"""The agent dies at one call after the other: the client goes on, and nobody sees anything between two versions."""

from __future__ import annotations

import os

import pytest

from . import reader
from .trial import KIB, Trial

EVERY = int(os.environ.get("EVERY", "4"))  # of the calls; `make soak` takes each


def prepared(trial: Trial):
    old, new = trial.source("old", large=(300 * KIB,), small=3), trial.source("new", large=(300 * KIB,), small=3)
    return old, new


def calls_of_a_load(trial: Trial) -> int:
    old, new = prepared(trial)
    assert not trial.run(old, epoch=1, machine="old").code
    trial.arm("nothing", -1)
    assert not trial.run(new, epoch=2, replace=True).code
    trial.disarm()
    return len(trial.calls())


@pytest.mark.parametrize("how", ["kill", "EIO"])
def test_the_agent_dies_or_fails_at_each_call(how: str, trial: Trial, tmp_path) -> None:
    count = calls_of_a_load(trial)
    assert count > 40, "the calls are not counted any more"
    wrong = []
    for at in range(1 + trial.rng.randrange(EVERY), count + 1, EVERY):
        one = Trial(tmp_path / f"at-{at}", trial.seed)
        try:
            old, new = prepared(one)
            assert not one.run(old, epoch=1, machine="old").code
            allowed = {"old": reader.digests(old), "new": reader.digests(new)}
            one.arm(how, at)
            ran = one.run(new, epoch=2, replace=True)
            assert not one.plan.exists(), f"call {at} never came"
            one.disarm()
            found = one.check(allowed)
            if ran.code:  # it gave up: then the same command ends the job
                assert ran.reason != "Traceback", ran.said
                ran = one.run(new, epoch=3, replace=True)
            found += one.check_done(ran, new)
            wrong += [f"{how} at call {at} ({one.calls()[at - 1]}): {words}" for words in found]
        finally:
            one.clear()
    assert not wrong, "\n".join(wrong)
