"""What is still to come, as jobs: grouped so that nobody waits, and nothing that is there comes again."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.model import Found
from pvserve.transfer.agent.frames import CELL, SMALL, Broken
from pvserve.transfer.jobs import SHARED, jobs
from pvserve.transfer.sender import Job

SIZES = (10, 3 * CELL, SMALL, 5 * CELL, 0)  # large: 3, 1
DIGEST = "ab" * 32


def plan(have: dict[int, list[Any]], known: str = DIGEST, **where: bool) -> list[Job]:
    entries = [Found(f"f{number}", size, 1, 1, number, 1, False, f"f{number}", "") for number, size in enumerate(SIZES)]
    return jobs(entries, [known] * len(SIZES), have, **{"in_pod": False, "shares": False, **where})


def test_over_the_network_large_files_come_first_and_in_the_pod_small_ones() -> None:
    assert [job.numbers for job in plan({})] == [[3], [1], [0, 2, 4]]
    assert [job.numbers for job in plan({}, in_pod=True)] == [[0, 2, 4], [3], [1]]


def test_files_that_share_blocks_are_one_job_where_their_digests_are_known() -> None:
    assert [job.numbers for job in plan({}, in_pod=True, shares=True)] == [[0, 1, 2, 3, 4]]
    assert [job.numbers for job in plan({}, known="", in_pod=True, shares=True)] == [[0, 2, 4], [3], [1]]


def test_of_many_files_a_job_has_as_many_as_the_agent_takes() -> None:
    count = 2 * SHARED + 1
    entries = [Found(f"f{number}", 1, 1, 1, number, 1, False, "f", "") for number in range(count)]
    found = jobs(entries, [DIGEST] * count, {}, in_pod=True, shares=True)
    assert [len(job.numbers) for job in found] == [SHARED, SHARED, 1]


@pytest.mark.parametrize("shares", [False, True])
def test_what_is_there_does_not_come_again(shares: bool) -> None:
    have = {0: ["v", DIGEST], 1: ["d", [(0, 2)]], 3: ["v", DIGEST]}
    found = plan(have, in_pod=True, shares=shares)
    assert [job.numbers for job in found] == [[2, 4], [1]]
    assert found[-1].skip == b"\1\1\0"  # what is durable of it would be lost by sharing


def test_what_is_there_and_not_known_is_only_digested() -> None:
    found = plan({0: ["c"], 1: ["v", DIGEST], 2: ["v", DIGEST], 3: ["c"], 4: ["v", DIGEST]}, known="")
    assert [(job.numbers, job.send) for job in found] == [([3], False), ([1], False), ([0, 2, 4], False)]


@pytest.mark.parametrize("run", [(-1, 1), (2, 2), (1, -1), (4, 0)])
def test_cells_that_no_file_has_are_refused(run: tuple[int, int]) -> None:
    with pytest.raises(Broken):
        plan({1: ["d", [run]]})
