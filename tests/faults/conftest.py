"""A trial per test, its seed, and what these tests need of the machine."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import any_cluster, cluster, namespace  # noqa: F401 - fixtures of the tests on a cluster

from .trial import Trial
from .volume import Volume, can_mount


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


def seed_of_run() -> int:
    """PVSERVE_SEED, or a new one."""
    return int(os.environ.get("PVSERVE_SEED") or random.SystemRandom().randrange(1 << 30))


@pytest.fixture
def seed() -> int:
    """Printed, so that a failure can be made again."""
    number = seed_of_run()
    print(f"PVSERVE_SEED={number}")
    return number


@pytest.fixture
def trial(tmp_path: Path, seed: int) -> Iterator[Trial]:
    """On a directory of this machine."""
    made = Trial(tmp_path / "trial", seed)
    yield made
    made.clear()


@pytest.fixture
def mounting() -> None:
    """Loop devices can be used."""
    why = can_mount()
    if why and "faults" in os.environ.get("PVSERVE_REQUIRE", ""):
        pytest.fail(f"this case {why}")
    if why:
        pytest.skip(f"this case {why}")


@pytest.fixture
def volume(mounting: None, tmp_path: Path) -> Iterator[Volume]:
    """64 MiB of ext4."""
    with Volume(tmp_path / "volume") as made:
        yield made


@pytest.fixture
def on_volume(volume: Volume, tmp_path: Path, seed: int) -> Iterator[Trial]:
    """A trial whose claim is that volume."""
    made = Trial(tmp_path / "trial", seed, claim=volume.root)
    yield made
    made.clear()
