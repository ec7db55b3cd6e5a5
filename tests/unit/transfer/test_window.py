"""What is under way stays within a part per stream."""

from __future__ import annotations

import threading

import pytest

from pvserve.transfer.window import PART, Window


class Full(Exception):
    """It would wait."""


def full(_condition: threading.Condition) -> None:
    raise Full


def test_no_more_than_a_part_per_stream_is_under_way() -> None:
    window = Window(2)
    window.leave([(0, PART)], full)
    window.leave([(1, PART - 1)], full)
    with pytest.raises(Full):
        window.leave([(1, 2)], full)
    window.durable(0, 1)
    window.leave([(1, 2)], full)


def test_what_was_read_back_or_condemned_is_under_way_no_more() -> None:
    window = Window(1)
    window.leave([(number, 1 << 20) for number in range(32)], full)
    with pytest.raises(Full):
        window.leave([(40, 1)], full)
    window.settled(range(31))
    window.leave([(40, PART - (1 << 20))], full)


def test_acknowledgements_of_an_earlier_session_make_no_room() -> None:
    window = Window(1)
    window.durable(0, PART)
    window.settled([1])
    window.leave([(0, PART)], full)
    with pytest.raises(Full):
        window.leave([(0, 1)], full)


def test_what_is_larger_than_all_leaves_alone() -> None:
    window = Window(1)
    window.leave([(0, 2 * PART)], full)
    with pytest.raises(Full):
        window.leave([(1, 1)], full)


def test_an_acknowledgement_wakes_who_waits() -> None:
    window = Window(1)
    window.leave([(0, PART)], full)
    waits = threading.Event()

    def wait(condition: threading.Condition) -> None:
        waits.set()
        assert condition.wait(10), "nobody woke it"

    thread = threading.Thread(target=window.leave, args=([(1, PART)], wait))
    thread.start()
    assert waits.wait(10)
    window.settled([0])
    thread.join(10)
    assert not thread.is_alive()
