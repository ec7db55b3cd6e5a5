"""The proof as values: each check passed, failed or unknown, with what was seen.

Owns the types and the verdict. Must not read anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Result = Literal["passed", "failed", "unknown"]
DIGESTS = "digests on the volume equal the manifest"


@dataclass(frozen=True)
class Check:
    """One statement about the service or the volume; `evidence` is what was seen, `remedy` what to do about it."""

    name: str
    title: str
    result: Result
    evidence: str
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proof:
    """All checks of one service or one place on a claim."""

    subject: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """True only when every check passed: unknown is never passed."""
        return bool(self.checks) and all(check.result == "passed" for check in self.checks)

    @property
    def exit_code(self) -> int:
        """0 all passed · 6 bytes differ from the manifest · 1 another check failed · 10 at least one is unknown."""
        failed = {check.name for check in self.checks if check.result == "failed"}
        if failed:
            return 6 if failed <= {"digests"} else 1
        return 0 if self.passed else 10

    def as_dict(self) -> dict[str, Any]:
        """The proof as JSON, the same items that the text shows."""
        return {
            "subject": self.subject,
            "passed": self.passed,
            "exitCode": self.exit_code,
            "checks": [
                {
                    "name": check.name,
                    "title": check.title,
                    "result": check.result,
                    "evidence": check.evidence,
                    "remedy": list(check.remedy),
                }
                for check in self.checks
            ],
        }
