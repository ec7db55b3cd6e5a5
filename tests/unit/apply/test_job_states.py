"""What several pods of one Job are together, and what is noted on the Job of how far it is."""

from __future__ import annotations

from pvserve.apply.job_state import JobState, together
from pvserve.apply.noting import noted
from pvserve.errors import Refused
from pvserve.events import Transfer

SHARE = {"done": True, "manifest": "", "fetched": 10, "shareBytes": 10, "shareFiles": 1}
PUBLISHED = {**SHARE, "manifest": "sha256:aa", "bytes": 25, "fetched": 15}


def at_work(done: int, total: int) -> JobState:
    return JobState(running=True, transfer=Transfer("send", done, total, 0, 2, seconds=5.0))


def test_it_is_done_when_all_are_as_the_one_says_that_published() -> None:
    state = together([JobState(ended=True, result=SHARE), JobState(ended=True, result=PUBLISHED)], 2)
    assert state is not None
    assert state.ended
    assert (state.result["manifest"], state.result["fetched"]) == ("sha256:aa", 25)


def test_it_is_not_done_while_one_is_at_work_and_both_are_counted() -> None:
    state = together([JobState(ended=True, result=SHARE), at_work(3, 15)], 2)
    assert state is not None
    assert not state.ended
    assert state.running
    assert state.transfer is not None
    assert (state.transfer.bytes_done, state.transfer.bytes_total, state.transfer.files_done) == (13, 25, 1)


def test_it_is_not_done_before_all_pods_were_there() -> None:
    state = together([JobState(ended=True, result=PUBLISHED)], 2)
    assert state is not None
    assert not state.ended


def test_the_first_error_ends_it() -> None:
    error = Refused("NoSuchSource", "gone")
    state = together([at_work(1, 2), JobState(ended=True, error=error)], 2)
    assert state is not None
    assert (state.ended, state.error) == (True, error)


def test_one_pod_is_what_it_is() -> None:
    alone = at_work(3, 15)
    assert together([alone], 1) is alone
    assert together([None], 1) is None


def test_what_is_noted_tells_rate_and_time_left() -> None:
    value = noted(Transfer("send", 600, 1000, 1, 2, bytes_reused=100, seconds=5.0))
    assert (value["bytes"], value["bytesTotal"], value["rate"], value["secondsLeft"]) == (600, 1000, 100, 4)


def test_no_time_left_is_told_too_early() -> None:
    assert "secondsLeft" not in noted(Transfer("send", 1, 1000, seconds=2.0))
    assert "secondsLeft" not in noted(Transfer("scan", 0, 0, seconds=9.0))
