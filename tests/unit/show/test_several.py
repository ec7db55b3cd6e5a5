"""Progress of several models: whose it is, on a terminal, as lines and for machines."""

import io
import json

from pvserve.events import StepState, Transfer
from pvserve.show.several import Board, JsonBoard, LineBoard, Row, several, summary_text

HALF = Transfer("send", bytes_done=512, bytes_total=1024, files_done=1, files_total=2, seconds=4.0, channel="pod")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def screen(text: str) -> list[str]:
    """What a terminal shows after `text`: lines, cursor up, erase to the end."""
    lines, row = [""], 0
    for part in text.replace("\x1b[J", "\0").split("\x1b["):
        up = part.split("A", 1)
        if up[0].isdigit() and len(up) == 2:
            row -= int(up[0])
            part = up[1]
        for character in part:
            if character == "\0":
                lines = [*lines[:row], ""]
            elif character == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif character != "\r":
                lines[row] += character
    return [line for line in lines if line]


def test_lines_say_whose_they_are_and_a_repeated_one_once_for_each_model() -> None:
    out = io.StringIO()
    board = LineBoard(out)
    one, two = board.listener("a"), board.listener("b")
    for _ in range(2):
        one(StepState("claim", "make claim", "ok"))
        two(StepState("claim", "make claim", "ok"))
    assert out.getvalue().splitlines() == ["a: [  ok] make claim", "b: [  ok] make claim"]


def test_on_a_terminal_each_running_transfer_has_one_line_below_what_is_done() -> None:
    out = io.StringIO()
    board = Board(out, Clock(), lambda: (200, 24))
    one, two = board.listener("a"), board.listener("b")
    one(HALF)
    two(HALF)
    one(StepState("claim", "make claim", "ok"))
    two(HALF)
    shown = screen(out.getvalue())
    assert shown[0] == "a: [  ok] make claim"
    assert [line[:24] for line in shown[1:]] == ["a: [######------]  50% s", "b: [######------]  50% s"]
    one(Transfer("done", 1024, 1024, 2, 2))
    assert [line[:2] for line in screen(out.getvalue())] == ["a:", "a:", "b:"]


def test_what_is_printed_between_does_not_stand_in_the_block() -> None:
    out = io.StringIO()
    board = Board(out, Clock(), lambda: (200, 24))
    board.listener("a")(HALF)
    with board.printing():
        out.write("== b\nproven\n")
    shown = screen(out.getvalue())
    assert shown[:2] == ["== b", "proven"]
    assert len(shown) == 3


def test_no_line_of_the_block_is_wider_or_the_block_higher_than_the_terminal() -> None:
    out = io.StringIO()
    board = Board(out, Clock(), lambda: (30, 3))
    for model in "abcdef":
        board.listener(model)(HALF)
    shown = screen(out.getvalue())
    assert len(shown) == 2
    assert max(map(len, shown)) == 29


def test_for_machines_every_event_has_its_model() -> None:
    out = io.StringIO()
    board = several(out, as_json=True)
    assert isinstance(board, JsonBoard)
    board.listener("a")(StepState("claim", "make claim", "ok"))
    assert json.loads(out.getvalue()) == {
        "type": "step", "step": "claim", "title": "make claim", "state": "ok", "detail": "", "model": "a",
    }  # fmt: skip


def test_without_a_terminal_there_are_no_control_characters() -> None:
    out = io.StringIO()
    board = several(out, as_json=False)
    board.listener("a\x1b[2J")(HALF)
    board.listener("a")(StepState("claim", "make claim", "ok"))
    assert "\x1b" not in out.getvalue()


def test_the_summary_counts_and_has_a_line_for_each_model() -> None:
    rows = [Row("granite", "llm", "ok", "changed, proven", 0), Row("b", "llm", "failed", "it broke", 1, "Broken")]
    assert summary_text(rows).splitlines() == [
        "2 models: 1 ok, 1 failed",
        "  granite  ok      changed, proven",
        "  b        failed  (Broken) it broke",
    ]
