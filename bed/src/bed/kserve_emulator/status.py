"""An InferenceService's status from its Deployments and pods. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from .conditions import Conditions
from .names import INITIALIZER, SERVING_CONTAINER, Object

CONDITION_OF = {"predictor": "PredictorReady", "transformer": "TransformerReady"}
STOPPED_REASON = "Stopped"


def follow_deployments(status: Object, now: str, component: str, deployments: Sequence[Object], url: str) -> None:
    """Sets a component's condition, its URL once it is ready, and the observed generation.

    Args:
        deployments: as the API server has them; the head first where there are workers.
    """
    kind = CONDITION_OF[component]
    verdict, reason, message = _verdict(deployments)
    entry = status.setdefault("components", {}).setdefault(component, {})
    if verdict == "True":
        entry["url"] = url
    Conditions(status, now).mark(kind, verdict, reason, message)
    observed = (deployments[0].get("status") or {}).get("observedGeneration", 0) if deployments else 0
    if observed:
        status["observedGeneration"] = observed
    else:
        status.pop("observedGeneration", None)


def _verdict(deployments: Sequence[Object]) -> tuple[str, str, str]:
    """(status, reason, message), from what matters least to what matters most."""
    verdict = ("False", "", "")
    available = _condition(deployments, "Available")
    if available["status"] == "True":
        verdict = ("True", available["reason"], available["message"])
    progressing = _condition(deployments, "Progressing")
    if progressing["status"] == "False" and progressing["message"]:
        verdict = ("False", progressing["reason"], progressing["message"])
    elif progressing["status"] == "True" and progressing["reason"] == "NewReplicaSetAvailable":
        verdict = ("True", progressing["reason"], progressing["message"])
    elif progressing["status"] == "True" and available["status"] != "True":
        verdict = ("Unknown", progressing["reason"], progressing["message"])
    if available["status"] == "False":
        verdict = ("False", available["reason"], available["message"])
    failure = _condition(deployments, "ReplicaFailure")
    return ("False", failure["reason"], failure["message"]) if failure["status"] == "True" else verdict


def _condition(deployments: Sequence[Object], kind: str) -> Object:
    """One condition of all Deployments together; empty where one of several does not have it."""
    found = [
        (item["metadata"]["name"], condition)
        for item in deployments
        for condition in (item.get("status") or {}).get("conditions") or ()
        if condition["type"] == kind
    ]
    if not found or len(found) < len(deployments):
        return {"status": "", "reason": "", "message": ""}
    if len(deployments) == 1:
        return {key: found[0][1].get(key, "") for key in ("status", "reason", "message")}
    prefixes = ["worker-container: " if "worker" in name else "predictor-container: " for name, _ in found]
    conditions = [condition for _, condition in found]
    reasons = [condition.get("reason", "") for condition in conditions]
    messages = [condition.get("message", "") for condition in conditions]
    return {
        "status": "True" if all(condition["status"] == "True" for condition in conditions) else "False",
        "reason": reasons[0] if len(set(reasons)) == 1 else ", ".join(map(str.__add__, prefixes, reasons)),
        "message": ", ".join(map(str.__add__, prefixes, messages)),
    }


def follow_pods(status: Object, now: str, pods: Sequence[Object]) -> bool:
    """Sets `modelStatus` from the predictor's pods, the youngest deciding.

    Returns:
        False to look again in a second: the initializer runs, but failed before.
    """
    model = status.setdefault("modelStatus", {"transitionStatus": ""})
    ready = sum(1 for pod in pods if _is_ready(pod))
    model["copies"] = {"failedCopies": 0, **({"totalCopies": ready} if ready else {})}
    if not pods:
        set_model_state(status, "Pending")
        return True
    youngest = sorted(sorted(pods, key=lambda pod: pod["metadata"]["name"]), key=_created, reverse=True)[0]
    initializer = _container_state(youngest, "initContainerStatuses", INITIALIZER)
    if "running" in initializer.get("state", {}):
        if "terminated" in initializer.get("lastState", {}):
            return False
        set_model_state(status, "Loading")
        return True
    failed = _failure(initializer)
    if failed is not None:
        set_model_state(status, "FailedToLoad", failed)
    elif Conditions(status, now).is_true("Ready"):
        set_model_state(status, "Loaded")
    else:
        serving = _container_state(youngest, "containerStatuses", SERVING_CONTAINER)
        failed = _failure(serving)
        if failed is not None:
            set_model_state(status, "FailedToLoad", failed)
        elif serving:
            set_model_state(status, "Pending")
    return True


def set_model_state(status: Object, state: str, failure: Object | None = None) -> None:
    """Sets the target model's state and what follows from it for the transition."""
    model = status["modelStatus"]
    states = model.setdefault("states", {"activeModelState": ""})
    states["targetModelState"] = state
    if state == "Loaded":
        states["activeModelState"] = "Loaded"
    model["transitionStatus"] = {"Loaded": "UpToDate", "FailedToLoad": "BlockedByFailedLoad"}.get(state, "InProgress")
    if failure is not None:
        model["lastFailureInfo"] = failure


def set_invalid(status: Object, reason: str, message: str) -> None:
    """The predictor's spec cannot be served."""
    model = status.setdefault("modelStatus", {})
    model["transitionStatus"] = "InvalidSpec"
    model.setdefault("states", {"activeModelState": ""})["targetModelState"] = "FailedToLoad"
    model["lastFailureInfo"] = {"reason": reason, "message": message}


def _created(pod: Object) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _is_ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    conditions = status.get("conditions") or ()
    return status.get("phase") == "Running" and any(
        item["type"] == "Ready" and item["status"] == "True" for item in conditions
    )


def _container_state(pod: Object, field: str, name: str) -> Object:
    statuses = (pod.get("status") or {}).get(field) or ()
    return next((item for item in statuses if item["name"] == name), {})


def _failure(state: Object) -> Object | None:
    """How a container failed, if it did or is being started again after it did."""
    now = state.get("state", {})
    ended = now.get("terminated")
    if now.get("waiting", {}).get("reason") == "CrashLoopBackOff":
        ended = {"reason": "Error", **(state.get("lastState", {}).get("terminated") or {})}
    elif ended is None or ended.get("reason") != "Error":
        return None
    info = {"reason": "ModelLoadFailed", "message": ended.get("message"), "exitCode": ended.get("exitCode")}
    return {key: value for key, value in info.items() if value}
