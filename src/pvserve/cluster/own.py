"""The pod that this process runs in.

Owns finding it. Must not decide what follows from it.
"""

from __future__ import annotations

import contextlib
import socket

from pvserve.cluster.client import Cluster
from pvserve.cluster.login import SERVICE_ACCOUNT
from pvserve.errors import PvserveError
from pvserve.facts import Object


def own_pod(cluster: Cluster) -> Object | None:
    """Our own pod, where it is one of `cluster`; None where we run in none, or cannot tell.

    A pod's host name is its name unless its spec says otherwise; a pod of that name that has another address than ours
    is another cluster's, or another one's.
    """
    with contextlib.suppress(OSError, PvserveError):
        namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        pod = cluster.find("v1", "Pod", socket.gethostname(), namespace)
        if isinstance(pod, dict) and _addresses(pod) & _own_addresses():
            return pod
    return None


def _addresses(pod: Object) -> set[str]:
    status = pod.get("status") or {}
    return {str(item.get("ip")) for item in status.get("podIPs") or ()} | {str(status.get("podIP"))}


def _own_addresses() -> set[str]:
    """The kubelet writes the pod's addresses beside its name into /etc/hosts."""
    return {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None)}
