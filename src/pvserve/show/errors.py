"""An error as text.

Owns the layout: what happened, to which object, what was seen, what to do next.
"""

from __future__ import annotations

from pvserve.errors import PvserveError
from pvserve.show.words import clean, styled


def error_text(error: PvserveError, *, colour: bool = False) -> str:
    """One sentence first; every further line says what it is."""
    first, *more = clean(error.message).splitlines() or [""]
    lines = [f"{styled('error', 'red', colour)} ({clean(error.reason)}): {first}", *(f"  {line}" for line in more)]
    if error.subject and error.subject not in error.message:
        lines.append(f"  object: {clean(error.subject)}")
    lines.extend(f"  seen: {clean(line)}" for line in error.detail.splitlines())
    lines.extend(f"  -> {clean(line)}" for text in error.remedy for line in text.splitlines())
    return "\n".join(lines) + "\n"
