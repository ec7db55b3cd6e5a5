"""What one look for leftovers finds in a namespace and on its claims.

Owns these fact values. Must not know a client, decide anything, or read anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pvserve.facts.objects import Object
from pvserve.facts.state import NamespaceFacts, Right, Unknown
from pvserve.facts.volumes import Users


@dataclass(frozen=True)
class PartialRow:
    """One partial transfer on a volume; `age_seconds` since it was last written to, by the pod's clock."""

    name: str
    bytes: int
    files: int
    age_seconds: int


@dataclass(frozen=True)
class ReplacedRow:
    """What a load took out of a path; `path` is "" where no record says which one `key` stands for."""

    key: str
    path: str
    name: str
    bytes: int
    files: int


@dataclass(frozen=True)
class Contents:
    """What lies below `.pvserve/` of one volume; `models` are the paths of those that are there."""

    partials: tuple[PartialRow, ...] = ()
    replaced: tuple[ReplacedRow, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class LeftoverFacts:
    """One reading of a namespace at `now`; `contents` by claim, of those that were looked into."""

    namespace: NamespaceFacts
    now: datetime
    claims: tuple[Object, ...]
    users: Users
    leases: tuple[Object, ...] | Unknown = ()
    records: tuple[Object, ...] | Unknown = ()  # the ConfigMaps that pvserve made
    volumes: tuple[Object, ...] | Unknown = ()
    classes: tuple[Object, ...] | Unknown = ()
    contents: Mapping[str, Contents | Unknown] = field(default_factory=dict)
    loader_image: str | Unknown = field(default_factory=lambda: Unknown("no image was looked for"))
    rights: Mapping[Right, bool | Unknown] = field(default_factory=dict)
