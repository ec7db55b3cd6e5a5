"""What each exit code means, and what a script does about it.

Owns the words of docs/exit-codes.md, which is made from them (tests/unit/cli/reference.py).
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """One exit code."""

    code: int
    meaning: str
    then: str


CODES = (
    Code(0, "done and verified, or nothing to do and verified", "go on"),
    Code(1, "failed; the message names the object, the cause and the remedy", "stop"),
    Code(2, "wrong use: flags, model file, names", "mend the call"),
    Code(3, "refused beforehand, nothing was changed", "read why"),
    Code(4, "not allowed or not logged in; the message holds the minimal Role", "ask for the right"),
    Code(5, "temporary: unreachable, cut, busy", "run the same command again, it resumes"),
    Code(6, "data differs from the manifest", "load again, or find out who wrote"),
    Code(7, "timed out waiting; everything is kept", "look with `pvserve status`"),
    Code(8, "the saved plan is stale", "plan again"),
    Code(
        9,
        "changes are pending (`plan --detailed-exitcode`), or the cluster differs from the model file (`diff`)",
        "review, then deploy",
    ),
    Code(
        10,
        "done, but at least one check of the proof is unknown and none failed; of `diff`: nothing is known to differ, "
        "but something could not be compared",
        "read which, `pvserve verify` later",
    ),
    Code(130, "interrupted (Ctrl-C, SIGHUP), resumable", "run the same command again"),
    Code(143, "ended by SIGTERM, resumable", "run the same command again"),
)
