"""The rooms in order, as functions: what the commands call and what notebooks import.

Owns wiring only: spec -> facts -> plan -> show | render | apply -> verify. Must not print, nor decide.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from pvserve.apply.run import Applied, run
from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_evidence
from pvserve.cluster.reading import read_facts
from pvserve.cluster.volumes import read_inventory, read_volume_facts
from pvserve.diagnose import Finding, ObjectLine, findings, judge
from pvserve.errors import PvserveError, Temporary
from pvserve.events import Listener, silent
from pvserve.facts import Object, Unknown, VolumeFacts, VolumeQuery
from pvserve.facts import name as name_of
from pvserve.inventory import ClaimRow, inventory
from pvserve.model import Listing, check_weights, known_manifest, refusal
from pvserve.model import listing as list_directory
from pvserve.plan import build, facts_query, rollback_plan, with_admission
from pvserve.plan.edit_service import runtime_name, storage_of
from pvserve.plan.in_place import record_name
from pvserve.plan.lifecycle import adopt_plan, release_plan, resize_plan, retain_plan, undo_retain_plan
from pvserve.plan.rights import Use, rights_of
from pvserve.plan.source import is_place
from pvserve.plan.steps import ApplyObject, Load, PatchObject, Plan, Prove, Refusal
from pvserve.spec.from_service import from_service
from pvserve.spec.model import ModelSpec
from pvserve.verify.endpoint import Request
from pvserve.verify.proof import Proof
from pvserve.verify.run import Level, verify_place, verify_service

ISVC = ("serving.kserve.io/v1beta1", "InferenceService")
RUNTIME = ("serving.kserve.io/v1alpha1", "ServingRuntime")
GOALS = frozenset({"load", "serve"})


@dataclass(frozen=True)
class Planned:
    """A plan with the model directory it was made for."""

    plan: Plan
    listing: Listing | None


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


def plan(spec: ModelSpec, cluster: Cluster, *, goals: frozenset[str] = GOALS, checksum: bool = False) -> Planned:
    """Reads the model directory and the cluster, and says what would be done. Changes nothing.

    `checksum` ignores the digest cache. Raises Refused for a model directory with broken weights.
    """
    listing = known = None
    if "load" in goals and spec.model and not is_place(spec.model):
        listing = list_directory(spec.model, include=spec.include, exclude=spec.exclude)
        broken = refusal(check_weights(listing))
        if broken:
            raise broken
        known = known_manifest(listing, checksum=checksum)
    facts = read_facts(cluster, facts_query(spec, goals, cluster.namespace))
    made = build(spec, facts, listing, known, goals)
    return Planned(made if made.refusals else with_admission(made, _dry_run(cluster, made)), listing)


def _dry_run(cluster: Cluster, made: Plan) -> Mapping[str, Object | Refusal]:
    """What the server would store for each object of the plan, or why it would not."""
    out: dict[str, Object | Refusal] = {}
    for step in made.steps:
        try:
            if isinstance(step, ApplyObject):
                out[step.id] = cluster.apply(step.object, dry_run=True)
            elif isinstance(step, PatchObject):
                target = step.target
                out[step.id] = cluster.patch(
                    target.api_version, target.kind, target.name, target.namespace, step.patch, dry_run=True
                )
        except Temporary:
            raise
        except PvserveError as error:
            out[step.id] = Refusal(error.reason, error.message, error.remedy, 4 if error.exit_code == 4 else 3)
    return out


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
    service = cluster.find(*ISVC, name, cluster.namespace)
    return Planned(rollback_plan(name, cluster.namespace, service, record), None)


def retain(claim: str, cluster: Cluster, *, undo: bool = False) -> Planned:
    """The plan that keeps the data of a claim when the claim goes; with `undo` the way back."""
    facts = _volume_facts(cluster, claim, "retain")
    return _planned(undo_retain_plan(claim, facts) if undo else retain_plan(claim, facts), cluster)


def release(claim: str, cluster: Cluster) -> Planned:
    """The plan that deletes a claim whose volume stays."""
    return _planned(release_plan(claim, _volume_facts(cluster, claim, "release", "retain")), cluster)


def adopt(volume: str, cluster: Cluster, *, claim: str = "") -> Planned:
    """The plan that makes a Released volume claim `claim` ("" = the one it had) of the cluster's namespace."""
    if not claim:
        found = cluster.find("v1", "PersistentVolume", volume)
        claim = str((found["spec"].get("claimRef") or {}).get("name") or "") if isinstance(found, dict) else ""
    return _planned(adopt_plan(volume, claim, _volume_facts(cluster, claim, "adopt", volume=volume)), cluster)


def resize(claim: str, size: str, cluster: Cluster, *, timeout_seconds: int = 300) -> Planned:
    """The plan that gives a claim `size`, a quantity as 20Gi. Raises UsageError where it is none."""
    return _planned(resize_plan(claim, size, timeout_seconds, _volume_facts(cluster, claim, "resize")), cluster)


def _volume_facts(cluster: Cluster, claim: str, *uses: Use, volume: str = "") -> VolumeFacts:
    rights = tuple(dict.fromkeys(right for use in uses for right in rights_of(use, cluster.namespace)))
    return read_volume_facts(cluster, VolumeQuery(cluster.namespace, claim, volume, rights))


def _planned(made: Plan, cluster: Cluster) -> Planned:
    return Planned(made if made.refusals else with_admission(made, _dry_run(cluster, made)), None)


def diagnose(name: str, cluster: Cluster) -> tuple[Finding, ...]:
    """What is wrong with a service, most causal first."""
    return findings(read_evidence(cluster, cluster.namespace, name))


def services(cluster: Cluster) -> tuple[str, ...]:
    """The names of all services of the cluster's namespace."""
    return tuple(sorted(name_of(item) for item in cluster.list(*ISVC, cluster.namespace)))


@dataclass(frozen=True)
class ServiceState:
    """A service as it is now; `uri` is where its model comes from."""

    ready: bool
    uri: str
    lines: tuple[ObjectLine, ...]


def status(name: str, cluster: Cluster) -> ServiceState:
    """Whether a service is Ready, object by object. Raises NotFound if there is none."""
    service = cluster.get(*ISVC, name, cluster.namespace)
    verdict = judge(read_evidence(cluster, cluster.namespace, name))
    return ServiceState(verdict.ready, storage_of(service).uri, verdict.lines)


def ls(cluster: Cluster, *, all_namespaces: bool = False) -> tuple[ClaimRow, ...]:
    """The claims that hold models or are served from, and the Released volumes that hold any, here or everywhere."""
    rows = inventory(read_inventory(cluster, "" if all_namespaces else cluster.namespace))
    return tuple(row for row in rows if all_namespaces or row.namespace == cluster.namespace)


def init(name: str, cluster: Cluster) -> str:
    """A model.yaml for a service that exists. Raises NotFound if there is none."""
    service = cluster.get(*ISVC, name, cluster.namespace)
    wanted = runtime_name(service)
    runtime = cluster.find(*RUNTIME, wanted, cluster.namespace) if wanted else None
    return from_service(service, None if isinstance(runtime, Unknown) else runtime)


def listing_of(step: Load) -> Listing | None:
    """The model directory of a saved plan's load step, as it is now; None where it lies on a claim."""
    return None if is_place(step.source) else list_directory(step.source, include=step.include, exclude=step.exclude)
