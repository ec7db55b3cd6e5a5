"""Events and times of Kubernetes objects.

Owns how an event is found, dated and quoted. Must not know what it means.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pvserve.diagnose.values import PodEvidence, Seen
from pvserve.facts import Object, known, name


def events_of(evidence: PodEvidence, kind: str, obj: Object) -> tuple[Object, ...]:
    """The events of one object, oldest first; not those of an earlier object of the same name."""
    uid = obj["metadata"].get("uid")
    found = (
        event
        for event in known(evidence.events, ())
        if _about(event).get("kind") == kind and _about(event).get("name") == name(obj)
    )
    return tuple(sorted((e for e in found if not uid or _about(e).get("uid", uid) == uid), key=when))


def _about(event: Object) -> dict[str, Any]:
    return event.get("involvedObject") or {}


def with_reason(events: Iterable[Object], *reasons: str) -> tuple[Object, ...]:
    """Those of `events` that have one of `reasons`."""
    return tuple(event for event in events if event.get("reason") in reasons)


def warnings(events: Iterable[Object]) -> tuple[Object, ...]:
    """Those of type Warning."""
    return tuple(event for event in events if event.get("type") == "Warning")


def when(event: Object) -> str:
    """When the event was last seen: a repeated one counts in `series`, or in `lastTimestamp` by older clients."""
    series = (event.get("series") or {}).get("lastObservedTime")
    stamp = series or event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return str(stamp or event["metadata"].get("creationTimestamp") or "")


def seen(event: Object) -> Seen:
    """The event as an observation."""
    about = _about(event)
    return Seen(f"{about.get('kind')} {about.get('name')}", f"{event.get('reason')}: {text(event)}", when(event))


def text(event: Object) -> str:
    """The event's message on one line."""
    return " ".join(str(event.get("message") or "").split())


def seconds_between(earlier: str, later: str) -> float | None:
    """Seconds from one RFC 3339 time to another, None where one of them is not known."""
    start, end = _parsed(earlier), _parsed(later)
    return (end - start).total_seconds() if start and end else None


def _parsed(stamp: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def lasted(since: str, evidence: PodEvidence, seconds: float) -> bool:
    """Whether a state has lasted for at least `seconds`; also where the clock is not known."""
    age = seconds_between(since, evidence.now)
    return age is None or age >= seconds


def conditions(obj: Object) -> dict[str, dict[str, Any]]:
    """`status.conditions` by type."""
    return {str(item["type"]): item for item in (obj.get("status") or {}).get("conditions") or ()}
