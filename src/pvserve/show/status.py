"""A service and its objects as text.

Owns the layout: one line per object, its state in one word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pvserve.diagnose import ObjectLine
from pvserve.events import Transfer
from pvserve.show.progress import event_words
from pvserve.show.words import clean, size, styled

STYLE = {"ok": "green", "ongoing": "yellow", "fail": "red", "unknown": "yellow"}
WIDTH = max(len(state) for state in STYLE)


def status_text(service: str, ready: bool, uri: str, lines: Sequence[ObjectLine], *, colour: bool = False) -> str:
    """Whether it is Ready, where its model comes from, then its objects from the outside in."""
    verdict = styled("Ready", "green", colour) if ready else styled("not Ready", "red", colour)
    out = [f"{clean(service)}: {verdict}, served from {clean(uri) or 'no storageUri'}"]
    for line in lines:
        state = styled(line.state, STYLE[line.state], colour) + " " * (WIDTH - len(line.state))
        out.append(f"  {state}  {clean(f'{line.object}: {line.reason}') if line.reason else clean(line.object)}")
    if not ready:
        out.append(f"  -> pvserve doctor {clean(service)}")
    return "\n".join(out) + "\n"


def place_text(place: str, manifest: str, source: str, content: tuple[int, int]) -> str:
    """What a place on a claim holds; `content` is bytes and files."""
    count, files = content
    return f"{clean(place)}: {clean(manifest)}, {files} files, {size(count)}, from {clean(source) or 'unknown'}\n"


def cleaned_text(found: Sequence[Any]) -> str:
    """What became of each Job that fetches (`api.fetching.Cleaned`)."""
    out = []
    for job in found:
        what = f"recorded {job.manifest}, removed" if job.manifest else f"had failed, removed: {job.error}"
        out.append(clean(f"Job {job.job} to {job.place}: {what if job.removed else 'is at work, stays'}"))
    return "\n".join(out or ["no Job here fetches, or has fetched"]) + "\n"


def fetch_text(place: str, job: str, source: str, waiting: str, transfer: Transfer | None) -> str:
    """How far a Job is that fetches to a place."""
    lines = [f"{clean(place)}: Job {clean(job)} fetches {clean(source)}"]
    if waiting:
        lines.append(f"  {clean(waiting)}")
    if transfer is not None:
        lines.append(f"  {event_words(transfer)}")
    lines.append(f"  -> pvserve status {clean(place)} --follow")
    return "\n".join(lines) + "\n"
