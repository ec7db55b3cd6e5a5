"""The table of traps, findings and remedies as a page: `python -m pvserve.show.traps > docs/findings.md`.

Owns the page's layout. What a trap means is for `diagnose` and `plan` to say.
"""

from __future__ import annotations

import re

from pvserve.diagnose import MEANINGS, Meaning
from pvserve.plan.trap_table import TRAPS, Trap

CUT = "\n## Of a service that is there\n"
HEAD = """\
# Findings and remedies

What a plan says before anything is applied; what `pvserve doctor` says, and what ends a wait of `deploy` at once. Made
from the code: edit `src/pvserve/plan/trap_table.py` and `src/pvserve/diagnose/meanings`, then
`python -m pvserve.show.traps > docs/findings.md`. Words in capitals are filled in.

## Before anything is applied

KServe accepts these without a word and then does otherwise. A **refusal** stops the plan (exit code 3) before anything
is changed; of a **note** the plan is carried out all the same.

| finding | trap | what is said | what mends it | who says so |
|---|---|---|---|---|

## Of a service that is there

- The order is causal: of several findings the first explains the others.
- A wait ends at once on a **fail** that waiting cannot mend. It goes on where time may help: a webhook that does not
  answer, a registry that is not reached, a holder of the claim that is leaving, a volume that is being made. A pod
  without a node gets a minute, in which a cluster autoscaler announces itself; a server's first crash may be a race,
  its second is not.
- A failure that is none of these prints what was observed, and no guess. What may not be read is called unknown, never
  absent.
- Of a service that is Ready, `doctor` lists what it checked.
- The tests make them for real on a cluster, where that can be had (`tests/cluster/diagnosis`). Words are played for
  GpuMemory (a container prints a server's, for want of an accelerator) and ClaimNoSpace (an Event in a driver's words).

`doctor` exits with 0 when the service is Ready, 1 when it is not, 10 when it is but something could not be read.
Without a name it looks at all services of the namespace, and names the loads whose Job is suspended.

| finding | trap | what mends it | who says so |
|---|---|---|---|
"""


def page() -> str:
    """The whole page in Markdown."""
    before, after = HEAD.split(CUT)
    return "".join((before, *map(_trap, TRAPS), CUT, after, *map(_row, MEANINGS)))


def _trap(trap: Trap) -> str:
    kind = "refusal" if trap.stops else "note"
    remedy = "<br>".join(_line(line) for line in trap.remedy)
    return f"| {trap.code} ({kind}) | {trap.trap} | {_words(trap.said)} | {remedy} | {_cell(trap.source)} |\n"


def _row(meaning: Meaning) -> str:
    remedy = "<br>".join(_line(line) for line in meaning.remedy) or "nothing to do"
    return f"| {meaning.code} ({meaning.severity}) | {meaning.trap} | {remedy} | {_cell(meaning.source)} |\n"


def _line(line: str) -> str:
    """A command in code style, an advice as it is."""
    words = _words(line)
    is_command = words.startswith(("kubectl ", "oc ", "pvserve "))
    return f"`{words}`" if is_command else words


def _words(line: str) -> str:
    """With what the rule fills in in capitals."""
    words = re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), line.replace("{{", "\0").replace("}}", "\1"))
    return _cell(words.replace("\0", "{").replace("\1", "}"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
