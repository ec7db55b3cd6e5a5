"""What one command on a claim or a volume needs to know of a cluster, and the question for it.

Owns these fact values. Must not know a client, decide anything, or read anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pvserve.facts.objects import Object
from pvserve.facts.state import NamespaceFacts, Right, Unknown


@dataclass(frozen=True)
class VolumeQuery:
    """What to read: the claim and the volume it is bound to, or with `volume` that volume whoever has it.

    `neighbours`: also who else has its data. `image`: also what a pod that mounts it could run.
    """

    namespace: str
    claim: str
    volume: str = ""
    rights: tuple[Right, ...] = ()
    neighbours: bool = False
    image: bool = False


@dataclass(frozen=True)
class Users:
    """The pods and services (of every kind) of one namespace."""

    pods: tuple[Object, ...] | Unknown = ()
    services: tuple[Object, ...] | Unknown = ()


@dataclass(frozen=True)
class Neighbour:
    """Another volume with the same data, and who uses the claim that it is bound to."""

    volume: Object
    users: Users


@dataclass(frozen=True)
class InventoryFacts:
    """What `ls` reads, of one namespace or all; `free` are bytes by (namespace, claim), where kubelets told them."""

    claims: tuple[Object, ...]
    services: tuple[Object, ...] | Unknown
    pods: tuple[Object, ...] | Unknown
    volumes: tuple[Object, ...] | Unknown
    free: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class VolumeFacts:
    """One reading. None means absent, `Unknown` means it could not be read."""

    namespace: NamespaceFacts
    claim: Object | Unknown | None = None
    volume: Object | Unknown | None = None
    storage_class: Object | Unknown | None = None  # of the claim
    users: Users = field(default_factory=Users)
    rights: Mapping[Right, bool | Unknown] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] | Unknown = ()
    loader_image: str | Unknown = field(default_factory=lambda: Unknown("no image was looked for"))
