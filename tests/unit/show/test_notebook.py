"""Progress in a notebook: one output, updated in place, as IPython's display would keep it."""

import sys
import types
from typing import Any

import pytest

from pvserve.diagnose import Finding
from pvserve.events import Note, StepState, Transfer
from pvserve.inventory import ClaimRow
from pvserve.plan.drift import Drift
from pvserve.plan.steps import Plan
from pvserve.show import notebook
from pvserve.show.notebook import NotebookProgress, kernel_shell, register
from pvserve.show.progress import Lines
from pvserve.verify.proof import Proof


class Display:
    """IPython.display.display, as far as it is used."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []
        self.updates = 0

    def __call__(self, data: dict[str, str], *, raw: bool, display_id: bool) -> "Display":
        assert raw
        assert display_id
        self.outputs.append(data)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.updates += 1
        self.outputs[-1] = data


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def sending(done: int) -> Transfer:
    return Transfer("send", bytes_done=done, bytes_total=100, files_done=0, files_total=1, seconds=2.0)


def test_a_run_is_one_output_that_is_updated() -> None:
    display, clock = Display(), Clock()
    told = NotebookProgress(display, clock)
    told(StepState("load", "load granite", "ongoing"))
    for second in range(100):
        clock.now += 1
        told(sending(second))
    told(Transfer("done", 100, 100, 1, 1))
    told(StepState("load", "load granite", "ok"))
    (output,) = display.outputs
    assert "load granite" in output["text/html"]
    assert "<progress" not in output["text/html"]
    assert output["text/plain"].splitlines()[-1] == "[  ok] load granite"


def test_a_running_transfer_is_a_bar() -> None:
    display = Display()
    NotebookProgress(display)(sending(25))
    assert '<progress max="1" value="0.250">' in display.outputs[0]["text/html"]


def test_updates_are_not_sent_faster_than_a_page_can_show() -> None:
    display, clock = Display(), Clock()
    told = NotebookProgress(display, clock)
    for step in range(1000):
        clock.now = 100 + step / 100
        told(sending(step % 100))
    assert display.updates < 45


def test_nothing_from_a_cluster_is_markup() -> None:
    display = Display()
    told = NotebookProgress(display)
    told(Note("<script>alert(1)</script>\x1b[31m"))
    assert "<script>" not in display.outputs[0]["text/html"]
    assert "\x1b" not in display.outputs[0]["text/html"]


def test_a_transformed_line_is_said_once() -> None:
    display = Display()
    told = NotebookProgress(display)
    for _ in range(3):
        told(Note("waiting"))
    assert display.outputs[0]["text/plain"] == "waiting"


@pytest.mark.parametrize(("kernel", "found"), [(True, True), (False, False)])
def test_a_kernel_is_told_from_ipython_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, kernel: bool, found: bool
) -> None:
    shell = types.SimpleNamespace(kernel=object()) if kernel else types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert (kernel_shell() is shell) == found


def test_without_ipython_progress_goes_to_stderr() -> None:
    assert "IPython" not in sys.modules
    assert isinstance(notebook.progress(), Lines)


class Formatter:
    """One of IPython's display formatters."""

    def __init__(self) -> None:
        self.functions: dict[tuple[str, str], Any] = {}

    def for_type_by_name(self, module: str, name: str, function: Any) -> None:
        self.functions[module, name] = function


class Printer:
    def __init__(self) -> None:
        self.said = ""

    def text(self, text: str) -> None:
        self.said += text


def registered() -> dict[str, Formatter]:
    formatters = {"text/html": Formatter(), "text/plain": Formatter()}
    register(types.SimpleNamespace(display_formatter=types.SimpleNamespace(formatters=formatters)))
    return formatters


def test_values_are_shown_as_html_and_as_text() -> None:
    formatters, plan = registered(), Plan("llm", "granite", "c", "p", notes=("a < b",))
    assert "a &lt; b" in formatters["text/html"].functions["pvserve.plan.steps", "Plan"](plan)
    printer = Printer()
    formatters["text/plain"].functions["pvserve.plan.steps", "Plan"](plan, printer, False)
    assert "note: a < b" in printer.said


def test_formatters_are_registered_for_types_that_exist() -> None:
    from pvserve.api.models import Outcome
    from pvserve.api.planned import Planned

    names = {(kind.__module__, kind.__name__) for kind in (Plan, Planned, Outcome, Proof, ClaimRow, Finding, Drift)}
    assert names == set(registered()["text/html"].functions)
