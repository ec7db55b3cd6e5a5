"""A watch that ends, expires, breaks or falls silent tells every object and change, each once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from pvserve.cluster import Cluster, Response
from pvserve.cluster import watch as watching
from pvserve.cluster.watch import Told
from pvserve.errors import NotAllowed, PvserveError, Temporary

from .server import Answer, Asked, Server, status

GONE = Temporary("Unreachable", "the server does not answer")
Step = list[dict[str, Any]] | PvserveError
Stream = list[dict[str, Any]] | int | PvserveError


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


class Source:
    """Lists and watches from a script: an answer, a status, or an error; ends the test's time with the last one."""

    def __init__(self, clock: Clock, steps: list[tuple[Step, Stream]]) -> None:
        self._clock = clock
        self._steps = steps
        self._now: Stream = []
        self.versions: list[str] = []

    def objects(self) -> tuple[list[dict[str, Any]], str]:
        listed, self._now = self._steps.pop(0)
        if not self._steps:
            self._clock.now += 1000
        if isinstance(listed, PvserveError):
            raise listed
        return listed, str(len(self.versions))

    def stream(self, version: str, seconds: int) -> AbstractContextManager[tuple[Response, Iterator[bytes]]]:
        return self._stream(version)

    @contextmanager
    def _stream(self, version: str) -> Iterator[tuple[Response, Iterator[bytes]]]:
        self.versions.append(version)
        now, self._clock.now = self._now, self._clock.now + 10
        if isinstance(now, int):
            yield Response(now), iter(())
        else:
            yield Response(200), self._pieces(now)

    def _pieces(self, now: list[dict[str, Any]] | PvserveError) -> Iterator[bytes]:
        if isinstance(now, PvserveError):
            raise now
        text = b"".join(json.dumps(item).encode() + b"\n" for item in now)
        yield text[:7]  # the network cuts where it likes
        yield text[7:]
        yield b'{"type": "ADDED", "obj'  # cut off in the middle of a line

    def failure(self, response: Response) -> PvserveError:
        return NotAllowed("Forbidden", "user jane may not watch pods")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watching, "time", clock)
    return clock


def told(source: Source) -> list[tuple[str, str, str]]:
    return [named(change) for change in watching.watch(source, 600)]


def named(change: Told) -> tuple[str, str, str]:
    kind, obj = change
    return kind, obj["metadata"]["name"], obj["metadata"]["resourceVersion"]


def test_first_all_that_is_there_then_what_changes(clock: Clock) -> None:
    changes = [event("MODIFIED", pod("a", 2)), event("ADDED", pod("b", 3)), event("DELETED", pod("a", 4))]
    source = Source(clock, [([pod("a", 1)], changes), ([pod("b", 3)], [])])
    assert told(source) == [("ADDED", "a", "1"), ("MODIFIED", "a", "2"), ("ADDED", "b", "3"), ("DELETED", "a", "4")]


def test_events_that_a_watch_lost_are_found_by_the_next_list(clock: Clock) -> None:
    source = Source(clock, [([pod("a", 1), pod("b", 1)], []), ([pod("b", 5), pod("c", 6)], [])])
    assert told(source)[2:] == [("DELETED", "a", "1"), ("MODIFIED", "b", "5"), ("ADDED", "c", "6")]


def test_an_object_made_anew_under_the_same_name_is_another_one(clock: Clock) -> None:
    again = {"metadata": {"name": "a", "uid": "other", "resourceVersion": "9"}}
    source = Source(clock, [([pod("a", 1)], []), ([again], [])])
    assert told(source) == [("ADDED", "a", "1"), ("DELETED", "a", "1"), ("ADDED", "a", "9")]


def test_nothing_is_told_twice(clock: Clock) -> None:
    old = [event("ADDED", pod("a", 1)), event("DELETED", pod("never-told", 1))]
    source = Source(clock, [([pod("a", 1)], old), ([pod("a", 1)], [])])
    assert told(source) == [("ADDED", "a", "1")]


@pytest.mark.parametrize("expired", [410, [event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})]])
def test_an_expired_watch_lists_again(clock: Clock, expired: Stream) -> None:
    source = Source(clock, [([pod("a", 1)], expired), ([pod("a", 2)], [])])
    assert told(source) == [("ADDED", "a", "1"), ("MODIFIED", "a", "2")]


@pytest.mark.parametrize("where", ["list", "watch"])
def test_a_server_that_restarts_is_waited_for(clock: Clock, where: str) -> None:
    away: tuple[Step, Stream] = (GONE, []) if where == "list" else ([pod("a", 1)], GONE)
    source = Source(clock, [([pod("a", 1)], []), away, away, ([pod("a", 2)], [])])
    assert told(source) == [("ADDED", "a", "1"), ("MODIFIED", "a", "2")]
    assert len(clock.slept) >= 2


def test_a_server_that_stays_away_is_told_when_the_time_is_over(clock: Clock) -> None:
    source = Source(clock, [([pod("a", 1)], []), (GONE, []), (GONE, [])])
    with pytest.raises(Temporary):
        told(source)


@pytest.mark.parametrize("step", [(NotAllowed("Forbidden", "may not list pods"), []), ([], 403)])
def test_a_missing_right_ends_it_at_once(clock: Clock, step: tuple[Step, Stream]) -> None:
    with pytest.raises(NotAllowed):
        told(Source(clock, [step, ([], [])]))


def test_a_watch_that_ends_at_once_does_not_turn_in_a_fast_circle(clock: Clock) -> None:
    class Hasty(Source):
        @contextmanager
        def _stream(self, version: str) -> Iterator[tuple[Response, Iterator[bytes]]]:
            yield Response(200), iter(())

    told(Hasty(clock, [([], [])] * 5))
    assert sum(1 for pause in clock.slept if pause > 0) == 4


@pytest.mark.parametrize("ending", ["cut", "silent"])
def test_over_http_a_watch_that_breaks_or_falls_silent_goes_on(
    serve: Callable[..., Server],
    connect: Callable[..., Cluster],
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    monkeypatch.setattr("pvserve.cluster.rest.STREAM_SLACK", -0.5)
    monkeypatch.setattr(watching, "RELIST_SECONDS", 1)
    versions = iter(range(1, 100))

    def pieces() -> Iterator[bytes]:
        yield json.dumps(event("ADDED", pod("b", 50))).encode() + b"\n"
        if ending == "silent":
            time.sleep(1.5)

    def script(asked: Asked) -> Answer:
        if asked.query.get("watch"):
            return Answer(pieces=pieces(), cut=True)
        items = [pod("a", next(versions)), *([pod("b", 50)] if len(server.asked) > 1 else [])]
        return Answer(
            body={"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": items}
        )

    server = serve(script)
    changes = connect(server).watch("v1", "Pod", "llm", name="a", timeout=20)
    assert [named(next(changes)) for _ in range(3)] == [
        ("ADDED", "a", "1"),
        ("ADDED", "b", "50"),
        ("MODIFIED", "a", "2"),
    ]
    watched = next(asked for asked in server.asked if asked.query.get("watch"))
    assert watched.query["resourceVersion"] == "7"
    assert watched.query["fieldSelector"] == "metadata.name=a"
    assert watched.query["timeoutSeconds"] == "1"


def test_over_http_a_refusal_of_the_watch_names_the_verb(
    serve: Callable[..., Server], connect: Callable[..., Cluster]
) -> None:
    message = 'pods is forbidden: User "jane" cannot watch resource "pods" in API group "" in the namespace "llm"'

    def script(asked: Asked) -> Answer:
        if asked.query.get("watch"):
            return status(403, message, "Forbidden")
        return Answer(body={"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": []})

    with pytest.raises(NotAllowed, match="user jane may not watch pods in namespace llm"):
        list(connect(serve(script)).watch("v1", "Pod", "llm", timeout=5))
