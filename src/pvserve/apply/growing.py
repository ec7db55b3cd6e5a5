"""What to do about a claim that is full or too small, once the volume has said so.

Owns looking at the claim's class then. Must not decide what is said (`plan.growth`).
"""

from __future__ import annotations

import contextlib

from pvserve.cluster import Cluster
from pvserve.errors import PvserveError
from pvserve.facts import Object, Unknown
from pvserve.plan.growth import ways_to_grow
from pvserve.transfer import size_wanted

NO_ROOM = ("ClaimFull", "ClaimTooSmall")


def tell_how_to_grow(cluster: Cluster, claim: str, error: PvserveError) -> None:
    """Puts the resize into the remedy of an error that says how large the claim would have to be."""
    size = size_wanted(error)
    if error.reason not in NO_ROOM or not size:
        return
    with contextlib.suppress(PvserveError):  # what the volume said is what matters
        ways = ways_to_grow(claim, cluster.namespace, size, _class_of(cluster, claim))
        free = f"or free space on it: pvserve gc {claim} -n {cluster.namespace}"
        error.remedy = (*ways, free, "then run the same command again: it sends only the rest")


def _class_of(cluster: Cluster, claim: str) -> Object | Unknown | None:
    live = cluster.find("v1", "PersistentVolumeClaim", claim, cluster.namespace)
    if not isinstance(live, dict):
        return live
    wanted = str(live["spec"].get("storageClassName") or "")
    return cluster.find("storage.k8s.io/v1", "StorageClass", wanted) if wanted else None
