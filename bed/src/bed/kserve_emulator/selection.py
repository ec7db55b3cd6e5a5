"""Which runtime serves a model: by name, or the first that supports its format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .names import GPUS, MODEL_CLASS_LABEL, MODEL_PATH, SERVER_TYPE, Object, RefusedError, annotations_of, env_value

PROTOCOL_ORDER = ("v1", "v2", "grpc-v1", "grpc-v2")
# KServe knows its own runtimes by name where the annotation server-type is missing.
SERVER_TYPES = {
    "kserve-mlserver": "mlserver",
    "kserve-torchserve": "torchserve",
    "kserve-tritonserver": "tritonserver",
    "kserve-tensorflow-serving": "tensorflow-serving",
    "kserve-huggingfaceserver": "huggingfaceserver",
    "kserve-vllmserver": "vllmserver",
}
MLSERVER_CLASSES = {
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}
GPU_TAG = ("tensorflow-serving", "torchserve", "huggingfaceserver")


@dataclass(frozen=True)
class Runtime:
    """The ServingRuntime or ClusterServingRuntime that was chosen."""

    name: str
    spec: Object
    annotations: dict[str, str]
    of_cluster: bool

    @property
    def server_type(self) -> str:
        """What KServe takes the server for; decides a few defaults."""
        return self.annotations.get(SERVER_TYPE) or SERVER_TYPES.get(self.name, "")


def choose(service: Object, runtimes: Sequence[Object], cluster_runtimes: Sequence[Object]) -> Runtime:
    """The runtime for a predictor's `model`.

    Args:
        service: the InferenceService, as stored.
        runtimes: the ServingRuntimes of its namespace.
        cluster_runtimes: the ClusterServingRuntimes; a ServingRuntime of the same name goes first.

    Raises:
        RefusedError: no such runtime, disabled, or none that supports the model.
    """
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    if not model.get("runtime"):
        return _select(model, "workerSpec" in predictor, runtimes, cluster_runtimes)
    chosen = _by_name(model["runtime"], runtimes, cluster_runtimes)
    if chosen.spec.get("disabled"):
        failure = ("RuntimeDisabled", "Specified runtime is disabled")
        raise RefusedError(f"specified runtime {chosen.name} is disabled", failure)
    for supported, what in (
        (_speaks(chosen.spec, model.get("protocolVersion", "")), "protocol version"),
        (_supports(model, chosen.spec), "framework/version"),
    ):
        if not supported:
            failure = ("NoSupportingRuntime", f"Specified runtime does not support specified {what}")
            raise RefusedError(f"specified runtime {chosen.name} does not support specified {what}", failure)
    return chosen


def _by_name(name: str, runtimes: Iterable[Object], cluster_runtimes: Iterable[Object]) -> Runtime:
    for of_cluster, candidates in ((False, runtimes), (True, cluster_runtimes)):
        for item in candidates:
            if item["metadata"]["name"] == name:
                return Runtime(name, item["spec"], annotations_of(item), of_cluster)
    raise RefusedError(
        f"No ServingRuntimes or ClusterServingRuntimes with the name: {name}",
        ("RuntimeNotRecognized", "Waiting for runtime to become available"),
    )


def _select(model: Object, multinode: bool, runtimes: Sequence[Object], cluster_runtimes: Sequence[Object]) -> Runtime:
    protocol = model.get("protocolVersion") or "v1"
    for of_cluster, candidates in ((False, runtimes), (True, cluster_runtimes)):
        fitting = [
            item
            for item in sorted(candidates, key=_age_order)
            if not item["spec"].get("disabled")
            and not item["spec"].get("multiModel")
            and ("workerSpec" in item["spec"]) == multinode
            and _supports(model, item["spec"])
            and _speaks(item["spec"], protocol)
        ]
        fitting.sort(key=lambda item: -_priority(model, item["spec"]))
        if fitting:
            first = fitting[0]
            return Runtime(first["metadata"]["name"], first["spec"], annotations_of(first), of_cluster)
    wanted = model["modelFormat"]
    # Go prints a pointer where a version is given; the emulator prints the version.
    shown = f"{{{wanted['name']} {wanted.get('version', '<nil>')}}}"
    raise RefusedError(
        f"no runtime found to support predictor with model type: {shown}",
        ("NoSupportingRuntime", "No runtime found to support specified framework/version"),
    )


def _age_order(runtime: Object) -> tuple[int, tuple[int, ...], str]:
    """Lowest protocol first, then the youngest, then by name."""
    versions = runtime["spec"].get("protocolVersions") or ()
    protocol = min(
        (PROTOCOL_ORDER.index(item) for item in versions if item in PROTOCOL_ORDER), default=len(PROTOCOL_ORDER)
    )
    created = runtime["metadata"].get("creationTimestamp") or ""
    return protocol, tuple(-ord(letter) for letter in created), runtime["metadata"]["name"]


def _priority(model: Object, spec: Object) -> int:
    for item in spec.get("supportedModelFormats") or ():
        if item["name"] == model["modelFormat"]["name"]:
            return int(item.get("priority", 0))  # KServe's CRD allows 1 and more, so 0 stands for none
    return 0


def _supports(model: Object, spec: Object) -> bool:
    wanted = model["modelFormat"]
    for item in spec.get("supportedModelFormats") or ():
        if item["name"] != wanted["name"] or not (model.get("runtime") or item.get("autoSelect")):
            continue
        if wanted.get("version") is None or wanted["version"] == item.get("version"):
            return True
    return False


def _speaks(spec: Object, protocol: str) -> bool:
    return not protocol or not spec.get("protocolVersions") or protocol in spec["protocolVersions"]


def apply_server_defaults(service: Object, runtime: Runtime) -> None:
    """What KServe sets on a service for servers it knows; changes the given (working) copy."""
    model = service["spec"]["predictor"]["model"]
    has_storage = model.get("storageUri") is not None or model.get("storage") is not None
    if runtime.server_type == "mlserver":
        model.setdefault("protocolVersion", "v2")
        values = {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}
        if has_storage:
            values = {"MLSERVER_MODEL_NAME": service["metadata"]["name"], "MLSERVER_MODEL_URI": MODEL_PATH}
        for name, value in values.items():
            if env_value(model.get("env"), name) is None:
                model.setdefault("env", []).append({"name": name, "value": value})
        model_class = MLSERVER_CLASSES.get(model["modelFormat"]["name"], "mlserver_sklearn.SKLearnModel")
        service["metadata"].setdefault("labels", {})[MODEL_CLASS_LABEL] = model_class
    elif runtime.server_type == "torchserve":
        protocol = model.setdefault("protocolVersion", "v1")
        envelope = "kservev2" if protocol in ("v2", "grpc-v2") else "kserve"
        service["metadata"].setdefault("labels", {})["serviceEnvelope"] = envelope
        model.setdefault("env", []).append({"name": "PROTOCOL_VERSION", "value": protocol})
    elif runtime.server_type == "tritonserver":
        model.setdefault("protocolVersion", "v2")
        if not has_storage:
            model.setdefault("args", []).append("--model-control-mode=explicit")


def image_for(container: Object, version: str | None, runtime: Runtime) -> str:
    """The serving image after `runtimeVersion`, or the GPU or CPU variant that KServe picks for its own servers."""
    image: str = container["image"]
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:  # no tag: the colon belongs to a registry's port, or there is none
        name, tag = image, ""
    if "@sha256:" in image:
        return image
    if version:
        return f"{name}:{version}"
    limits = (container.get("resources") or {}).get("limits") or {}
    on_gpu = any(key == GPUS[0] or key.startswith("nvidia.com/mig") for key in limits)
    if tag and on_gpu and runtime.server_type in GPU_TAG and not image.endswith("-gpu"):
        return image + "-gpu"
    if tag and not on_gpu and runtime.server_type == "vllmserver" and not name.endswith("-cpu"):
        return f"{name}-cpu:{tag}"
    return image
