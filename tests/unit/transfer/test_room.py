"""What must be free: bytes and inodes that the partial transfer has already are not asked for again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pvserve.errors import Refused
from pvserve.transfer import Target, size_wanted
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.causes import INODES, check_inodes, check_room, failure, no_room

from .pod import tree

TARGET = Target("granite", "vllm")
PATHS = ["config.json", "sub/deep/a", "sub/deep/b", "other/c"]  # and three directories
SPACE = {"free": 0, "size": 1 << 30, "block": 4096}


def test_directories_above_directories_take_inodes_too() -> None:
    check_inodes(TARGET, PATHS, 7 + INODES)
    with pytest.raises(Refused) as few:
        check_inodes(TARGET, PATHS, 6 + INODES)
    assert few.value.reason == "ClaimOutOfInodes"


def test_inodes_that_the_partial_transfer_has_are_not_asked_for_again() -> None:
    check_inodes(TARGET, PATHS, 2 + INODES, held=5)
    with pytest.raises(Refused):
        check_inodes(TARGET, PATHS, 1 + INODES, held=5)
    check_inodes(TARGET, PATHS, 0, held=7)


def test_a_file_system_that_counts_no_inodes_has_enough() -> None:
    check_inodes(TARGET, PATHS, -1)


@pytest.mark.parametrize("lie", [-1 << 40, 1 << 60])
def test_a_pod_that_lies_of_what_it_holds_is_not_the_worse_for_it(lie: int) -> None:
    """At most the volume turns out to be full later."""
    check_inodes(TARGET, PATHS, 7 + INODES, held=lie)
    check_room(TARGET, [4096], {}, {**SPACE, "free": 1 << 20, "held": lie})


def test_bytes_that_must_be_written_again_take_no_new_room() -> None:
    """Not yet durable, so not acknowledged, but written over in place."""
    sizes, there = [10 << 20], {0: 1 << 20}
    with pytest.raises(Refused):
        check_room(TARGET, sizes, there, {**SPACE, "free": 5 << 20})
    check_room(TARGET, sizes, there, {**SPACE, "free": 5 << 20, "held": 6 << 20})


def test_the_agent_counts_what_lies_in_the_partial_transfer(tmp_path: Path) -> None:
    claim = tmp_path / "claim"
    tree(claim / ".pvserve/partial/T/000000000001/files", {"a": b"x" * 5000, "sub/deep/b": b"", "link": b"y"})
    partial = Partial(Place(str(claim), "granite", "granite"), "T", 2)
    partial.open()
    held = partial.held()
    assert held["inodes"] == 5
    assert 5000 <= held["bytes"] <= 64 << 10
    assert partial.taken_over


def test_who_finds_nothing_has_taken_over_from_nobody(tmp_path: Path) -> None:
    assert not Partial(Place(str(tmp_path), "granite", "granite"), "T", 1).taken_over


def test_a_full_claim_says_which_size_would_do() -> None:
    gib = 1 << 30
    told = {"errno": errno.ENOSPC, "path": "weights", "space": {"free": gib // 2, "size": 10 * gib}}
    full = failure(told, TARGET, missing=4 * gib)
    assert full.message.endswith("; 14Gi would do"), full.message  # 10 + 4.24 - 0.5
    small = no_room(TARGET, 4 * gib, gib // 2, 10 * gib)
    assert (size_wanted(full), size_wanted(small)) == ("14Gi", "14Gi")
    assert size_wanted(failure(told, TARGET)) == "", "how much is missing is not known"
    assert size_wanted(failure({"errno": errno.ENOSPC}, TARGET, missing=4)) == ""
