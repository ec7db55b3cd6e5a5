"""What a node's kubelet measured: its stats/summary, through the API server.

Owns the request and how free space is read from the answer. Must not decide what a missing figure means.
Source: kubelet stats/summary (`pods[].volume[].pvcRef`, `pods[].ephemeral-storage`), readable with `get nodes/proxy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvserve.cluster.client import Cluster
from pvserve.errors import PvserveError
from pvserve.facts import Unknown


def summary(cluster: Cluster, node: str) -> Mapping[str, Any] | Unknown:
    """The node's stats/summary; Unknown where it may not be read (an administrator's right) or cannot."""
    try:
        answer = cluster.raw("GET", f"/api/v1/nodes/{node}/proxy/stats/summary")
        if answer.status == 403:
            return Unknown("kubelet statistics need the right to get nodes/proxy", "forbidden")
        if answer.status != 200:
            return Unknown(f"kubelet statistics of node {node}: HTTP {answer.status}")
        found = answer.json()
    except (PvserveError, ValueError) as error:
        return Unknown(f"kubelet statistics of node {node}: {error}")
    return found if isinstance(found, dict) else Unknown(f"kubelet statistics of node {node} are no object")


def free_by_claim(stats: Mapping[str, Any] | Unknown) -> dict[tuple[str, str], int]:
    """Free bytes of each claim, by (namespace, name), that the kubelet mentions; none where it could not be asked."""
    if isinstance(stats, Unknown):
        return {}
    return {
        (str(volume["pvcRef"]["namespace"]), str(volume["pvcRef"]["name"])): int(volume["availableBytes"])
        for pod in stats.get("pods") or ()
        for volume in pod.get("volume") or ()
        if volume.get("pvcRef") and "availableBytes" in volume
    }
