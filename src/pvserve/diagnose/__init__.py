"""Evidence -> findings: what is wrong with a service or a pod, how it was seen, and what mends it.

Owns the rules and the table of meanings with their sources (docs/findings.md). Pure: reads nothing, changes nothing.
"""

from pvserve.diagnose.judging import findings, judge, judge_pod
from pvserve.diagnose.loads import load_findings
from pvserve.diagnose.meanings import MEANINGS, Meaning
from pvserve.diagnose.values import (
    NOT_ASKED,
    ClaimEvidence,
    Evidence,
    Finding,
    LoadEvidence,
    ObjectLine,
    PodEvidence,
    Seen,
    Verdict,
)

__all__ = [
    "MEANINGS",
    "NOT_ASKED",
    "ClaimEvidence",
    "Evidence",
    "Finding",
    "LoadEvidence",
    "Meaning",
    "ObjectLine",
    "PodEvidence",
    "Seen",
    "Verdict",
    "findings",
    "judge",
    "judge_pod",
    "load_findings",
]
