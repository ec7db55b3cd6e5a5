"""Progress in its three worlds, with a clock of the test's own."""

import io
import json

import pytest

from pvserve.events import Note, StepState, Transfer
from pvserve.show.progress import Bar, JsonLines, Lines, progress, transfer_words
from pvserve.show.words import clean, duration, size

HALF = Transfer("send", bytes_done=512, bytes_total=1024, files_done=1, files_total=2, seconds=4.0, channel="pod")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_tell_a_transfer_every_ten_seconds_without_carriage_returns() -> None:
    out, clock = io.StringIO(), Clock()
    lines = Lines(out, clock)
    for second in range(25):
        clock.now = float(second)
        lines(Transfer("send", bytes_done=second, bytes_total=25, seconds=clock.now))
    assert len(out.getvalue().splitlines()) == 2
    assert "\r" not in out.getvalue()


def test_lines_say_a_repeated_state_once() -> None:
    out = io.StringIO()
    lines = Lines(out)
    for _ in range(3):
        lines(StepState("wait", "wait for granite", "ongoing", "Pod granite-1: pulling"))
    assert out.getvalue() == "[  ..] wait for granite: Pod granite-1: pulling\n"


def test_the_bar_is_redrawn_in_place_and_left_behind_as_a_line() -> None:
    out, clock = io.StringIO(), Clock()
    bar = Bar(out, clock)
    clock.now = 1.0
    bar(HALF)
    bar(Transfer("done", 1024, 1024, 2, 2))
    assert "\r\x1b[K[############------------]  50% send" in out.getvalue()
    assert out.getvalue().endswith("done 1.0 KiB of 1.0 KiB, 2/2 files\n")


def test_json_lines_carry_their_type() -> None:
    out = io.StringIO()
    json_lines = JsonLines(out)
    for event in (HALF, Note("x"), StepState("a", "b", "ok")):
        json_lines(event)
    assert [json.loads(line)["type"] for line in out.getvalue().splitlines()] == ["transfer", "note", "step"]


def test_rate_and_time_left() -> None:
    assert transfer_words(HALF) == "send 512 B of 1.0 KiB, 1/2 files, 128 B/s, 4.0 s left, by pod"


def test_reused_bytes_are_not_counted_as_speed() -> None:
    words = transfer_words(Transfer("send", 1000, 2000, 1, 2, bytes_reused=1000, seconds=10.0))
    assert "/s" not in words


def test_nothing_from_a_cluster_steers_the_terminal() -> None:
    assert "\x1b" not in clean("\x1b[2Jboo")


def test_sizes_and_durations() -> None:
    assert [size(n) for n in (0, 1023, 1536, 140 << 30)] == ["0 B", "1023 B", "1.5 KiB", "140.0 GiB"]
    assert [duration(s) for s in (0.25, 45, 200, 7500)] == ["0.2 s", "45 s", "3 min 20 s", "2 h 05 min"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize(("term", "writer"), [("xterm", Bar), ("dumb", Lines)])
def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch, term: str, writer: type) -> None:
    monkeypatch.setenv("TERM", term)
    assert isinstance(progress(Terminal()), writer)


def test_a_pipe_gets_lines() -> None:
    assert isinstance(progress(io.StringIO()), Lines)


def test_the_bar_is_never_wider_than_the_terminal() -> None:
    out, clock = io.StringIO(), Clock()
    bar = Bar(out, clock, columns=lambda: 40)
    clock.now = 1.0
    bar(Transfer("send", 1, 100, 1, 9, seconds=9.0, channel="port-forward", waiting_for="claim c: no progress for 9 s"))
    assert len(out.getvalue().removeprefix("\r\x1b[K")) == 39


@pytest.mark.parametrize("writer", [Lines, Bar, JsonLines])
def test_a_reader_that_left_does_not_fail_the_work(writer: type) -> None:
    tell = writer(Closed())
    for event in (Note("a"), StepState("a", "b", "ok"), Transfer("done", 1, 1, 1, 1)):
        tell(event)
