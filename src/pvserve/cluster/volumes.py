"""Reads what commands on claims and volumes need to know into `VolumeFacts` and `InventoryFacts`.

Owns which objects are asked for, and that "not allowed to look" becomes `Unknown`. Must not decide anything.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pvserve.cluster.client import Cluster
from pvserve.cluster.kserve import read_kserve
from pvserve.cluster.kubelet import free_by_claim, summary
from pvserve.cluster.served import LLM_SERVICE, MODEL_CACHE, SERVICE, allowed
from pvserve.facts import (
    InventoryFacts,
    NamespaceFacts,
    Neighbour,
    Object,
    Unknown,
    Users,
    VolumeFacts,
    VolumeQuery,
    name,
)
from pvserve.plan.lifecycle.same import holder_of, same_data

PARALLEL = 8  # requests at a time
CLAIM = ("v1", "PersistentVolumeClaim")
VOLUME = ("v1", "PersistentVolume")
# Every kind that can say in one of its fields that its model lies on a claim.
SERVICES = (
    SERVICE,
    LLM_SERVICE,
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    MODEL_CACHE,
)
Found = Object | Unknown | None


def read_volume_facts(cluster: Cluster, query: VolumeQuery) -> VolumeFacts:
    """One reading of the cluster.

    Raises Temporary when the cluster cannot be reached, NotAllowed("NotLoggedIn") when it does not know us.
    """
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="read") as pool:
        rights = {right: pool.submit(allowed, cluster, right) for right in query.rights}
        namespace = pool.submit(cluster.find, "v1", "Namespace", query.namespace)
        pods = pool.submit(cluster.find_all, "v1", "Pod", query.namespace)
        services = pool.submit(services_in, cluster, query.namespace)
        image = pool.submit(read_kserve, cluster) if query.image else None
        claim = cluster.find(*CLAIM, query.claim, query.namespace) if query.claim else None
        volume = cluster.find(*VOLUME, query.volume) if query.volume else _bound_to(cluster, claim)
        wanted = _class_name(claim)
        storage_class = cluster.find("storage.k8s.io/v1", "StorageClass", wanted) if wanted else None
        return VolumeFacts(
            namespace=NamespaceFacts(query.namespace, namespace.result()),
            claim=claim,
            volume=volume,
            storage_class=storage_class,
            users=Users(pods.result(), services.result()),
            rights={right: asked.result() for right, asked in rights.items()},
            neighbours=neighbours_of(cluster, volume) if query.neighbours else (),
            loader_image=image.result().storage_initializer_image if image else Unknown("no image was looked for"),
        )


def neighbours_of(cluster: Cluster, volume: Found) -> tuple[Neighbour, ...] | Unknown:
    """The other volumes with the data of this one; users as far as their namespaces may be read."""
    if volume is None or isinstance(volume, Unknown):
        return volume or ()
    found = cluster.find_all(*VOLUME)
    if isinstance(found, Unknown):
        return found
    same = [other for other in found if name(other) != name(volume) and same_data(other, volume)]
    return tuple(Neighbour(other, users_in(cluster, holder_of(other)[0])) for other in same)


def users_in(cluster: Cluster, namespace: str) -> Users:
    """Pods and services of one namespace; nobody where there is no namespace."""
    if not namespace:
        return Users()
    return Users(cluster.find_all("v1", "Pod", namespace), services_in(cluster, namespace))


def services_in(cluster: Cluster, namespace: str) -> tuple[Object, ...] | Unknown:
    """The services of every kind in `namespace`, "" for all; a kind that the cluster does not serve has none."""
    found: list[Object] = []
    for kind in SERVICES:
        listed = cluster.find_all(*kind, namespace)
        if not isinstance(listed, Unknown):
            found += listed
        elif listed.cause != "no-such-api":
            return listed
    return tuple(found)


def _bound_to(cluster: Cluster, claim: Found) -> Found:
    if not isinstance(claim, dict):
        return claim
    volume = str(claim["spec"].get("volumeName") or "")
    return cluster.find(*VOLUME, volume) if volume else None


def _class_name(claim: Found) -> str:
    return str(claim["spec"].get("storageClassName") or "") if isinstance(claim, dict) else ""


def read_inventory(cluster: Cluster, namespace: str) -> InventoryFacts:
    """All claims, and what can be read beside them, of `namespace` or ("") everywhere.

    Raises NotAllowed where the claims themselves may not be read.
    """
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="read") as pool:
        claims = pool.submit(cluster.list, *CLAIM, namespace)
        services = pool.submit(services_in, cluster, namespace)
        volumes = pool.submit(cluster.find_all, *VOLUME)
        pods = cluster.find_all("v1", "Pod", namespace)
        nodes = () if isinstance(pods, Unknown) else sorted({_node(pod) for pod in pods} - {""})
        told = pool.map(lambda node: free_by_claim(summary(cluster, node)), nodes)
        free = {claim: size for each in told for claim, size in each.items()}
        return InventoryFacts(tuple(claims.result()), services.result(), pods, volumes.result(), free)


def _node(pod: Object) -> str:
    """The node that runs a pod with a claim, "" for any other pod."""
    claims = any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes") or ())
    running = (pod.get("status") or {}).get("phase") == "Running"
    return str(pod["spec"].get("nodeName") or "") if claims and running else ""
