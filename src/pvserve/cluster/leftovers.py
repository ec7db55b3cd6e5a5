"""Reads what `gc` needs to know of a namespace into `LeftoverFacts`.

Owns which objects are asked for, and that "not allowed to look" becomes `Unknown`. Must not decide anything.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pvserve.cluster.client import Cluster
from pvserve.cluster.kserve import read_kserve
from pvserve.cluster.served import allowed
from pvserve.cluster.volumes import CLAIM, PARALLEL, VOLUME, users_in
from pvserve.facts import LeftoverFacts, NamespaceFacts, Right, annotations_of, namespace
from pvserve.plan.claim import MODELS

OURS = "app.kubernetes.io/managed-by=pvserve"
LEASE = ("coordination.k8s.io/v1", "Lease")


def read_leftovers(cluster: Cluster, rights: tuple[Right, ...]) -> LeftoverFacts:
    """One reading of the cluster's namespace, but for what lies on its claims.

    Raises NotAllowed where the claims themselves may not be read.
    """
    where = cluster.namespace
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="read") as pool:
        asked = {right: pool.submit(allowed, cluster, right) for right in rights}
        found = pool.submit(cluster.find, "v1", "Namespace", where)
        claims = pool.submit(cluster.list, *CLAIM, where)
        users = pool.submit(users_in, cluster, where)
        leases = pool.submit(cluster.find_all, *LEASE, where, label_selector=OURS)
        records = pool.submit(cluster.find_all, "v1", "ConfigMap", where, label_selector=OURS)
        volumes = pool.submit(cluster.find_all, *VOLUME)
        classes = pool.submit(cluster.find_all, "storage.k8s.io/v1", "StorageClass")
        return LeftoverFacts(
            namespace=NamespaceFacts(where, found.result()),
            now=datetime.now(UTC),
            claims=tuple(claims.result()),
            users=users.result(),
            leases=leases.result(),
            records=records.result(),
            volumes=volumes.result(),
            classes=classes.result(),
            loader_image=read_kserve(cluster).storage_initializer_image,
            rights={right: answer.result() for right, answer in asked.items()},
        )


def namespaces_with_traces(cluster: Cluster) -> tuple[str, ...]:
    """The namespaces with claims that hold models, or with a Lease of pvserve's. Raises NotAllowed."""
    claims = [item for item in cluster.list(*CLAIM) if MODELS in annotations_of(item)]
    leases = cluster.list(*LEASE, label_selector=OURS)
    return tuple(sorted({namespace(item) for item in (*claims, *leases)}))
