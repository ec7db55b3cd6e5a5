"""A model from plan to proof, as functions: what the commands call and what notebooks import.

Owns wiring only: spec -> facts -> plan -> show | render | apply -> verify. Must not print, nor decide.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pvserve.api.gathering import GOALS, gather
from pvserve.api.planned import Planned, admitted
from pvserve.apply.run import Applied, run
from pvserve.cluster import Cluster
from pvserve.cluster.reading import RUNTIME
from pvserve.cluster.served import find_service, get_service
from pvserve.events import Listener, silent
from pvserve.facts import Unknown
from pvserve.model import Listing
from pvserve.model import listing as list_directory
from pvserve.plan import rollback_plan
from pvserve.plan.edit_service import runtime_name
from pvserve.plan.in_place import record_name
from pvserve.plan.source import is_place
from pvserve.plan.steps import Load, Plan, Prove
from pvserve.spec.from_service import from_service
from pvserve.spec.model import ModelSpec
from pvserve.verify.endpoint import Request
from pvserve.verify.proof import Proof
from pvserve.verify.run import Level, verify_place, verify_service


@dataclass(frozen=True)
class Outcome:
    """What deploy did and what it proved; `proof` is None where the plan has nothing to prove."""

    plan: Plan
    applied: Applied
    proof: Proof | None

    @property
    def exit_code(self) -> int:
        """0 only when everything that was to be proven is."""
        return self.proof.exit_code if self.proof else 0


def plan(
    spec: ModelSpec,
    cluster: Cluster,
    *,
    goals: frozenset[str] = GOALS,
    checksum: bool = False,
    force: bool = False,
) -> Planned:
    """Reads the model directory and the cluster, and says what would be done. Changes nothing.

    `checksum` ignores the digest cache; with `force` the plan takes fields over that somebody else edited.
    Raises Refused for a model directory with broken weights.
    """
    gathered = gather(spec, cluster, goals=goals, checksum=checksum, force=force)
    return admitted(gathered.made(), cluster, gathered.listing)


def apply(
    planned: Planned,
    cluster: Cluster,
    *,
    listen: Listener = silent,
    cancel: threading.Event | None = None,
    request: Request | None = None,
) -> Outcome:
    """Carries out a plan and proves the result."""
    applied = run(cluster, planned.plan, planned.listing, listen, cancel or threading.Event())
    prove = next((step for step in planned.plan.steps if isinstance(step, Prove)), None)
    if prove is None:
        return Outcome(planned.plan, applied, None)
    digest = applied.loaded.manifest_digest if applied.loaded else ""
    proof = verify_service(cluster, prove.service, listen, level=prove.digests, request=request, manifest_digest=digest)
    return Outcome(planned.plan, applied, proof)


def deploy(spec: ModelSpec, cluster: Cluster, *, listen: Listener = silent, goals: frozenset[str] = GOALS) -> Outcome:
    """The main job in one call: plan, load, serve, prove."""
    return apply(plan(spec, cluster, goals=goals), cluster, listen=listen)


def load(spec: ModelSpec, cluster: Cluster, *, listen: Listener = silent) -> Outcome:
    """Bytes only: the claim, where there is none, and the model directory on it."""
    return deploy(spec, cluster, listen=listen, goals=frozenset({"load"}))


def verify(
    target: str,
    cluster: Cluster,
    *,
    level: Level = "full",
    request: Request | None = None,
    listen: Listener = silent,
) -> Proof:
    """The proof of a service by name, or of `pvc://CLAIM/PATH`."""
    if target.startswith("pvc://"):
        return verify_place(cluster, target, listen, level=level)
    return verify_service(cluster, target, listen, level=level, request=request)


def rollback(name: str, cluster: Cluster) -> Planned:
    """The plan that takes service `name` back to what it was before pvserve."""
    record = cluster.find("v1", "ConfigMap", record_name(name), cluster.namespace)
    service = find_service(cluster, name, cluster.namespace)
    return Planned(rollback_plan(name, cluster.namespace, service, record), None)


def init(name: str, cluster: Cluster) -> str:
    """A model.yaml for a service that exists. Raises NotFound if there is none."""
    service = get_service(cluster, name)
    wanted = runtime_name(service)
    runtime = cluster.find(*RUNTIME, wanted, cluster.namespace) if wanted else None
    return from_service(service, None if isinstance(runtime, Unknown) else runtime)


def listing_of(step: Load) -> Listing | None:
    """The model directory of a saved plan's load step, as it is now; None where it lies on a claim."""
    return None if is_place(step.source) else list_directory(step.source, include=step.include, exclude=step.exclude)
