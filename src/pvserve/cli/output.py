"""What a command prints to stdout: words for people, JSON lines or YAML documents for machines.

Owns the shape: every object says its `type`; events come as they happen, then one `result` or one `error`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pvserve.events import Listener

FORMS = ("text", "json", "yaml")


@dataclass(frozen=True)
class Output:
    """One of FORMS."""

    form: str = "text"

    @property
    def for_machines(self) -> bool:
        """Whether a program reads it."""
        return self.form != "text"

    def listener(self) -> Listener:
        """Where progress goes: JSON lines to stdout with -o json, else words to stderr."""
        from pvserve.show.progress import JsonLines, progress

        return JsonLines(sys.stdout) if self.form == "json" else progress(sys.stderr)

    def result(self, value: Mapping[str, Any], text: str) -> None:
        """The result: `value` for machines, else `text`."""
        if self.for_machines:
            self.say("result", value)
        else:
            print(text, end="", flush=True)

    def say(self, kind: str, value: Mapping[str, Any]) -> None:
        """One object of type `kind`: a line of JSON, or a YAML document."""
        said = {"type": kind, **value}
        if self.form == "json":
            print(json.dumps(said, default=str), flush=True)
        else:
            from pvserve.render.scalars import dump_all

            print(dump_all([said]), end="", flush=True)


def wanted_output(argv: Sequence[str]) -> str:
    """The form that `-o` asked for, as far as it can be told from a command line that may be wrong elsewhere."""
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        if flag == "--":
            break
        joined = flag.removeprefix("--output=") if flag.startswith("--output=") else flag.removeprefix("-o").lstrip("=")
        found = value if flag in ("-o", "--output") else joined if flag.startswith(("-o", "--output=")) else ""
        if found in FORMS:
            return found
    return "text"
