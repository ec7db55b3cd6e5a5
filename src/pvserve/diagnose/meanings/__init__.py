"""What each trap means and what mends it.

Owns the table as a whole and how a row becomes a finding. The order is causal: what comes first explains what comes
later. Must not know how a trap is recognised.
"""

from __future__ import annotations

import shlex

from pvserve.diagnose.meanings.container import CONTAINER
from pvserve.diagnose.meanings.load import LOAD
from pvserve.diagnose.meanings.model import LATE, MODEL
from pvserve.diagnose.meanings.placement import CLAIM, MOUNT, SCHEDULING
from pvserve.diagnose.meanings.row import Meaning
from pvserve.diagnose.meanings.service import CREATION, SERVICE
from pvserve.diagnose.values import Cause, Finding, Seen

MEANINGS: tuple[Meaning, ...] = (
    *SERVICE,
    *CREATION,
    *CLAIM,
    *SCHEDULING,
    *MOUNT,
    *CONTAINER,
    *MODEL,
    *LATE,
    *LOAD,
)
_SEVERITIES = ("fail", "warn", "info")
_BY_CODE = {meaning.code: (rank, meaning) for rank, meaning in enumerate(MEANINGS)}


__all__ = ["MEANINGS", "Meaning", "cause", "rank"]


def cause(code: str, /, *seen: Seen, hopeless: bool = False, **words: object) -> Cause:
    """The row `code` of the table, filled with `words`; in remedies they are quoted for a shell."""
    meaning = _BY_CODE[code][1]
    plain = {key: str(value) for key, value in words.items()}
    quoted = {key: shlex.quote(value) if value else value for key, value in plain.items()}
    remedy = tuple(line.format_map(quoted) for line in meaning.remedy)
    return Cause(Finding(code, meaning.title.format_map(plain), meaning.severity, seen, remedy), hopeless)


def rank(item: Cause) -> int:
    """The place in the order: failures first, each severity causal."""
    return _SEVERITIES.index(item.finding.severity) * len(MEANINGS) + _BY_CODE[item.finding.code][0]
