"""Reads what one plan needs to know into `Facts`.

Owns which objects are asked for, and that "not allowed to look" becomes `Unknown`. Must not decide anything.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from pvserve.cluster.client import Cluster
from pvserve.cluster.failures import NotFound, as_unknown
from pvserve.cluster.kserve import knative_claims, read_kserve
from pvserve.cluster.kubelet import free_by_claim, summary
from pvserve.cluster.model_caches import read_model_caches
from pvserve.cluster.pods import alive, holders
from pvserve.cluster.served import SERVICE, allowed, find_llm, workload_selector
from pvserve.errors import NotAllowed
from pvserve.facts import (
    ClaimFacts,
    ConnectionKind,
    Facts,
    FactsQuery,
    Holder,
    NamespaceFacts,
    Object,
    Unknown,
    annotations_of,
    name,
    namespace,
)
from pvserve.plan.llm_service import is_llm
from pvserve.plan.reach import HOSTNAME, holder_of, hosts_of
from pvserve.plan.template import API as TEMPLATE
from pvserve.plan.template import KIND as TEMPLATE_KIND
from pvserve.plan.template import runtime_of, template_of

PARALLEL = 8  # requests at a time
RUNTIME = ("serving.kserve.io/v1alpha1", "ServingRuntime")
CLUSTER_RUNTIME = ("serving.kserve.io/v1alpha1", "ClusterServingRuntime")
CLAIM = ("v1", "PersistentVolumeClaim")
STORAGE_CLASS = ("storage.k8s.io/v1", "StorageClass")
STORAGE_PROFILE = ("cdi.kubevirt.io/v1beta1", "StorageProfile")
CONNECTION = "opendatahub.io/connections"
# opendatahub-operator pkg/webhook/utils.go: the protocol first, then the deprecated reference to a connection type.
CONNECTION_TYPES: tuple[tuple[str, dict[str, ConnectionKind]], ...] = (
    ("opendatahub.io/connection-type-protocol", {"s3": "s3", "uri": "uri", "oci": "oci"}),
    ("opendatahub.io/connection-type-ref", {"s3": "s3", "uri-v1": "uri", "oci-v1": "oci"}),
)

T = TypeVar("T")
Found = Object | Unknown | None


def read_facts(cluster: Cluster, query: FactsQuery, pool: Executor | None = None) -> Facts:
    """One reading of the cluster; several requests at a time, about as many as `query` has names and rights.

    `pool` makes the requests, where several readings share one.
    Raises Temporary when the cluster cannot be reached, NotAllowed("NotLoggedIn") when it does not know us.
    """
    if pool is None:
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="read") as own:
            return read_facts(cluster, query, own)
    return _read(cluster, query, pool)


def _read(cluster: Cluster, query: FactsQuery, pool: Executor) -> Facts:
    """First what can be asked at once, then what depends on it; only this thread waits, none of the pool's."""
    first = _First(cluster, query, pool)
    origin, service, claim = (
        _origin(cluster, query, first.origin.result()),
        first.service.result(),
        first.claim.result(),
    )
    if _is_llm(origin):
        service = find_llm(cluster, query.service, query.namespace) if query.service else None
    classes = first.classes.result()
    start = origin if query.origin else service
    origin_runtime = pool.submit(_origin_runtime, cluster, query, origin)
    connection = pool.submit(_connection, cluster, start)
    pods = pool.submit(_runtime_pods, cluster, origin)
    knative = pool.submit(knative_claims, cluster, start if isinstance(start, dict) else None)
    profiles = pool.submit(cluster.find_all, *STORAGE_PROFILE) if query.claim and claim is None else None
    claimed = pool.submit(_claim, cluster, query, query.claim, claim, classes)
    source = pool.submit(_source, cluster, query, first.source.result(), classes)
    runtime, template = origin_runtime.result()
    return Facts(
        server_version=first.version.result(),
        namespace=NamespaceFacts(query.namespace, first.namespace.result()),
        kserve=first.kserve.result(),
        claim=claimed.result(),
        source=source.result(),
        storage_classes=classes,
        storage_profiles=profiles.result() if profiles is not None else (),
        origin_service=origin,
        origin_runtime=runtime,
        runtime_template=template,
        service=service,
        runtime=first.runtime.result(),
        connection=connection.result(),
        knative_claims=knative.result(),
        runtime_pods=pods.result(),
        rights={right: asked.result() for right, asked in first.rights.items()},
        model_caches=first.caches.result() if first.caches is not None else None,
    )


def _origin(cluster: Cluster, query: FactsQuery, found: Found) -> Found:
    """The service to start from: an LLMInferenceService where no InferenceService has its name."""
    if found is not None or not query.origin:
        return found
    where, wanted = query.origin
    return find_llm(cluster, wanted, where)


def _is_llm(found: Found) -> bool:
    """Whether it was read, and is an LLMInferenceService."""
    return isinstance(found, dict) and is_llm(found)


class _First:
    """What can be asked at once; the rest depends on the answers."""

    def __init__(self, cluster: Cluster, query: FactsQuery, pool: Executor) -> None:
        def find(kind: tuple[str, str], wanted: str, where: str) -> Future[Found]:
            return pool.submit(_find, cluster, kind, wanted, where)

        origin_namespace, origin_name = query.origin or ("", "")
        self.claim = find(CLAIM, query.claim, query.namespace)
        self.source = find(CLAIM, query.source_claim, query.namespace)
        self.origin = find(SERVICE, origin_name, origin_namespace)
        self.service = find(SERVICE, query.service, query.namespace)
        self.classes = pool.submit(cluster.find_all, *STORAGE_CLASS)
        self.namespace = find(("v1", "Namespace"), query.namespace, "")
        self.runtime = find(RUNTIME, query.runtime, query.namespace)
        self.kserve = pool.submit(read_kserve, cluster, query.kserve_namespaces)
        self.caches = pool.submit(read_model_caches, cluster, query.namespace) if query.model_caches else None
        self.version = pool.submit(_readable, cluster.version)
        self.rights = {right: pool.submit(allowed, cluster, right) for right in query.rights}


def _find(cluster: Cluster, kind: tuple[str, str], wanted: str, where: str) -> Found:
    return cluster.find(*kind, wanted, where) if wanted else None


def _readable(read: Callable[[], T]) -> T | Unknown:
    try:
        return read()
    except (NotAllowed, NotFound) as error:
        return as_unknown(error)


def _source(
    cluster: Cluster, query: FactsQuery, claim: Found, classes: tuple[Object, ...] | Unknown
) -> ClaimFacts | None:
    return _claim(cluster, query, query.source_claim, claim, classes) if query.source_claim else None


def _claim(
    cluster: Cluster, query: FactsQuery, wanted: str, claim: Found, classes: tuple[Object, ...] | Unknown
) -> ClaimFacts:
    if isinstance(claim, Unknown):
        return ClaimFacts(wanted, claim, claim, claim, claim, claim, claim, claim)
    if claim is None:
        return ClaimFacts(wanted, None, elsewhere=_elsewhere(cluster, query, wanted))
    spec: Any = claim["spec"]
    pods = cluster.find_all("v1", "Pod", query.namespace)
    held = pods if isinstance(pods, Unknown) else holders(pods, wanted)
    found = ClaimFacts(
        wanted,
        claim,
        volume=_find(cluster, ("v1", "PersistentVolume"), spec.get("volumeName") or "", ""),
        storage_class=_class(cluster, spec.get("storageClassName") or "", classes),
        holders=held,
        elsewhere=Unknown("the claim is here, so nobody looked elsewhere"),
        free_bytes=_free_bytes(cluster, query.namespace, wanted, held),
    )
    return replace(found, nodes=_nodes(cluster, found))


def _nodes(cluster: Cluster, claim: ClaimFacts) -> tuple[Object, ...] | Unknown:
    """The nodes that decide where the claim can be mounted; none is asked for where none is named."""
    holder, hosts = holder_of(claim), hosts_of(claim)
    found: tuple[Object, ...] | Unknown = ()
    if hosts:
        found = cluster.find_all("v1", "Node", label_selector=f"{HOSTNAME} in ({','.join(hosts)})")
    if isinstance(found, Unknown) or holder is None or holder.node in [name(node) for node in found]:
        return found
    node = cluster.find("v1", "Node", holder.node)
    if isinstance(node, Unknown):
        return node
    return found if node is None else (*found, node)


def _class(cluster: Cluster, wanted: str, classes: tuple[Object, ...] | Unknown) -> Found:
    if isinstance(classes, Unknown):
        return _find(cluster, STORAGE_CLASS, wanted, "")
    return next((item for item in classes if name(item) == wanted), None)


def _elsewhere(cluster: Cluster, query: FactsQuery, wanted: str) -> tuple[str, ...] | Unknown:
    """Other namespaces with a claim of this name: a claim cannot be mounted from there."""
    if not wanted:
        return ()
    found = cluster.find_all(*CLAIM, field_selector=f"metadata.name={wanted}")
    if isinstance(found, Unknown):
        return found
    return tuple(sorted(namespace(claim) for claim in found if namespace(claim) != query.namespace))


def _free_bytes(cluster: Cluster, where: str, claim: str, held: tuple[Holder, ...] | Unknown) -> int | Unknown:
    """As the kubelet of a pod that mounts the claim says; nothing is run in anybody's pod."""
    if isinstance(held, Unknown):
        return held
    node = next((holder.node for holder in held if holder.phase == "Running"), "")
    if not node:
        return Unknown("no running pod mounts the claim")
    stats = summary(cluster, node)
    if isinstance(stats, Unknown):
        return stats
    free = free_by_claim(stats).get((where, claim))
    return Unknown(f"the kubelet of {node} says nothing about the claim") if free is None else free


def _origin_runtime(cluster: Cluster, query: FactsQuery, origin: Found) -> tuple[Found, Object | None]:
    """The runtime by name: one of the service's namespace goes before one of the cluster, as in KServe.

    Where there is no service to start from it may be in a Template, which is then told too.
    """
    where, wanted = query.namespace, query.origin_runtime
    if query.origin:
        if origin is None or isinstance(origin, Unknown):
            return origin, None
        if is_llm(origin):
            return None, None
        predictor = origin["spec"].get("predictor") or {}
        where, wanted = namespace(origin), str((predictor.get("model") or {}).get("runtime") or "")
    found = _find(cluster, RUNTIME, wanted, where) or _find(cluster, CLUSTER_RUNTIME, wanted, "")
    template = _template(cluster, query, wanted) if found is None and wanted and not query.origin else None
    return (found, None) if template is None else (runtime_of(template, wanted), template)


def _template(cluster: Cluster, query: FactsQuery, wanted: str) -> Object | None:
    """One of the namespace goes before one that Open Data Hub ships; what may not be listed cannot be used."""
    for where in dict.fromkeys((query.namespace, *query.kserve_namespaces)):
        templates = cluster.find_all(TEMPLATE, TEMPLATE_KIND, where)
        if isinstance(templates, Unknown):
            if templates.cause == "no-such-api":  # no OpenShift
                return None
        elif found := template_of(templates, wanted):
            return found
    return None


def _runtime_pods(cluster: Cluster, origin: Found) -> tuple[Object, ...] | Unknown:
    if origin is None or isinstance(origin, Unknown):
        return origin or ()
    selector = workload_selector(origin) + ("" if is_llm(origin) else ",component=predictor")
    pods = cluster.find_all("v1", "Pod", namespace(origin), label_selector=selector)
    return pods if isinstance(pods, Unknown) else alive(pods)


def _connection(cluster: Cluster, service: Found) -> ConnectionKind | Unknown:
    """The type of the secret that the service's connection names; of the secret, metadata alone is read.

    A secret that says no known type is treated by the webhook like one that is gone.
    """
    if service is None or isinstance(service, Unknown):
        return service or "none"
    secret = annotations_of(service).get(CONNECTION, "")
    if not secret:
        return "none"
    found = cluster.find_metadata("v1", "Secret", secret, namespace(service))
    if isinstance(found, Unknown):
        return found
    return "gone" if found is None else connection_kind(found)


def connection_kind(secret: Object) -> ConnectionKind:
    """By the first of its type annotations that is set."""
    for annotation, kinds in CONNECTION_TYPES:
        if annotations_of(secret).get(annotation):
            return kinds.get(annotations_of(secret)[annotation], "gone")
    return "gone"
