"""What runs in a pod without a client, as one program: its modules with all of pvserve that they import.

Owns joining them, and packing them for a ConfigMap: the load step (of a directory in the pod), and what fetches from a
source (docs/sources.md). Must not know what they do. The text depends on the modules alone, so that rendered files are
the same byte for byte.
"""

from __future__ import annotations

import ast
import base64
import bz2
from collections.abc import Iterator
from functools import cache
from importlib import resources

START = "pvserve.transfer.step.main"
FETCH = "pvserve.transfer.agent.fetch.main"
# Of these packages nothing but the name is taken: their own text imports all of the client.
_BARE = ("pvserve", "pvserve.transfer")
_BARE_TO_FETCH = (*_BARE, "pvserve.model", "pvserve.transfer.step")

PACKED = "program.txt"
STARTER = "load.py"
_LINE = 120  # characters

# As plain text the program would not fit into the annotation that `kubectl apply` keeps (262144 bytes).
_START = """\
# Starts the program of pvserve that lies beside this file. To read it: base64 -d program.txt | bunzip2
import base64
import bz2
import os

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "program.txt"), "rb") as file:
    exec(compile(bz2.decompress(base64.b64decode(file.read())), "pvserve-load", "exec"))
"""

_HEAD = '''\
"""The load step of pvserve: loads a model onto a claim that this pod mounts, without a client.

Written by pvserve from its own modules; Python 3.11 or newer, standard library only. See docs/rendering.md.
"""

import importlib.abc
import importlib.util
import sys

if sys.version_info < (3, 11):
    print('{"error": {"reason": "CopyNeedsPython", "message": "the load step needs Python 3.11 or newer",'
          ' "subject": "", "detail": "", "remedy": ["name another image with --image"], "exitCode": 3}}')
    sys.exit(3)

MODULES = {}
'''

_TAIL = '''

class Modules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules above; what has others below it is a package."""

    def find_spec(self, name, path=None, target=None):
        if name not in MODULES:
            return None
        package = any(other.startswith(name + ".") for other in MODULES)
        return importlib.util.spec_from_loader(name, self, is_package=package)

    def exec_module(self, module):
        name = module.__name__
        exec(compile(MODULES[name], name.replace(".", "/") + ".py", "exec"), module.__dict__)


sys.meta_path.insert(0, Modules())
if __name__ == "__main__":
    from {start} import main

    sys.exit(main(sys.argv[1:]))
'''

_HEAD_TO_FETCH = '''\
"""What fetches a model from its source onto a claim that this pod mounts, without a client.

Written by pvserve from its own modules; Python 3.8 or newer, standard library only. See docs/sources.md.
"""

import importlib.abc
import importlib.util
import sys

if sys.version_info < (3, 8):
    print('{"pvserve": "result", "done": false, "reason": "FetchNeedsPython", "message": "fetching needs Python 3.8 or '
          'newer in the image", "subject": "", "detail": "", "remedy": ["name another with --image"], "exitCode": 3}')
    sys.exit(3)

MODULES = {}
'''


@cache
def step_files() -> dict[str, str]:
    """The load step as a ConfigMap's data: STARTER starts what PACKED holds."""
    return _packed(step_source())


@cache
def fetch_files() -> dict[str, str]:
    """The fetching program, likewise."""
    return _packed(fetch_source())


def _packed(text: str) -> dict[str, str]:
    packed = base64.b64encode(bz2.compress(text.encode(), 9)).decode("ascii")
    lines = (packed[start : start + _LINE] + "\n" for start in range(0, len(packed), _LINE))
    return {STARTER: _START, PACKED: "".join(lines)}


@cache
def step_source() -> str:
    """The load step, as one Python program that needs nothing beside it."""
    return _joined(START, _BARE, _HEAD)


@cache
def fetch_source() -> str:
    """The fetching program, likewise: arguments `load ORDER` or `list ORDER`."""
    return _joined(FETCH, _BARE_TO_FETCH, _HEAD_TO_FETCH)


def _joined(start: str, bare: tuple[str, ...], head: str) -> str:
    found: dict[str, str] = dict.fromkeys(bare, "")
    pending = [start]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        text = _text(name)
        found[name] = text
        pending += [name.rpartition(".")[0], *_imported(name, text)]
    tail = _TAIL.replace("{start}", start)
    return head + "".join(f"\nMODULES[{name!r}] = {_literal(found[name])}\n" for name in sorted(found)) + tail


def _text(name: str) -> str:
    *above, last = name.split(".")
    file = resources.files(".".join(above)) / f"{last}.py"
    package = resources.files(".".join(above)) / last / "__init__.py"
    return (file if file.is_file() else package).read_text("utf-8")


def _literal(text: str) -> str:
    """As it is written, so that people can read it."""
    if "'''" in text or text.endswith(("\\", "'")) or "\r" in text:
        return repr(text)
    return f"r'''{text}'''"


def _imported(name: str, text: str) -> Iterator[str]:
    """The modules of pvserve that a module imports where it begins."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom):
            source = _absolute(name, node)
            if source.partition(".")[0] == "pvserve":
                below = {f"{source}.{alias.name}" for alias in node.names}
                modules = {module for module in below if _is_module(module)}
                yield from sorted(modules)
                if modules != below:
                    yield source


def _absolute(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    return ".".join([*name.split(".")[: -node.level], *filter(None, [node.module])])


def _is_module(name: str) -> bool:
    above, _, last = name.rpartition(".")
    here = resources.files(above) if _is_package(above) else None
    return here is not None and ((here / f"{last}.py").is_file() or (here / last / "__init__.py").is_file())


def _is_package(name: str) -> bool:
    above, _, last = name.rpartition(".")
    return name == "pvserve" or (resources.files(above) / last / "__init__.py").is_file()
