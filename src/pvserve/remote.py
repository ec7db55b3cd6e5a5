"""Asks, within the cluster, what a source holds that the cluster reads itself.

Owns the short pod that lists it before its claim is planned, and judging what that pod says. Must not decide what is
done with the list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pvserve.cluster import Cluster
from pvserve.errors import (
    DataDiffers,
    NotAllowed,
    PvserveError,
    Refused,
    StalePlan,
    Temporary,
    UsageError,
)
from pvserve.events import Listener, Note, silent
from pvserve.facts import Object, name
from pvserve.model import Found, Listing, shown
from pvserve.model.elsewhere import Told, told_listing
from pvserve.mount import mounted
from pvserve.transfer.bundle import piped_command, piped_input
from pvserve.transfer.program import fetch_source

SECONDS = 120.0
TRIES = 2
ROWS_LIMIT = 2_000_000
_KINDS = {2: UsageError, 3: Refused, 4: NotAllowed, 5: Temporary, 6: DataDiffers, 8: StalePlan}


def list_remote(cluster: Cluster, pod: Object, order: dict[str, Any], listen: Listener = silent) -> Listing:
    """The files that the program, run in `pod`, would load for this order.

    Raises:
        What the source's server answers, as the program says it. Refused: the pod cannot start.
        Temporary: SourceListCut, the answer ended early, twice.
    """
    command, text = piped_command("list"), piped_input(fetch_source(), json.dumps(order))
    with mounted(cluster, pod, lambda detail: listen(Note(detail))) as live:
        reach = cluster.reach(name(live), cluster.namespace, str(live["spec"]["containers"][0]["name"]))
        for _ in range(TRIES):
            result = reach.run(command, stdin=text, timeout=SECONDS)
            listing = _listing(result.out, order)
            if listing is not None:
                return listing
            if result.returncode in (126, 127):
                raise no_python(str(live["spec"]["containers"][0]["image"]), result.err)
    raise Temporary(
        "SourceListCut",
        f"the list of {order['source']['uri']} broke off: {shown(result.err.decode('utf-8', 'replace'))[-300:]}",
        remedy=("run the same command again",),
    )


def _listing(out: bytes, order: dict[str, Any]) -> Listing | None:
    """The list, None where it is not whole. Raises what the program says."""
    told: list[Told] = []
    for line in _lines(out):
        kind = line.get("pvserve")
        if kind == "result":
            raise error_of(line)
        if kind == "file" and len(told) < ROWS_LIMIT:
            told.append(_row(line.get("row")))
        elif kind == "listed" and line.get("files") == len(told):
            exclude = [str(pattern) for pattern in line["exclude"]]
            if line.get("packed"):  # the rules are for what is in it
                listing = told_listing(told, str(line["source"])[:1000])
                listing = replace(listing, include=tuple(order["include"]), exclude=tuple(exclude))
            else:
                source = str(line["source"])[:1000]
                listing = told_listing(told, source, include=order["include"], exclude=exclude)
            return _named(listing, line)
    return None


def _named(listing: Listing, line: dict[str, Any]) -> Listing:
    notes = tuple(shown(str(note))[:500].strip('"') for note in line["notes"][:20])
    left_out = tuple(str(path) for path in line["leftOut"])
    estimated, packed = bool(line.get("estimated")), bool(line.get("packed"))
    called = str(line["name"])[:200]
    return replace(listing, name=called, notes=notes, left_out=left_out, estimated=estimated, packed=packed)


def _row(row: Any) -> Told:
    path, size, number, program, promised = row
    if not (isinstance(path, str) and isinstance(size, int) and isinstance(number, int) and size >= 0):
        raise PvserveError("AgentFailed", "the pod that lists the source answers nonsense")
    return Told(Found(path, size, 0, 0, number, 0, bool(program), path, str(promised)))


def _lines(out: bytes) -> Iterator[dict[str, Any]]:
    for text in out.split(b"\n"):
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line


def error_of(line: dict[str, Any]) -> PvserveError:
    """The error that the program's last line tells; what a pod says is cut and made safe."""
    kind = _KINDS.get(line.get("exitCode", 1), PvserveError)
    reason = str(line.get("reason", ""))
    remedy = line.get("remedy") or []
    return kind(
        reason if reason.isidentifier() else "AgentFailed",
        _safe(line.get("message", "the program failed without a word"), 1000),
        subject=_safe(line.get("subject", ""), 300),
        detail="\n".join(_safe(text, 300) for text in str(line.get("detail", ""))[:5000].splitlines()),
        remedy=tuple(_safe(text, 300) for text in remedy[:5]) if isinstance(remedy, list) else (),
    )


def no_python(image: str, said: bytes) -> PvserveError:
    """The image cannot run the program."""
    return Refused(
        "FetchNeedsPython",
        f"the image {image} has no python3: {shown(said.decode('utf-8', 'replace'))[-200:]}",
        subject=image,
        remedy=("name an image with Python 3.8 or newer: --image",),
    )


def _safe(text: Any, limit: int) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:limit])
