"""What KServe accepts without a word and then does otherwise, recognised before anything is applied.

Owns the rules. Pure. Words, remedies and sources are `trap_table`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pvserve.facts import Facts, Object, annotations_of, name, ref
from pvserve.facts.objects import DEPLOYMENT_MODE
from pvserve.plan.edit_runtime import formats_of
from pvserve.plan.edit_service import READ_ONLY, replicas_of, storage_of
from pvserve.plan.listed import beside_it, copied, losing_path
from pvserve.plan.llm_service import is_llm, llm_notes, several_nodes
from pvserve.plan.part import Part
from pvserve.plan.trap_table import note, stop
from pvserve.plan.volume import modes_to_be
from pvserve.spec.model import ModelSpec
from pvserve.spec.quantity import round_up

ENABLE_AUTH = "security.opendatahub.io/enable-auth"
PARALLEL_SIZES = ("pipelineParallelSize", "tensorParallelSize")  # 1 where nobody says (kserve pkg/constants)
SHARED_MODES = {"ReadWriteMany", "ReadOnlyMany"}
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
# Servers that ask the Hub for what a model directory lacks, by a word of their image's or command's name.
READ_SPEED = 200 << 20  # bytes per second that a network volume gives one reader; faster ones only need less
DEADLINE_SECONDS = 600  # Kubernetes: Deployment spec.progressDeadlineSeconds; Knative: config-deployment
KNATIVE_DEADLINE = "serving.knative.dev/progress-deadline"
_DURATION = re.compile(r"(\d{1,7})(s|m|h)")
_UNITS = {"s": 1, "m": 60, "h": 3600}
HUB_SERVERS = ("vllm", "huggingface", "tgi", "text-generation-inference", "sglang")


def trap_part(spec: ModelSpec, facts: Facts, service: Object, size: int) -> Part:
    """Refusals and notes on `service`, as it is before its storage is edited.

    `size` of its model in bytes, 0 where it is not known.
    """
    if is_llm(service):
        return _of_llm(spec, facts, service)
    runtime = facts.origin_runtime if isinstance(facts.origin_runtime, dict) else None
    notes = (
        *_several_sources(spec, service),
        *_writes(service),
        *(() if spec.in_place else _guarded(spec, service)),
        *(_replicas(spec, service) if _on_one_node(spec, facts) else ()),
        *_late(service, size),
        *_phones_home(service, runtime),
    )
    alone = _canary(spec, service) + _workers(spec, service, runtime) if _on_one_node(spec, facts) else Part()
    return _format(service, runtime) + _knative(facts, service) + alone + Part(notes=notes)


def _of_llm(spec: ModelSpec, facts: Facts, service: Object) -> Part:
    """An LLMInferenceService: it has no format, no canary and no Knative mode."""
    alone = _on_one_node(spec, facts)
    notes = (
        *llm_notes(service),
        *(() if spec.in_place else _guarded(spec, service)),
        *(_many_replicas(spec, service, "replicas") if alone else ()),
    )
    parts = several_nodes(service) if alone else ""
    stopped = stop("WorkersOnOneNode", service=ref(service), parts=parts, claim=spec.claim.name) if parts else Part()
    return stopped + Part(notes=notes)


def _format(service: Object, runtime: Object | None) -> Part:
    """KServe says `no runtime found to support predictor` only after the service is made (format-unsupported)."""
    wanted = ((service["spec"]["predictor"].get("model") or {}).get("modelFormat") or {}).get("name")
    if runtime is None or not wanted:
        return Part()
    formats = formats_of(runtime)
    if not formats or wanted in formats:
        return Part()
    return stop("FormatUnsupported", runtime=ref(runtime), format=wanted, formats=", ".join(formats))


def _knative(facts: Facts, service: Object) -> Part:
    """Knative refuses pods with claims where its feature flag is off."""
    if facts.knative_claims is not False:
        return Part()
    flag = "kubernetes.podspec-persistent-volume-claim"
    return stop("KnativeWithoutClaims", service=ref(service), flag=flag, mode=DEPLOYMENT_MODE)


def _several_sources(spec: ModelSpec, service: Object) -> Iterator[str]:
    """KServe gives such a service an event InternalError and no pod (both-storage-and-uri)."""
    storage = storage_of(service)
    if storage.key and storage.uri:
        yield note("StorageTwice", service=ref(service))
    found: Mapping[str, Any] = service["spec"]["predictor"]
    if not found.get("storageUris") and not (found.get("model") or {}).get("storageUris"):
        return
    if storage.listed is None or not storage.listed.moved:
        yield note("SubPathLost", service=ref(service), directory=storage.directory)
    others = storage.listed.others if storage.listed else ()
    for place, directory in losing_path(others, spec.claim.name):
        words = {"place": place, "directory": directory, "path": place.path}
        yield note("SubPathStaysLost", service=ref(service), **words)
    for item in beside_it(others, spec.claim.name):
        yield note("OthersOnTheClaim", service=ref(service), uri=item["uri"], directory=item.get("mountPath"))
    if places := copied(others):
        yield note("OthersCopied", service=ref(service), places=", ".join(places))


def _writes(service: Object) -> Iterator[str]:
    if annotations_of(service).get(READ_ONLY) == "false":
        yield note("ModelWritable")


def _guarded(spec: ModelSpec, service: Object) -> Iterator[str]:
    """The dashboard's accounts are made for one service: their Role names it (odh-dashboard, packages/kserve)."""
    if annotations_of(service).get(ENABLE_AUTH) == "true" and name(service) != spec.name:
        yield (
            f"{ref(service)} wants a token, and so will {spec.name}: tokens of account {name(service)}-sa do not open "
            f"it. Its proof asks with one of account {spec.name}-sa, where there is such an account, or with "
            "--token-file"
        )


def _on_one_node(spec: ModelSpec, facts: Facts) -> bool:
    """Whether only one node at a time can mount the claim, the one to be too."""
    return not set(modes_to_be(spec, facts)) & SHARED_MODES


def _workers(spec: ModelSpec, service: Object, runtime: Object | None) -> Part:
    """Head and workers each mount the model, and are on nodes of their own (recording worker-multinode)."""
    workers = service["spec"]["predictor"].get("workerSpec")
    if workers is None:
        return Part()
    of_runtime = ((runtime or {}).get("spec") or {}).get("workerSpec") or {}
    pipeline, tensor = (workers.get(word) or of_runtime.get(word) or 1 for word in PARALLEL_SIZES)
    if pipeline * tensor == 1:
        return Part()
    sizes = f"{PARALLEL_SIZES[0]} {pipeline}, {PARALLEL_SIZES[1]} {tensor}"
    parts = f"a head and workers on several nodes (workerSpec; {sizes})"
    return stop("WorkersOnOneNode", service=ref(service), parts=parts, claim=spec.claim.name)


def _canary(spec: ModelSpec, service: Object) -> Part:
    """The new revision's pod waits for the node of the old one, and the rollout for both."""
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    if percent is None:
        return Part()
    return stop("CanaryOnOneNode", service=ref(service), percent=percent, claim=spec.claim.name)


def _replicas(spec: ModelSpec, service: Object) -> Iterator[str]:
    yield from _many_replicas(spec, service, "maxReplicas")
    strategy = (service["spec"]["predictor"].get("deploymentStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "RollingUpdate":
        yield note("RollingOnOneNode", claim=spec.claim.name)


def _many_replicas(spec: ModelSpec, service: Object, field: str) -> Iterator[str]:
    """Several pods on a claim of one node: the second stays Pending (recording pvc-two-replicas)."""
    most = replicas_of(service)
    if most > 1:
        yield note("ReplicasOnOneNode", most=most, claim=spec.claim.name, field=field)


def _late(service: Object, size: int) -> Iterator[str]:
    """KServe leaves a Deployment's deadline at its default; Knative's is an annotation, as in "1200s" or "20m"."""
    annotations = {**annotations_of(service), **(service["spec"]["predictor"].get("annotations") or {})}
    asked = _DURATION.fullmatch(annotations.get(KNATIVE_DEADLINE, ""))
    deadline = int(asked[1]) * _UNITS[asked[2]] if asked else DEADLINE_SECONDS
    seconds = size // READ_SPEED
    if seconds > deadline:
        words = {"size": f"{round_up(size)}B", "speed": f"{round_up(READ_SPEED)}B/s"}
        yield note("DeadlineBeforeLoaded", **words, seconds=seconds, deadline=deadline)


def _phones_home(service: Object, runtime: Object | None) -> Iterator[str]:
    """Such a server asks the Hub at its start, and hangs or fails where there is no way out."""
    model: Mapping[str, Any] = service["spec"]["predictor"].get("model") or {}
    containers = [model, *(((runtime or {}).get("spec") or {}).get("containers") or ())]
    words = " ".join(
        [str(item.get("image") or "") + " " + " ".join(map(str, item.get("command") or ())) for item in containers]
    )
    variables = {variable.get("name") for item in containers for variable in item.get("env") or ()}
    if any(word in words.lower() for word in HUB_SERVERS) and not variables.intersection(OFFLINE):
        whose = f"runtime {name(runtime)}" if runtime is not None else f"service {name(service)}"
        yield note("HubNotOff", whose=whose)
