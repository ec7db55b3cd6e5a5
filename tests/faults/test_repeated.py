"""A killed client, a power cut, racing writers: some of each in every run, a thousand in `make soak`."""

from __future__ import annotations

import os

import pytest

from .conftest import seed_of_run
from .scenarios import attempt, shrunk

FIRST = seed_of_run()
KILLS, CUTS, RACES = (int(os.environ.get(name, count)) for name, count in (("KILLS", 20), ("CUTS", 8), ("RACES", 6)))


def hold(what: str, seed: int) -> None:
    found = attempt(what, seed)
    assert not found.wrong, shrunk(what, seed, found)


@pytest.mark.parametrize("number", range(KILLS))
def test_client_killed(number: int) -> None:
    hold("kill", FIRST + number)


@pytest.mark.parametrize("number", range(CUTS))
def test_power_cut(number: int, mounting: None) -> None:
    hold("cut", FIRST + number)


@pytest.mark.parametrize("number", range(RACES))
def test_writers_race(number: int) -> None:
    hold("race", FIRST + number)
