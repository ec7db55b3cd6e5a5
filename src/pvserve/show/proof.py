"""A proof as text.

Owns the layout. State is never told by colour alone.
"""

from __future__ import annotations

from pvserve.show.words import clean, styled
from pvserve.verify.proof import Proof

MARKS = {"passed": ("ok     ", "green"), "failed": ("FAILED ", "red"), "unknown": ("unknown", "yellow")}


def proof_text(proof: Proof, *, colour: bool = False) -> str:
    """One line per check with its evidence, remedies below, the verdict last."""
    lines = [clean(proof.subject)]
    for check in proof.checks:
        mark, style = MARKS[check.result]
        lines.append(f"  {styled(mark, style, colour)} {clean(check.title)}")
        lines.extend(f"          {clean(line)}" for line in check.evidence.splitlines())
        if check.result != "passed":
            lines.extend(f"          -> {clean(line)}" for text in check.remedy for line in text.splitlines())
    counts = {result: sum(check.result == result for check in proof.checks) for result in MARKS}
    verdict = "proven" if proof.passed else "NOT proven"
    lines.append(f"{verdict}: {counts['passed']} passed, {counts['failed']} failed, {counts['unknown']} unknown")
    return "\n".join(lines) + "\n"
