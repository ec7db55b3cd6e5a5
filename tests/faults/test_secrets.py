"""What the transfer's two ends know and nobody else may: it is in no argument, no file on the volume, no message."""

from __future__ import annotations

import pytest

from . import reader
from .trial import MIB, Trial


@pytest.mark.parametrize("via", ["pod", "port-forward"])
def test_no_secret_is_to_be_seen_while_a_load_runs_nor_afterwards(via: str, trial: Trial) -> None:
    source = trial.source(large=(6 * MIB,), small=3)
    running = trial.start(source, via=via, pace=0.05)
    running.reached(lambda counts: counts[1] > MIB)
    assert trial.agents(), "no agent runs"
    assert reader.secrets_seen(trial.secrets, trial.claim, []) == []
    assert trial.check_done(running.ended(), source) == []
    assert trial.secrets.read_text().strip(), "no secret was made"


def test_a_secret_that_is_to_be_seen_is_found(trial: Trial) -> None:
    """Else the check above could not fail."""
    source = trial.source(small=3)
    assert trial.check_done(trial.run(source, via="pod"), source) == []
    [leaked] = list(trial.claim.glob(".pvserve/models/*/path"))
    leaked.write_text("x" + trial.secrets.read_text().splitlines()[0] + "x")
    assert [line[:2] for line in trial.check({"whole": reader.digests(source)})] == ["I6"]
