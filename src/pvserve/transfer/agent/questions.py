"""What a client asks without changing anything: what lies at a path of the claim, and in a source in this pod.

Owns these questions and their answers. Must not write.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterable

from .copier import tell_digests
from .frames import (
    CELL,
    DIGEST,
    FILES,
    LIST,
    LISTED,
    PEEK,
    PEEKED,
    PING,
    SEEN,
    SURVEY,
    SURVEYED,
    TEXT,
    Broken,
    Wire,
)
from .place import Place
from .source import Source, origins
from .survey import BATCH, manifest_text, rows, state


def survey(wire: Wire, ask: dict[str, Any]) -> None:
    """What lies at a path, with every file where that is asked for."""
    place = Place(ask["mount"], ask["path"], ask["key"])
    answer = state(place)
    answer["unsettled"] = place.unsettled()
    if answer["current"]:
        text = manifest_text(place, answer["current"])
        for start in range(0, len(text), CELL):
            wire.send(TEXT, text[start : start + CELL])
    if ask["rows"] and answer["kind"] == "directory":
        _send_rows(wire, rows(place, ask["digests"], lambda size: wire.send(PING, offset=size)))
    wire.send_json(SURVEYED, answer)


def list_source(wire: Wire, ask: dict[str, Any]) -> None:
    """What lies at a source in this pod."""
    with contextlib.closing(Source(ask["mount"], ask["path"])) as source:
        _send_rows(wire, source.rows())
    wire.send(LISTED)


def digest_source(wire: Wire, ask: dict[str, Any]) -> None:
    """The digests of files of a source in this pod, which are named next."""
    with contextlib.closing(Source(ask["mount"], ask["path"])) as source:
        tell_digests(source, list(origins(listed(wire)).items()), wire.send)
    wire.send(LISTED)


def peek(wire: Wire, ask: dict[str, Any]) -> None:
    """A piece of each file that is named next, for checks of what a file claims to be."""
    offset, size = int(ask["offset"]), int(ask["size"])
    if offset < 0 or not 0 <= size <= CELL:
        raise Broken("asks for more than a frame holds")
    with contextlib.closing(Source(ask["mount"], ask["path"])) as source:
        for number, origin in origins(listed(wire)).items():
            wire.send(PEEKED, source.peek(origin, offset, size), number)
    wire.send(LISTED)


def listed(wire: Wire) -> list[list[Any]]:
    """The files that the client names."""
    found: list[list[Any]] = []
    while True:
        named = wire.expect(FILES).json()
        if not named:
            return found
        found += named


def _send_rows(wire: Wire, found: Iterable[list[Any]]) -> None:
    batch: list[list[Any]] = []
    for row in found:
        batch.append(row)
        if len(batch) == BATCH // 4:
            wire.send_json(SEEN, batch)
            batch = []
    wire.send_json(SEEN, batch)


QUESTIONS: dict[int, Callable[[Wire, dict[str, Any]], None]] = {
    SURVEY: survey,
    LIST: list_source,
    DIGEST: digest_source,
    PEEK: peek,
}
