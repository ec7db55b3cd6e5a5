"""The agent as the one file that is handed to a pod.

Owns joining the agent's modules and the command line that starts them. Must not know what they do.
"""

from __future__ import annotations

import marshal
import sys
from functools import cache
from importlib import abc, resources, util

MODULES = (
    "frames", "volume", "journal", "expected", "place", "neighbours", "stamps", "reuse", "syncing", "ledger", "direct",
    "cells", "aside", "whole", "compared", "receiver", "publish", "source", "copier", "survey", "questions", "remove",
    "leftovers", "tidy", "session", "serve", "greeting", "listen",
)  # fmt: skip
NAME = "pvserve-agent"

# Both read their own length and text from stdin: a command line is seen by everybody and limited in size.
_READ = """\
import os, sys
def read(count):
    text = b""
    while len(text) < count:
        piece = os.read(0, count - len(text))
        if not piece:
            sys.exit(3)
        text += piece
    return text
"""
_START = f"""{_READ}\
exec(compile(read(int(read(8), 16)), "pvserve-agent", "exec"))
"""
# A third of the agent's start was compiling it: a Python of the client's own version takes what the client compiled.
_TAG = 48  # bytes
_START_AGENT = f"""{_READ}\
from _frozen_importlib_external import MAGIC_NUMBER
tag, code, text = read({_TAG}), read(int(read(8), 16)), read(int(read(8), 16))
if tag.decode().rstrip() == sys.implementation.cache_tag + MAGIC_NUMBER.hex():
    import marshal
    start, MODULES = marshal.loads(code)
    exec(start)
else:
    exec(compile(text, "pvserve-agent", "exec"))
"""

# MODULES: by name, as text or compiled. Each is run when it is first imported; many a session needs but a few.
_JOIN = """\
import sys
if sys.version_info < (3, 8):
    sys.exit(4)
class Modules:
    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, inner = name.rpartition(".")
        if name == "pvserve_agent" or (package == "pvserve_agent" and inner in MODULES):
            return type(sys.__spec__)(name, Modules, is_package=not package)
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        name = module.__name__.rpartition(".")[2]
        text = MODULES.get(name, "")
        exec(compile(text, name + ".py", "exec") if isinstance(text, str) else text, module.__dict__)
sys.meta_path.insert(0, Modules)
from pvserve_agent.serve import main
sys.exit(main(sys.argv[2] if len(sys.argv) > 2 else ""))
"""


@cache
def agent_source() -> str:
    """The agent's modules and their start, as one Python program that needs nothing beside it."""
    here = resources.files("pvserve.transfer.agent")
    texts = {name: (here / f"{name}.py").read_text("utf-8") for name in MODULES}
    return f"MODULES = {texts!r}\n{_JOIN}"


@cache
def _agent_code() -> bytes:
    """The same, compiled for a Python of this very version; its modules mostly are, for the client itself."""
    codes = {}
    for name in MODULES:
        spec = util.find_spec(f"pvserve.transfer.agent.{name}")
        loader = spec.loader if spec else None
        if not isinstance(loader, abc.InspectLoader):
            return b""
        codes[name] = loader.get_code(f"pvserve.transfer.agent.{name}")
    return marshal.dumps((compile(_JOIN, NAME, "exec"), codes))


def agent_command(place: str) -> list[str]:
    """The command that runs the agent; `place` names what it writes, "" for one that only reads."""
    return ["python3", "-X", "utf8", "-I", "-S", "-c", _START_AGENT, NAME, place]


def piped_command(*arguments: str) -> list[str]:
    """The command that runs any program of ours, read from its input, with these arguments and `-`."""
    return ["python3", "-X", "utf8", "-I", "-S", "-c", _START, *arguments, "-"]


def piped_input(program: str, rest: str) -> bytes:
    """What that command reads: the program, then what the program reads."""
    text = program.encode("utf-8")
    return b"%08x" % len(text) + text + rest.encode("utf-8")


def agent_input() -> bytes:
    """What the command reads first."""
    code, text = _agent_code(), agent_source().encode("utf-8")
    tag = f"{sys.implementation.cache_tag}{util.MAGIC_NUMBER.hex()}" if code else ""
    return b"%s%08x%s%08x%s" % (tag.ljust(_TAG).encode("ascii"), len(code), code, len(text), text)
