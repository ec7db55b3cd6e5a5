"""Follows the objects of one list as they change.

Owns the loop: list, watch, list again, and what is told of differences. Must not know what the objects mean.
Why it lists every RELIST_SECONDS although it watches: watches die silently (airflow#21087), lose events, and expire
with 410 after an API server restart; a fresh list makes good for all of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pvserve.cluster.failures import Response
from pvserve.cluster.transport import backoff
from pvserve.errors import PvserveError, Temporary

RELIST_SECONDS = 30
SHORT_SECONDS = 1.0  # a watch that ends sooner than this is followed by a pause

Told = tuple[str, dict[str, Any]]  # ADDED, MODIFIED or DELETED, and the object


class Source(Protocol):
    """Where one list of objects comes from."""

    def objects(self) -> tuple[list[dict[str, Any]], str]:
        """All objects, and the resourceVersion to watch from; tries once."""

    def stream(self, version: str, seconds: int) -> AbstractContextManager[tuple[Response, Iterator[bytes]]]:
        """Opens the watch."""

    def failure(self, response: Response) -> PvserveError:
        """What an answer other than 200 means."""


class Known:
    """The objects as they were last told; turns lists and events into what is new."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Any]] = {}

    def listed(self, objects: Iterable[dict[str, Any]]) -> Iterator[Told]:
        """What a list says that was not told yet, including what is gone."""
        now = {str(obj["metadata"]["uid"]): obj for obj in objects}
        for uid in [uid for uid in self._objects if uid not in now]:
            yield "DELETED", self._objects.pop(uid)
        for obj in now.values():
            yield from self.seen(obj)

    def seen(self, obj: dict[str, Any]) -> Iterator[Told]:
        """An object in a state that may be new."""
        uid = str(obj["metadata"]["uid"])
        before = self._objects.get(uid)
        if before is None or _version(before) != _version(obj):
            self._objects[uid] = obj
            yield ("ADDED" if before is None else "MODIFIED"), obj

    def gone(self, obj: dict[str, Any]) -> Iterator[Told]:
        """An object that was deleted."""
        if self._objects.pop(str(obj["metadata"]["uid"]), None) is not None:
            yield "DELETED", obj


def _version(obj: dict[str, Any]) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))


def watch(source: Source, timeout: float) -> Iterator[Told]:
    """Tells all objects as ADDED, then each change, for `timeout` seconds.

    Goes on over cut connections and restarts of the API server. Raises Temporary when the end comes while the API
    server is away, NotAllowed and NotFound at once.
    """
    known, end, failed = Known(), time.monotonic() + timeout, 0
    while True:
        begun, error = time.monotonic(), None
        try:
            objects, version = source.objects()
            yield from known.listed(objects)
            yield from _followed(source, known, version, end)
        except Temporary as cut:
            error = cut
        left = end - time.monotonic()
        if left <= 0:
            if error is not None:
                raise error
            return
        failed = failed + 1 if time.monotonic() - begun < SHORT_SECONDS or error else 0
        if failed:
            time.sleep(min(left, backoff(failed)))


def _followed(source: Source, known: Known, version: str, end: float) -> Iterator[Told]:
    """One watch, until it ends, expires or `end`."""
    seconds = int(min(RELIST_SECONDS, end - time.monotonic()))
    if seconds < 1:
        time.sleep(max(0.0, min(1.0, end - time.monotonic())))
        return
    with source.stream(version, seconds) as (response, pieces):
        if response.status == 410:
            return
        if response.status != 200:
            raise source.failure(response)
        for event in _events(pieces):
            kind, obj = event["type"], event["object"]
            if kind == "ERROR":  # 410 Expired, or the server is going down: the next list tells
                return
            yield from known.gone(obj) if kind == "DELETED" else known.seen(obj)


def _events(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The events of a watch, one JSON object per line; a last line without its end was cut off."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
