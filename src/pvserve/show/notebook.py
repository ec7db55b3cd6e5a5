"""Progress and results in a notebook, without ipywidgets.

Owns the two ties to IPython: a display that is updated in place (and stays in the saved notebook), and formatters for
the API's values, so that the values themselves know nothing of notebooks. IPython is never imported: it is there, or
this is no notebook.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from pvserve.events import Event, Listener, Transfer
from pvserve.show.html import html_of, progress_html
from pvserve.show.progress import event_words
from pvserve.show.progress import progress as stream_progress

UPDATE_SECONDS = 0.25  # a kernel sends every update to every open page
KEPT_LINES = 200
SHOWN = (
    ("pvserve.plan.steps", "Plan"),
    ("pvserve.plan.drift", "Drift"),
    ("pvserve.api.planned", "Planned"),
    ("pvserve.api.models", "Outcome"),
    ("pvserve.verify.proof", "Proof"),
    ("pvserve.inventory", "ClaimRow"),
    ("pvserve.diagnose.values", "Finding"),
)


class Handle(Protocol):
    """What IPython's `display(…, display_id=True)` gives."""

    def update(self, obj: Any, *, raw: bool) -> None: ...


Display = Callable[..., Any]


def kernel_shell() -> Any | None:
    """The IPython shell of a Jupyter kernel that runs this; None in a terminal, IPython's own too."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None


def progress() -> Listener:
    """The right progress for where this runs: updated in place in a notebook, else a bar or lines on stderr."""
    shell = kernel_shell()
    if shell is None:
        return stream_progress(sys.stderr)
    from importlib import import_module

    return NotebookProgress(import_module("IPython.display").display)


class NotebookProgress:
    """Steps as lines and the running transfer as a bar, in one output that is updated in place."""

    def __init__(self, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        self._display = display
        self._clock = clock
        self._lines: list[str] = []
        self._transfer: Transfer | None = None
        self._handle: Handle | None = None
        self._at = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Transfer) and event.phase != "done":
            self._transfer = event
            if self._clock() - self._at < UPDATE_SECONDS:
                return
        else:
            self._transfer = None if isinstance(event, Transfer) else self._transfer
            self._add(event_words(event))
        self._at = self._clock()
        self._show()

    def _add(self, line: str) -> None:
        if line not in self._lines[-1:]:
            self._lines = [*self._lines, line][-KEPT_LINES:]

    def _show(self) -> None:
        plain = "\n".join(self._lines)
        data = {"text/html": progress_html(self._lines, self._transfer), "text/plain": plain}
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def register(shell: Any) -> None:
    """Lets `shell` show the API's values as HTML and as text, without importing them now."""
    for mime, formatter in (("text/html", _as_html), ("text/plain", _as_text)):
        for module, name in SHOWN:
            shell.display_formatter.formatters[mime].for_type_by_name(module, name, formatter)


def _as_html(value: Any) -> str:
    from pvserve.show.text import text_of

    return html_of(text_of(value, colour=True))


def _as_text(value: Any, printer: Any, _cycle: bool) -> None:
    from pvserve.show.text import text_of

    printer.text(text_of(value).rstrip("\n"))
