"""pvserve: serve machine-learning models with KServe straight from a PersistentVolumeClaim.

The commands as functions, and the values that they take and give (docs/library.md). Everything is loaded on first use,
so that `pvserve --help` stays fast.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pvserve.version import __version__

if TYPE_CHECKING:  # for type checkers and editors; no room below `api` imports this package
    from pvserve.api.drifting import diff
    from pvserve.api.looking import diagnose, status
    from pvserve.api.models import Outcome, apply, deploy, init, load, plan, rollback, verify
    from pvserve.api.planned import Planned
    from pvserve.api.volumes import ls
    from pvserve.cluster import Cluster
    from pvserve.diagnose import Finding
    from pvserve.errors import (
        DataDiffers,
        Interrupted,
        NotAllowed,
        PvserveError,
        Refused,
        StalePlan,
        Temporary,
        TimedOut,
        UsageError,
    )
    from pvserve.inventory import ClaimRow
    from pvserve.plan import Plan
    from pvserve.plan.drift import Drift
    from pvserve.render import render
    from pvserve.show.notebook import progress
    from pvserve.show.text import text_of
    from pvserve.spec import ClaimSpec, LoaderSpec, ModelSpec, read_specs, schema
    from pvserve.verify.endpoint import Request
    from pvserve.verify.proof import Proof

# Public name -> the module that owns it.
_HOMES = {
    "ClaimRow": "pvserve.inventory",
    "ClaimSpec": "pvserve.spec",
    "Cluster": "pvserve.cluster",
    "DataDiffers": "pvserve.errors",
    "Drift": "pvserve.plan.drift",
    "Finding": "pvserve.diagnose",
    "Interrupted": "pvserve.errors",
    "LoaderSpec": "pvserve.spec",
    "ModelSpec": "pvserve.spec",
    "NotAllowed": "pvserve.errors",
    "Outcome": "pvserve.api.models",
    "Plan": "pvserve.plan",
    "Planned": "pvserve.api.planned",
    "Proof": "pvserve.verify.proof",
    "PvserveError": "pvserve.errors",
    "Refused": "pvserve.errors",
    "Request": "pvserve.verify.endpoint",
    "StalePlan": "pvserve.errors",
    "Temporary": "pvserve.errors",
    "TimedOut": "pvserve.errors",
    "UsageError": "pvserve.errors",
    "apply": "pvserve.api.models",
    "deploy": "pvserve.api.models",
    "diagnose": "pvserve.api.looking",
    "diff": "pvserve.api.drifting",
    "init": "pvserve.api.models",
    "load": "pvserve.api.models",
    "ls": "pvserve.api.volumes",
    "plan": "pvserve.api.models",
    "progress": "pvserve.show.notebook",
    "read_specs": "pvserve.spec",
    "render": "pvserve.render",
    "rollback": "pvserve.api.models",
    "schema": "pvserve.spec",
    "status": "pvserve.api.looking",
    "text_of": "pvserve.show.text",
    "verify": "pvserve.api.models",
}

__all__ = [
    "ClaimRow",
    "ClaimSpec",
    "Cluster",
    "DataDiffers",
    "Drift",
    "Finding",
    "Interrupted",
    "LoaderSpec",
    "ModelSpec",
    "NotAllowed",
    "Outcome",
    "Plan",
    "Planned",
    "Proof",
    "PvserveError",
    "Refused",
    "Request",
    "StalePlan",
    "Temporary",
    "TimedOut",
    "UsageError",
    "__version__",
    "apply",
    "deploy",
    "diagnose",
    "diff",
    "init",
    "load",
    "ls",
    "plan",
    "progress",
    "read_specs",
    "render",
    "rollback",
    "schema",
    "status",
    "text_of",
    "verify",
]


class _Package(ModuleType):
    """Lets functions bear the names of rooms: importing the room `pvserve.plan` must not hide `pvserve.plan()`.

    `from pvserve.plan import …` is not touched by it: Python finds that module in sys.modules.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def _shown_in_notebooks() -> None:
    """In a Jupyter kernel, plans and proofs are shown as such and not as their fields."""
    if "IPython" in sys.modules:
        notebook = import_module("pvserve.show.notebook")
        shell = notebook.kernel_shell()
        if shell is not None:
            notebook.register(shell)


sys.modules[__name__].__class__ = _Package
_shown_in_notebooks()
