"""Every error a user can meet: what happened, to which object, why, and what to do next.

Owns the tree below and the public exit codes; knows nothing of Kubernetes, files or terminals.

    PvserveError           1  failed
    ├── UsageError         2  wrong use: flags, model file, names
    ├── Refused            3  refused beforehand, nothing changed
    ├── NotAllowed         4  not allowed, or not logged in
    ├── Temporary          5  the same command resumes
    ├── DataDiffers        6  data differs from the manifest
    ├── TimedOut           7  state kept, nothing undone
    ├── StalePlan          8  the cluster or the source moved since the plan was made
    └── Interrupted      130  Ctrl-C, resumable
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

# Of several models the most serious code is the command's: first what stopped the run, then what may have been left
# half done, then what was kept, then what was not begun, then what is only said (docs/exit-codes.md).
SERIOUS = (143, 130, 6, 1, 7, 5, 8, 4, 3, 2, 9, 10, 0)


def most_serious(codes: Iterable[int]) -> int:
    """The first of `codes` in the order of SERIOUS, 0 where there is none; a code that is not in it counts as 1."""
    return min((code if code in SERIOUS else 1 for code in codes), key=SERIOUS.index, default=0)


class PvserveError(Exception):
    """Something pvserve was asked to do did not happen.

    `reason` is a stable CamelCase word for machines and for `docs/errors.md`; `message` one sentence
    naming the object; `remedy` lines that tell what to do next, commands ready to copy first.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, reason: str, message: str, *, subject: str = "", remedy: tuple[str, ...] = (), detail: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.subject = subject
        self.remedy = remedy
        self.detail = detail

    def as_dict(self) -> dict[str, Any]:
        """The error as one JSON object, the same for every command with `-o json`."""
        return {
            "error": {
                "reason": self.reason,
                "message": self.message,
                "subject": self.subject,
                "detail": self.detail,
                "remedy": list(self.remedy),
                "exitCode": self.exit_code,
            }
        }


class UsageError(PvserveError):
    """Wrong flags, a faulty model file, a name Kubernetes cannot take."""

    exit_code = 2


class Refused(PvserveError):
    """Found beforehand that it cannot work or would do harm; nothing was changed."""

    exit_code = 3


class NotAllowed(PvserveError):
    """Kubernetes said Unauthorized or Forbidden."""

    exit_code = 4


class Temporary(PvserveError):
    """Unreachable, cut or busy: the same command resumes."""

    exit_code = 5


class DataDiffers(PvserveError):
    """Bytes differ from the manifest."""

    exit_code = 6


class TimedOut(PvserveError):
    """Waited as long as asked; everything is kept as it is."""

    exit_code = 7


class StalePlan(PvserveError):
    """The saved plan was made for another state of the cluster or the source."""

    exit_code = 8


class Interrupted(PvserveError):
    """Stopped by the user; the same command resumes."""

    exit_code = 130
