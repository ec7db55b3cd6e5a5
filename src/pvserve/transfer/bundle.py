"""The agent as the one file that is handed to a pod.

Owns joining the agent's modules and the command line that starts them. Must not know what they do.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

# In the order of their imports.
MODULES = (
    "frames", "volume", "journal", "expected", "place", "stamps", "reuse", "syncing", "ledger", "cells", "whole",
    "receiver", "publish", "source", "copier", "survey", "questions", "remove", "leftovers", "tidy", "session", "serve",
    "greeting", "listen",
)  # fmt: skip
NAME = "pvserve-agent"

# Reads its own length and text from stdin: a command line is seen by everybody and limited in size.
_START = """\
import os, sys
def read(count):
    text = b""
    while len(text) < count:
        piece = os.read(0, count - len(text))
        if not piece:
            sys.exit(3)
        text += piece
    return text
exec(compile(read(int(read(8), 16)), "pvserve-agent", "exec"))
"""

_JOIN = """\
import sys, types
if sys.version_info < (3, 8):
    sys.exit(4)
package = types.ModuleType("pvserve_agent")
package.__path__ = []
sys.modules["pvserve_agent"] = package
def module(name, text):
    made = types.ModuleType("pvserve_agent." + name)
    made.__package__ = "pvserve_agent"
    sys.modules[made.__name__] = made
    setattr(package, name, made)
    exec(compile(text, name + ".py", "exec"), made.__dict__)
"""


@cache
def agent_source() -> str:
    """The agent's modules and their start, as one Python program that needs nothing beside it."""
    here = resources.files("pvserve.transfer.agent")
    parts = [_JOIN]
    for name in MODULES:
        text = (here / f"{name}.py").read_text("utf-8")
        parts.append(f"module({name!r}, {text!r})\n")
    parts.append('sys.exit(sys.modules["pvserve_agent.serve"].main(sys.argv[2] if len(sys.argv) > 2 else ""))\n')
    return "".join(parts)


def agent_command(place: str) -> list[str]:
    """The command that runs the agent; `place` names what it writes, "" for one that only reads."""
    return ["python3", "-X", "utf8", "-I", "-S", "-c", _START, NAME, place]


def piped_command(*arguments: str) -> list[str]:
    """The command that runs any program of ours, read from its input, with these arguments and `-`."""
    return ["python3", "-X", "utf8", "-I", "-S", "-c", _START, *arguments, "-"]


def piped_input(program: str, rest: str) -> bytes:
    """What that command reads: the program, then what the program reads."""
    text = program.encode("utf-8")
    return b"%08x" % len(text) + text + rest.encode("utf-8")


def agent_input() -> bytes:
    """What the command reads first."""
    text = agent_source().encode("utf-8")
    return b"%08x" % len(text) + text
