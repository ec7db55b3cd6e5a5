"""What KServe's mutating webhook writes into an InferenceService on create and update. Pure."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from .config import Config
from .names import (
    DEPLOYMENT_MODE,
    LEGACY_MODES,
    MODEL_FORMAT,
    SERVING_CONTAINER,
    STANDARD,
    Object,
    container,
)

# The framework fields of a predictor that KServe rewrites to `model`, and the protocol some of them imply.
FRAMEWORKS = {
    "sklearn": "",
    "xgboost": "",
    "tensorflow": "",
    "pytorch": "",
    "triton": "v2",
    "onnx": "v2",
    "huggingface": "v2",
    "pmml": "",
    "lightgbm": "",
    "paddle": "",
}
V2_FORMATS = ("triton", "vLLM")


def default_service(service: Object, config: Config) -> Object:
    """The InferenceService as KServe stores it; the one given is not changed."""
    result = deepcopy(service)
    annotations = result["metadata"].get("annotations") or {}
    mode = annotations.get(DEPLOYMENT_MODE)
    if mode in LEGACY_MODES:
        annotations[DEPLOYMENT_MODE] = LEGACY_MODES[mode]
    elif mode is None and config.default_mode in (STANDARD, "ModelMesh"):
        annotations[DEPLOYMENT_MODE] = config.default_mode
    predictor = result["spec"].get("predictor") or {}
    if annotations.get(DEPLOYMENT_MODE) != "ModelMesh":
        _framework_to_model(predictor)
        _default_model(predictor, annotations)
        if "model" not in predictor and predictor.get("containers"):
            _default_container(predictor["containers"], config, rename_single=True)
    transformer = result["spec"].get("transformer")
    if transformer and transformer.get("containers"):
        _default_container(transformer["containers"], config, rename_single=False)
    if annotations:
        result["metadata"]["annotations"] = annotations
    _default_token_mount(result["spec"], config)
    _fill_required(result["spec"])
    return result


def implementations(predictor: Object) -> list[str]:
    """The fields of a predictor that say what it is; a valid predictor has exactly one."""
    found = [name for name in (*FRAMEWORKS, "model") if predictor.get(name) is not None]
    if predictor.get("containers"):
        own = [item for item in predictor["containers"] if item.get("name") == SERVING_CONTAINER]
        found += ["containers"] * (len(own) or (0 if found else 1))
    return found


def _framework_to_model(predictor: Object) -> None:
    for framework, protocol in FRAMEWORKS.items():
        if predictor.get(framework) is None:
            continue
        model: dict[str, Any] = {"modelFormat": {"name": framework}, **predictor.pop(framework)}
        if protocol:
            model.setdefault("protocolVersion", protocol)
        predictor["model"] = model
        return


def _default_model(predictor: Object, annotations: dict[str, str]) -> None:
    model = predictor.get("model")
    if model is None:
        return
    name = model.get("modelFormat", {}).get("name", "")
    if name in V2_FORMATS:
        model.setdefault("protocolVersion", "v2")
    if name:
        annotations.setdefault(MODEL_FORMAT, name)


def _default_container(containers: list[Object], config: Config, *, rename_single: bool) -> None:
    """Names the serving container and gives it the configured requests and limits."""
    first = containers[0]
    if not rename_single or len(containers) == 1 or not first.get("name"):
        first["name"] = SERVING_CONTAINER
    resources = first.setdefault("resources", {})
    for kind, suffix in (("requests", "Request"), ("limits", "Limit")):
        for unit in ("cpu", "memory"):
            if config.resource.get(unit + suffix):
                resources.setdefault(kind, {}).setdefault(unit, config.resource[unit + suffix])


def _default_token_mount(spec: Object, config: Config) -> None:
    if config.mount_token:
        return
    for component in ("predictor", "transformer", "explainer"):
        if spec.get(component) is not None:
            spec[component].setdefault("automountServiceAccountToken", False)


def _fill_required(spec: Object) -> None:
    """KServe's webhook writes the whole Go value back, and these fields of a container are written even if empty."""
    model = (spec.get("predictor") or {}).get("model")
    if model is not None:
        model.setdefault("name", "")
        model.setdefault("resources", {})
    for component in (spec.get("predictor"), spec.get("transformer"), (spec.get("predictor") or {}).get("workerSpec")):
        for item in (component or {}).get("containers") or ():
            item.setdefault("resources", {})


def serving_container(predictor: Object) -> Object:
    """The container of a custom predictor that serves."""
    found = container(predictor, SERVING_CONTAINER)
    return found if found is not None else predictor["containers"][0]
