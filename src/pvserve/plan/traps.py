"""What KServe accepts without a word and then does otherwise, said before anything is applied.

Owns the rules. Pure. Sources: the recordings in tests/emulator/recordings (by name below); KServe
docs/samples/storage/pvc; huggingface_hub's environment variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pvserve.facts import Facts, Object, Unknown, annotations_of, name, ref
from pvserve.facts.objects import DEPLOYMENT_MODE
from pvserve.plan.claim import access_modes, recorded_models
from pvserve.plan.edit_runtime import formats_of
from pvserve.plan.edit_service import replicas_of, storage_of
from pvserve.plan.part import Part, refused
from pvserve.plan.sizing import access_mode, default_class
from pvserve.spec.model import ModelSpec

ENABLE_AUTH = "security.opendatahub.io/enable-auth"
PARALLEL_SIZES = ("pipelineParallelSize", "tensorParallelSize")  # 1 where nobody says (kserve pkg/constants)
READ_ONLY = "storage.kserve.io/readonly"
SHARED_MODES = {"ReadWriteMany", "ReadOnlyMany"}
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
# Servers that ask the Hub for what a model directory lacks, by a word of their image's or command's name.
HUB_SERVERS = ("vllm", "huggingface", "tgi", "text-generation-inference", "sglang")


def trap_part(spec: ModelSpec, facts: Facts, service: Object, *, loads: bool) -> Part:
    """Refusals and notes on `service`, as it is before its storage is edited; `loads` = the plan brings the bytes."""
    runtime = facts.origin_runtime if isinstance(facts.origin_runtime, dict) else None
    notes = (
        *_several_sources(service),
        *_writes(service),
        *(() if spec.in_place else _guarded(spec, service)),
        *(_replicas(spec, service) if _on_one_node(spec, facts) else ()),
        *_phones_home(service, runtime),
        *(() if loads else _unrecorded(spec, facts)),
    )
    alone = _canary(spec, service) + _workers(spec, service, runtime) if _on_one_node(spec, facts) else Part()
    return _format(service, runtime) + _knative(facts, service) + alone + Part(notes=notes)


def _format(service: Object, runtime: Object | None) -> Part:
    """KServe says `no runtime found to support predictor` only after the service is made (format-unsupported)."""
    wanted = ((service["spec"]["predictor"].get("model") or {}).get("modelFormat") or {}).get("name")
    if runtime is None or not wanted:
        return Part()
    formats = formats_of(runtime)
    if not formats or wanted in formats:
        return Part()
    return refused(
        "FormatUnsupported",
        f"{ref(runtime)} does not serve format {wanted}, only {', '.join(formats)}",
        "name the format that the runtime serves with --format, or another runtime with --runtime",
        "kubectl get servingruntimes,clusterservingruntimes "
        "-o custom-columns=NAME:.metadata.name,FORMATS:.spec.supportedModelFormats[*].name",
    )


def _knative(facts: Facts, service: Object) -> Part:
    """Knative refuses pods with claims where its feature flag is off."""
    if facts.knative_claims is not False:
        return Part()
    flag = "kubernetes.podspec-persistent-volume-claim"
    patch = f'{{"data":{{"{flag}":"enabled"}}}}'
    return refused(
        "KnativeWithoutClaims",
        f"{ref(service)} runs in Knative mode, and Knative's flag {flag} is off on this cluster",
        f"kubectl -n knative-serving patch configmap config-features --type merge -p '{patch}'",
        f"or serve it without Knative: annotation {DEPLOYMENT_MODE}: RawDeployment",
    )


def _several_sources(service: Object) -> Iterator[str]:
    """KServe gives such a service an event InternalError and no pod (both-storage-and-uri)."""
    storage = storage_of(service)
    if storage.key and storage.uri:
        yield f"{ref(service)} names both storage and storageUri, which KServe does not serve; only the claim stays"
    listed: Mapping[str, Any] = service["spec"]["predictor"]
    if listed.get("storageUris") or (listed.get("model") or {}).get("storageUris"):
        yield (
            f"{ref(service)} lists storageUris, where KServe mounts a claim's root and loses the sub-path; "
            "storageUri takes their place"
        )


def _writes(service: Object) -> Iterator[str]:
    """Recording pvc-read-write."""
    if annotations_of(service).get(READ_ONLY) == "false":
        yield (
            f"{READ_ONLY}: false mounts the model writable: what the server writes lies on the claim, "
            "and a digest that it changes fails the proof"
        )


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
    claim = facts.claim.object
    modes = access_modes(claim) if isinstance(claim, dict) else (spec.claim.access_mode or _mode_to_be(spec, facts),)
    return not set(modes) & SHARED_MODES


def _mode_to_be(spec: ModelSpec, facts: Facts) -> str:
    if isinstance(facts.storage_classes, Unknown):
        return access_mode(None)[0]
    wanted = spec.claim.storage_class
    named = next((item for item in facts.storage_classes if name(item) == wanted), None)
    return access_mode(named if wanted else default_class(facts.storage_classes))[0]


def _workers(spec: ModelSpec, service: Object, runtime: Object | None) -> Part:
    """Head and workers each mount the model, and are on nodes of their own (recording worker-multinode)."""
    workers = service["spec"]["predictor"].get("workerSpec")
    if workers is None:
        return Part()
    of_runtime = ((runtime or {}).get("spec") or {}).get("workerSpec") or {}
    pipeline, tensor = (workers.get(word) or of_runtime.get(word) or 1 for word in PARALLEL_SIZES)
    if pipeline * tensor == 1:
        return Part()
    return refused(
        "WorkersOnOneNode",
        f"{ref(service)} is served by a head and workers on several nodes (workerSpec; {PARALLEL_SIZES[0]} {pipeline}, "
        f"{PARALLEL_SIZES[1]} {tensor}), each mounts the model, and one node at a time can mount claim "
        f"{spec.claim.name}",
        "choose a class that is ReadWriteMany: --storage-class CLASS with another --claim",
        "or make a copy of a loaded claim that many nodes can read: "
        f"pvserve clone {spec.claim.name} NEW --access-mode ROX",
    )


def _canary(spec: ModelSpec, service: Object) -> Part:
    """The new revision's pod waits for the node of the old one, and the rollout for both."""
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    if percent is None:
        return Part()
    return refused(
        "CanaryOnOneNode",
        f"{ref(service)} runs a canary ({percent} %), which needs two revisions at once, and one node at a time can "
        f"mount claim {spec.claim.name}",
        "finish or end the canary first: remove spec.predictor.canaryTrafficPercent",
        "or choose a class that is ReadWriteMany: --storage-class CLASS with another --claim",
    )


def _replicas(spec: ModelSpec, service: Object) -> Iterator[str]:
    """Several pods on a claim of one node: the second stays Pending (recording pvc-two-replicas)."""
    most = replicas_of(service)
    if most > 1:
        yield (
            f"up to {most} replicas share claim {spec.claim.name}, which one node at a time can mount: replicas on "
            "other nodes stay Pending. Use a ReadWriteMany class, or set maxReplicas: 1"
        )
    strategy = (service["spec"]["predictor"].get("deploymentStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "RollingUpdate":
        yield (
            "a rolling change starts the new pod before the old one ends, and one node at a time can mount claim "
            f"{spec.claim.name}: where pods may run on several nodes, choose deploymentStrategy.type: Recreate"
        )


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
        yield f"{whose} does not set HF_HUB_OFFLINE=1: what the model directory lacks would be asked of the internet"


def _unrecorded(spec: ModelSpec, facts: Facts) -> Iterator[str]:
    """A PATH that is missing fails at the pod's mount, one that is empty at the server's start."""
    claim = facts.claim.object
    if isinstance(claim, dict) and (spec.destination or "") not in recorded_models(claim):
        yield (
            f"pvserve loaded nothing to {spec.destination or 'the root'} of claim {spec.claim.name}: whether a model "
            f"lies there is seen by: pvserve verify pvc://{spec.claim.name}/{spec.destination or ''}"
        )
