"""Frozen values of what a cluster is, as read at one moment.

Owns the fact types; built only by `pvserve.cluster`, or from a YAML file in tests. Must not know a client.
`Unknown(why)` is a value: forbidden or unreachable never reads as absent.
"""

from pvserve.facts.leftovers import Contents, LeftoverFacts, PartialRow, ReplacedRow
from pvserve.facts.objects import Object, annotations_of, key, labels, name, namespace, ref
from pvserve.facts.query import KSERVE_NAMESPACES, FactsQuery
from pvserve.facts.state import (
    CacheFacts,
    ClaimFacts,
    ConnectionKind,
    Facts,
    Holder,
    KServeFacts,
    NamespaceFacts,
    OwnPlace,
    Right,
    Unknown,
    known,
)
from pvserve.facts.surroundings import Surroundings
from pvserve.facts.volumes import InventoryFacts, Neighbour, Users, VolumeFacts, VolumeQuery

__all__ = [
    "KSERVE_NAMESPACES",
    "CacheFacts",
    "ClaimFacts",
    "ConnectionKind",
    "Contents",
    "Facts",
    "FactsQuery",
    "Holder",
    "InventoryFacts",
    "KServeFacts",
    "LeftoverFacts",
    "NamespaceFacts",
    "Neighbour",
    "Object",
    "OwnPlace",
    "PartialRow",
    "ReplacedRow",
    "Right",
    "Surroundings",
    "Unknown",
    "Users",
    "VolumeFacts",
    "VolumeQuery",
    "annotations_of",
    "key",
    "known",
    "labels",
    "name",
    "namespace",
    "ref",
]
