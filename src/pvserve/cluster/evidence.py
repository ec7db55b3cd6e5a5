"""Reads what a service, or a pod, is made of and what happened to it.

Owns which objects are asked for: few each time, more only where the first ones call for it, since a wait asks every
second. Must not decide what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pvserve.cluster.client import Cluster
from pvserve.cluster.served import SERVICE, Found, find_llm, llm_selector
from pvserve.diagnose import NOT_ASKED, ClaimEvidence, Evidence, LoadEvidence, PodEvidence
from pvserve.diagnose.pods import Container, claim_names, containers, node, phase, ready, service_claims
from pvserve.diagnose.rollout import current_pods
from pvserve.diagnose.values import Many
from pvserve.errors import PvserveError, Temporary
from pvserve.facts import Object, Unknown, name, namespace
from pvserve.plan.loading import LOADER_LABEL

PARALLEL = 8  # requests at a time
LOG_LINES = 100  # MLServer shuts down for 30 lines after it has said why
MOST_LOGS = 6
PARTS = (("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("v1", "Pod"))
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
E = TypeVar("E", bound=PodEvidence)


def read_evidence(cluster: Cluster, namespace: str, service_name: str) -> Evidence:
    """A service, its Deployments, pods, claims and their events; what may not be read is `Unknown`.

    Seven requests and one per claim while all is well. Raises Temporary when the cluster cannot be reached.
    """
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="evidence") as pool:
        service = pool.submit(cluster.find, *SERVICE, service_name, namespace)

        def of_service(selector: str) -> list[Future[Many]]:
            return [pool.submit(cluster.find_all, *kind, namespace, label_selector=selector) for kind in PARTS]

        parts = of_service(f"{SERVICE_LABEL}={service_name}")
        events = pool.submit(cluster.find_all, "v1", "Event", namespace)
        policies = pool.submit(cluster.find_all, "networking.k8s.io/v1", "NetworkPolicy", namespace)
        now = pool.submit(_now, cluster)
        found: Found = service.result()
        if found is None:
            found = find_llm(cluster, service_name, namespace)
            parts = of_service(llm_selector(service_name)) if isinstance(found, dict) else parts
        deployments, replica_sets, pods = (part.result() for part in parts)
        evidence = Evidence(
            name=service_name,
            namespace=namespace,
            now=now.result(),
            service=found,
            deployments=deployments,
            replica_sets=replica_sets,
            pods=pods,
            events=events.result(),
            policies=policies.result(),
        )
        return _more(cluster, pool, evidence, current_pods(evidence))


def read_pod_evidence(cluster: Cluster, pod: Object) -> PodEvidence:
    """A pod that stands alone, as `pod` was just read, with its claims and events."""
    where = namespace(pod)
    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="evidence") as pool:
        now = pool.submit(_now, cluster)
        events = pool.submit(cluster.find_all, "v1", "Event", where)
        evidence = PodEvidence(namespace=where, now=now.result(), pods=(pod,), events=events.result())
        return _more(cluster, pool, evidence, (pod,))


def read_load_evidence(cluster: Cluster, namespace: str) -> LoadEvidence:
    """The Jobs of a namespace that load models; its events only where one of them is suspended."""
    jobs = cluster.find_all("batch/v1", "Job", namespace, label_selector=LOADER_LABEL)
    waits = not isinstance(jobs, Unknown) and any(job["spec"].get("suspend") for job in jobs)
    events = cluster.find_all("v1", "Event", namespace) if waits else ()
    return LoadEvidence(namespace, _now(cluster), jobs, events)


def _now(cluster: Cluster) -> str:
    """The API server's clock, by the Date of any answer: ages must not depend on this machine's clock."""
    date = cluster.raw("GET", "/version").headers.get("date", "")
    try:
        return parsedate_to_datetime(date).astimezone(UTC).isoformat()
    except ValueError:
        return ""


def _more(cluster: Cluster, pool: ThreadPoolExecutor, evidence: E, pods: tuple[Object, ...]) -> E:
    """What the pods mount; and for those that are not well, what may be the reason."""
    wanted = sorted({*_named(evidence), *(claim for pod in pods for claim in claim_names(pod))})
    claims = {claim: pool.submit(_claim, cluster, evidence.namespace, claim) for claim in wanted}
    logs = {key: pool.submit(_log, cluster, evidence.namespace, item) for key, item in _speaking(pods)}
    read = {claim: asked.result() for claim, asked in claims.items()}
    objects = [of.object for of in read.values()]
    pending = [pod for pod in pods if phase(pod) == "Pending"]

    def if_asked(called_for: bool, api_version: str, kind: str, namespace: str = "") -> Callable[[], Many]:
        if not called_for:
            return lambda: NOT_ASKED
        return pool.submit(cluster.find_all, api_version, kind, namespace).result

    unbound = any(isinstance(item, dict) and not item["spec"].get("volumeName") for item in objects)
    classes = if_asked(unbound, "storage.k8s.io/v1", "StorageClass")
    neighbours = if_asked(bool(pending), "v1", "Pod", evidence.namespace)
    nodes = if_asked(any(not node(pod) for pod in pending), "v1", "Node")
    quotas = if_asked(None in objects, "v1", "ResourceQuota", evidence.namespace)
    return replace(
        evidence,
        claims=read,
        logs={key: asked.result() for key, asked in logs.items()},
        classes=classes(),
        neighbours=neighbours(),
        nodes=nodes(),
        quotas=quotas(),
    )


def _named(evidence: PodEvidence) -> tuple[str, ...]:
    service = evidence.service if isinstance(evidence, Evidence) else None
    return service_claims(service) if isinstance(service, dict) else ()


def _claim(cluster: Cluster, namespace: str, claim: str) -> ClaimEvidence:
    found = cluster.find("v1", "PersistentVolumeClaim", claim, namespace)
    volume = found["spec"].get("volumeName") if isinstance(found, dict) else ""
    return ClaimEvidence(found, cluster.find("v1", "PersistentVolume", volume) if volume else None)


def _speaking(pods: Iterable[Object]) -> Iterator[tuple[tuple[str, str], Container]]:
    """The containers whose last lines may tell something: they ended, or run without being ready."""
    left = MOST_LOGS
    for pod in pods:
        if ready(pod):
            continue
        for container in containers(pod):
            bad = container.ended is not None and (container.ended.get("exitCode") or not container.init)
            unready = container.state("running") and not container.status.get("ready")
            if left and (bad or unready):
                left -= 1
                yield (name(pod), container.name), container


def _log(cluster: Cluster, namespace: str, container: Container) -> str | Unknown:
    """Of the run that ended, where one did."""
    previous = bool(container.state("running") and container.ended)
    try:
        return cluster.logs(name(container.pod), namespace, container.name, LOG_LINES, previous)
    except Temporary:
        raise
    except PvserveError as error:
        return Unknown(error.message, "forbidden" if error.reason == "Forbidden" else "not-asked")
