"""The table of traps, findings and remedies as a page: `python -m pvserve.show.traps > docs/findings.md`.

Owns the page's layout. What a trap means is `diagnose`'s to say.
"""

from __future__ import annotations

import re

from pvserve.diagnose import MEANINGS, Meaning

HEAD = """\
# Findings and remedies

What `pvserve doctor` says, and what ends a wait of `deploy` at once. Made from the code: edit
`src/pvserve/diagnose/meanings`, then `python -m pvserve.show.traps > docs/findings.md`.

- The order is causal: of several findings the first explains the others.
- A wait ends at once on a **fail** that waiting cannot mend. It goes on where time may help: a webhook that does not
  answer, a registry that is not reached, a holder of the claim that is leaving, a volume that is being made. A pod
  without a node gets a minute, in which a cluster autoscaler announces itself; a server's first crash may be a race,
  its second is not.
- A failure that is none of these prints what was observed, and no guess. What may not be read is called unknown, never
  absent.
- Of a service that is Ready, `doctor` lists what it checked.

`doctor` exits with 0 when the service is Ready, 1 when it is not, 10 when it is but something could not be read.
Words in capitals are filled in by the finding.

| finding | trap | what mends it | who says so |
|---|---|---|---|
"""


def page() -> str:
    """The whole page in Markdown."""
    return HEAD + "".join(_row(meaning) for meaning in MEANINGS)


def _row(meaning: Meaning) -> str:
    remedy = "<br>".join(_line(line) for line in meaning.remedy) or "nothing to do"
    return f"| {meaning.code} ({meaning.severity}) | {meaning.trap} | {remedy} | {_cell(meaning.source)} |\n"


def _line(line: str) -> str:
    """A command in code style, an advice as it is."""
    words = re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), line.replace("{{", "\0").replace("}}", "\1"))
    words = words.replace("\0", "{").replace("\1", "}")
    is_command = words.startswith(("kubectl ", "oc ", "pvserve "))
    return f"`{_cell(words)}`" if is_command else _cell(words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
