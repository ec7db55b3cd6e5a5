"""Text as HTML, for notebooks and static pages.

Owns the markup. The words are those of the text forms, so that a notebook and a terminal say the same.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from pvserve.events import Transfer
from pvserve.show.progress import share_of, transfer_words
from pvserve.show.words import STYLES

_CSS = {
    "red": "color:#b00020",
    "green": "color:#1a7f37",
    "yellow": "color:#9a6700",
    "dim": "opacity:.65",
    "bold": "font-weight:bold",
}
_OPEN = {code: f'<span style="{_CSS[style]}">' for style, code in STYLES.items()}
_ESCAPE = re.compile("\x1b\\[(\\d+)m")
_PRE = "white-space:pre-wrap;overflow-wrap:anywhere;margin:0"


def html_of(text: str) -> str:
    """Coloured text as one self-contained element; everything but our own colours is escaped.

    The colours are those of `words.styled`: outside text has none, for `words.clean` takes them away.
    """
    return f'<pre style="{_PRE}">{_ESCAPE.sub(_span, html.escape(text))}</pre>'


def _span(match: re.Match[str]) -> str:
    return "</span>" if match[1] == "0" else _OPEN.get(match[1], "<span>")


def progress_html(lines: Sequence[str], transfer: Transfer | None) -> str:
    """What happened so far, and a bar for the transfer that is running."""
    bar = ""
    if transfer is not None:
        words = html.escape(transfer_words(transfer))
        bar = f'<progress max="1" value="{share_of(transfer):.3f}"></progress> <code>{words}</code>'
    return f"<div>{html_of(chr(10).join(lines))}{bar}</div>"
