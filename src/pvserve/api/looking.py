"""Services as they are, as functions: what the commands call and what notebooks import.

Owns wiring only: evidence -> findings. Must not print, nor decide.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_evidence, read_load_evidence
from pvserve.cluster.served import all_services, get_service
from pvserve.diagnose import Finding, ObjectLine, findings, judge, load_findings
from pvserve.facts import name as name_of
from pvserve.plan.edit_service import storage_of


def diagnose(name: str, cluster: Cluster) -> tuple[Finding, ...]:
    """What is wrong with a service, most causal first."""
    return findings(read_evidence(cluster, cluster.namespace, name))


def diagnose_loads(cluster: Cluster) -> tuple[Finding, ...]:
    """The loads of the cluster's namespace that wait, suspended."""
    return load_findings(read_load_evidence(cluster, cluster.namespace))


def services(cluster: Cluster) -> tuple[str, ...]:
    """The names of all services of the cluster's namespace."""
    return tuple(sorted(name_of(item) for item in all_services(cluster)))


@dataclass(frozen=True)
class ServiceState:
    """A service as it is now; `uri` is where its model comes from."""

    ready: bool
    uri: str
    lines: tuple[ObjectLine, ...]


def status(name: str, cluster: Cluster) -> ServiceState:
    """Whether a service is Ready, object by object. Raises NotFound if there is none."""
    service = get_service(cluster, name)
    verdict = judge(read_evidence(cluster, cluster.namespace, name))
    return ServiceState(verdict.ready, storage_of(service).uri, verdict.lines)
