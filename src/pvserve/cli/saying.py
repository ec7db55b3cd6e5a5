"""An error in its words, for a person or a machine.

Owns where it is printed. Must not decide what follows.
"""

from __future__ import annotations

import sys

from pvserve.cli.options import Shared
from pvserve.errors import PvserveError


def say_error(shared: Shared, error: PvserveError, namespace: str) -> int:
    """Says what went wrong in one namespace of several; the error's exit code."""
    from pvserve.show.errors import error_text
    from pvserve.show.words import colours

    if shared.out.for_machines:
        shared.out.say("error", {"namespace": namespace, **error.as_dict()})
    else:
        text = error_text(error, colour=colours(sys.stderr))
        print(f"namespace {namespace}: {text}", end="", file=sys.stderr, flush=True)
    return error.exit_code
