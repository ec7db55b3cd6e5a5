"""A proof and an error as text.

Owns the layout. State is never told by colour alone.
"""

from __future__ import annotations

from pvserve.errors import PvserveError
from pvserve.show.words import clean, styled
from pvserve.verify.proof import Proof

MARKS = {"passed": ("ok     ", "green"), "failed": ("FAILED ", "red"), "unknown": ("unknown", "yellow")}


def proof_text(proof: Proof, *, colour: bool = False) -> str:
    """One line per check with its evidence, remedies below, the verdict last."""
    lines = [clean(proof.subject)]
    for check in proof.checks:
        mark, style = MARKS[check.result]
        lines.append(f"  {styled(mark, style, colour)} {check.title}")
        lines.append(f"          {clean(check.evidence)}")
        if check.result != "passed":
            lines.extend(f"          -> {clean(line)}" for line in check.remedy)
    counts = {result: sum(check.result == result for check in proof.checks) for result in MARKS}
    verdict = "proven" if proof.passed else "NOT proven"
    lines.append(f"{verdict}: {counts['passed']} passed, {counts['failed']} failed, {counts['unknown']} unknown")
    return "\n".join(lines) + "\n"


def error_text(error: PvserveError, *, colour: bool = False) -> str:
    """What happened, to which object, why, and what to do next."""
    lines = [f"{styled('error', 'red', colour)} ({error.reason}): {clean(error.message)}"]
    if error.subject and error.subject not in error.message:
        lines.append(f"  object: {clean(error.subject)}")
    lines.extend(f"  seen: {clean(line)}" for line in error.detail.splitlines())
    lines.extend(f"  -> {clean(line)}" for text in error.remedy for line in text.splitlines())
    return "\n".join(lines) + "\n"
