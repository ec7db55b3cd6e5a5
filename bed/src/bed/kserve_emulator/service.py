"""One InferenceService: the objects it wants, and its status after they were looked at. Pure.

`desired` and `new_status` together are KServe's reconcile, in Standard mode, with the cluster taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field

from .conditions import Conditions
from .config import Config
from .credentials import Keys
from .multinode import add_workers, head_service_name, workers_service_name
from .names import (
    DEPLOYMENT_MODE,
    LEGACY_MODES,
    STANDARD,
    Object,
    RefusedError,
    annotations_of,
    predictor_name,
    stopped,
    transformer_name,
)
from .predictor import Workload, predictor_workload, storage_annotations
from .selection import Runtime, apply_server_defaults, choose
from .status import STOPPED_REASON, follow_deployments, follow_pods, set_invalid
from .storage import Source, add_models
from .transformer import transformer_workload
from .workload import autoscaler, deployment, headless_service, multinode_deployments, network_service, owner_reference


@dataclass(frozen=True)
class Facts:
    """What of the cluster decides about one InferenceService."""

    service: Object
    config: Config
    runtimes: Sequence[Object] = ()
    cluster_runtimes: Sequence[Object] = ()
    keys: Keys = field(default_factory=Keys)  # for storageUris, whose initializer the controller itself adds


@dataclass(frozen=True)
class Desired:
    """What KServe wants on the cluster for one InferenceService.

    `objects` are in the order KServe creates them, Services first. `refused` says that nothing is wanted.
    """

    predictor: tuple[Object, ...] = ()
    transformer: tuple[Object, ...] = ()
    runtime: Runtime | None = None
    refused: RefusedError | None = None

    @property
    def objects(self) -> tuple[Object, ...]:
        """All of it."""
        return self.predictor + self.transformer


@dataclass(frozen=True)
class Seen:
    """What the cluster shows after the objects were applied; Deployments with the head before the workers."""

    predictor: Sequence[Object] = ()
    transformer: Sequence[Object] = ()
    pods: Sequence[Object] = ()


def mode_of(service: Object, config: Config) -> str:
    """Standard, Knative or ModelMesh: what the status says, else the annotation, else the default."""
    stored = (service.get("status") or {}).get("deploymentMode")
    asked = annotations_of(service).get(DEPLOYMENT_MODE, config.default_mode)
    mode = stored or asked
    return LEGACY_MODES.get(mode, mode)


def desired(facts: Facts) -> Desired:
    """The objects for one InferenceService, or why there are none."""
    service = deepcopy(facts.service)
    runtime: Runtime | None = None
    try:
        if service["spec"].get("canary") or service["spec"].get("explainer"):
            raise RefusedError("the KServe emulator knows neither canary nor explainer")
        if service["spec"]["predictor"].get("model") is not None:
            storage_annotations(
                service["spec"]["predictor"]
            )  # KServe refuses bad storage before it looks for a runtime
            runtime = choose(service, facts.runtimes, facts.cluster_runtimes)
            apply_server_defaults(service, runtime)
        predictor = _predictor_objects(service, runtime, facts)
        transformer: tuple[Object, ...] = ()
        if service["spec"].get("transformer") is not None:
            workload = transformer_workload(service)
            _add_listed_models(workload, facts, None)
            transformer = _component_objects(workload, owner_reference(service))
    except RefusedError as refused:
        return Desired(runtime=runtime, refused=refused)
    return Desired(predictor, transformer, runtime)


def _predictor_objects(service: Object, runtime: Runtime | None, facts: Facts) -> tuple[Object, ...]:
    owner = owner_reference(service)
    head = predictor_workload(service, runtime)
    model = service["spec"]["predictor"].get("model") or {}
    if service["spec"]["predictor"].get("workerSpec") is None or runtime is None:
        _add_listed_models(head, facts, model.get("storage"))
        return _component_objects(head, owner)
    worker, sizes = add_workers(service, runtime, head)
    for workload in (head, worker):
        _add_listed_models(workload, facts, model.get("storage"))
    deployments = multinode_deployments(head, worker, sizes, owner)
    services = [
        network_service(head, owner),
        headless_service(head, head_service_name(service), "head", owner),
        headless_service(head, workers_service_name(service), "worker", owner),
    ]
    scaler = autoscaler(head, owner)
    return (*services, *deployments, *([scaler] if scaler else []))


def _component_objects(workload: Workload, owner: Object) -> tuple[Object, ...]:
    made = deployment(workload, owner)
    scaler = autoscaler(workload, owner)
    return (network_service(workload, owner), made, *([scaler] if scaler else []))


def _add_listed_models(workload: Workload, facts: Facts, storage: Object | None) -> None:
    uris = workload.component.get("storageUris")
    if not uris:
        return
    key, parameters = (storage or {}).get("key"), (storage or {}).get("parameters")
    source = Source(workload.namespace, facts.config, workload.annotations, facts.keys, key, parameters)
    add_models(workload.pod, uris, source)


def new_status(facts: Facts, wanted: Desired, seen: Seen, now: str) -> tuple[Object, bool]:
    """The status after one reconcile.

    Args:
        wanted: from `desired` for the same facts.
        now: RFC 3339, for conditions that change.

    Returns:
        The status, and whether to look again in a second.
    """
    status: Object = deepcopy(facts.service.get("status") or {})
    status["deploymentMode"] = mode_of(facts.service, facts.config)
    status.setdefault("modelStatus", {"transitionStatus": ""})
    conditions = Conditions(status, now)
    conditions.initialize()
    if status["deploymentMode"] != STANDARD:
        return status, False
    if wanted.runtime is not None:
        _name_runtime(status, wanted.runtime)
    if wanted.refused is not None:
        _refuse(status, wanted.refused, now)
        return status, False
    if stopped(facts.service):
        return _stop(status, facts.service, now), False
    metadata = facts.service["metadata"]
    url = facts.config.url
    follow_deployments(
        status, now, "predictor", seen.predictor, url(predictor_name(facts.service), metadata["namespace"])
    )
    settled = follow_pods(status, now, seen.pods)
    if not settled:
        return status, True
    if facts.service["spec"].get("transformer") is not None:
        name = transformer_name(facts.service)
        follow_deployments(status, now, "transformer", seen.transformer, url(name, metadata["namespace"]))
    conditions.mark("Stopped", "False")
    _publish(status, facts, conditions)
    return status, False


def _publish(status: Object, facts: Facts, conditions: Conditions) -> None:
    """The addresses; no ingress is made, as in the recordings."""
    service, metadata = facts.service, facts.service["metadata"]
    entry = transformer_name(service) if service["spec"].get("transformer") is not None else predictor_name(service)
    status["url"] = facts.config.url(metadata["name"], metadata["namespace"])
    status["address"] = {"url": f"http://{entry}.{metadata['namespace']}.svc.cluster.local"}
    conditions.mark("IngressReady", "True")


def _name_runtime(status: Object, runtime: Runtime) -> None:
    mine, other = "servingRuntimeName", "clusterServingRuntimeName"
    if runtime.of_cluster:
        mine, other = other, mine
    status[mine] = runtime.name
    status.pop(other, None)


def _refuse(status: Object, refused: RefusedError, now: str) -> None:
    if refused.failure is not None:
        set_invalid(status, *refused.failure)
    if refused.condition is not None:
        status.setdefault("components", {}).setdefault("predictor", {})
        Conditions(status, now).mark("PredictorReady", "False", *refused.condition)


def _stop(status: Object, service: Object, now: str) -> Object:
    """KServe forgets everything once, then only says that the service is stopped."""
    predictor = Conditions(status, now).get("PredictorReady") or {}
    if predictor.get("reason") != STOPPED_REASON:
        status = {"deploymentMode": status["deploymentMode"], "modelStatus": {"transitionStatus": ""}}
    conditions = Conditions(status, now)
    conditions.mark("PredictorReady", "False", STOPPED_REASON)
    if service["spec"].get("transformer") is not None:
        conditions.mark("TransformerReady", "False", STOPPED_REASON)
    conditions.mark("Stopped", "True")
    return status
