"""What was read of a service, and what is said about it.

Owns the value types of the room. Must not read or decide anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pvserve.facts import Object, Unknown

Severity = Literal["fail", "warn", "info"]
State = Literal["ok", "ongoing", "fail", "unknown"]  # kapp's four words
Found = Object | Unknown | None
Many = tuple[Object, ...] | Unknown

Words = dict[str, Any]  # what fills the placeholders of a meaning

NOT_ASKED = Unknown("nothing called for it")


@dataclass(frozen=True)
class Seen:
    """One observation: on which object, in its own words, and when (RFC 3339, empty where nobody says)."""

    object: str
    observed: str
    time: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing; `code` is a row of docs/findings.md, `remedy` are lines to copy."""

    code: str
    title: str
    severity: Severity
    evidence: tuple[Seen, ...] = ()
    remedy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cause:
    """A finding, and whether waiting cannot mend it."""

    finding: Finding
    hopeless: bool = False


@dataclass(frozen=True)
class ObjectLine:
    """One object as it is now; `reason` is what its status or its last event says."""

    object: str
    state: State
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """`hopeless` is the finding that ends a wait; None while waiting may still help."""

    ready: bool
    hopeless: Finding | None = None
    lines: tuple[ObjectLine, ...] = ()


@dataclass(frozen=True)
class ClaimEvidence:
    """A claim that a pod mounts, and the volume it is bound to."""

    object: Found
    volume: Found = None


@dataclass(frozen=True, kw_only=True)
class PodEvidence:
    """Pods and all that keeps pods from running. None means absent, `Unknown` could not be read or was not asked.

    `now` is the API server's clock (RFC 3339); `logs` are last lines by (pod, container).
    """

    namespace: str
    now: str = ""
    pods: Many = ()
    events: Many = ()  # of the whole namespace
    claims: Mapping[str, ClaimEvidence] = field(default_factory=dict)
    classes: Many = NOT_ASKED
    neighbours: Many = NOT_ASKED  # other pods of the namespace
    nodes: Many = NOT_ASKED
    quotas: Many = NOT_ASKED
    limit_ranges: Many = NOT_ASKED
    logs: Mapping[tuple[str, str], str | Unknown] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evidence(PodEvidence):
    """One reading of a service and what it is made of."""

    name: str
    service: Found = None
    deployments: Many = ()
    replica_sets: Many = ()
    policies: Many = NOT_ASKED  # NetworkPolicies of the namespace


@dataclass(frozen=True)
class LoadEvidence:
    """The Jobs of a namespace that load models, with its events; `now` as in PodEvidence."""

    namespace: str
    now: str = ""
    jobs: Many = ()
    events: Many = ()
