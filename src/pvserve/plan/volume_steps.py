"""Steps of the commands on claims and volumes: what goes, what is kept, what is waited for.

Owns the types. Must not read or change anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pvserve.facts import Object, Right
from pvserve.facts.objects import ObjectKey


@dataclass(frozen=True)
class ReleaseClaim:
    """Delete the claim, where its volume is retained at that very moment, and wait until the volume is Released."""

    id: str
    title: str
    claim: str
    uid: str
    volume: str
    why: str = ""
    rights: tuple[Right, ...] = ()
    timeout_seconds: int = 120


@dataclass(frozen=True)
class RemoveModel:
    """Take a model away from its path, with its records; `named`: its name was typed, whoever put it there.

    `everything`: also what was replaced at the path. `uid` is the claim's.
    """

    id: str
    title: str
    claim: str
    uid: str
    path: str
    pod: Object  # the loader pod as it will be created
    named: bool = False
    everything: bool = False
    why: str = ""
    rights: tuple[Right, ...] = ()


@dataclass(frozen=True)
class Swept:
    """One leftover on a volume: a partial transfer by name, or what was replaced by key and name.

    `path` is "" where nobody knows which one it was for.
    """

    kind: Literal["partial", "replaced"]
    title: str
    path: str
    name: str
    key: str
    bytes: int


@dataclass(frozen=True)
class SweepVolume:
    """Remove leftovers from a claim, each with the Lease of its place held."""

    id: str
    title: str
    claim: str
    pod: Object  # as it will be created
    leftovers: tuple[Swept, ...]
    why: str = ""
    rights: tuple[Right, ...] = ()


@dataclass(frozen=True)
class DeleteObject:
    """Delete the object, where it is still the one of this uid, and wait until it is gone."""

    id: str
    title: str
    target: ObjectKey
    uid: str
    why: str = ""
    rights: tuple[Right, ...] = ()
    timeout_seconds: int = 120


@dataclass(frozen=True)
class WaitBound:
    """Wait until the claim is bound to `volume`, and to no other."""

    id: str
    title: str
    namespace: str
    claim: str
    volume: str
    timeout_seconds: int = 120


@dataclass(frozen=True)
class WaitCloned:
    """Wait until the claim has its clone; with `attempt` a driver that refuses is believed at once: the claim goes."""

    id: str
    title: str
    claim: str
    source: str
    attempt: bool = False
    timeout_seconds: int = 600


@dataclass(frozen=True)
class WaitSnapshot:
    """Wait until the snapshot of claim `source` is taken and can be used."""

    id: str
    title: str
    snapshot: str
    source: str
    timeout_seconds: int = 600


@dataclass(frozen=True)
class WaitResized:
    """Wait until the claim and its file system have `bytes`."""

    id: str
    title: str
    claim: str
    bytes: int
    timeout_seconds: int = 300
