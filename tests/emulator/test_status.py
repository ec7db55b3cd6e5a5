"""How a status follows Deployments and pods, beyond the moments that were recorded. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from bed.kserve_emulator.conditions import Conditions
from bed.kserve_emulator.status import follow_deployments, follow_pods

Object = dict[str, Any]
NOW, LATER = "2026-11-24T12:00:00Z", "2026-11-24T12:00:09Z"


def deployment(name: str = "tiny-predictor", **conditions: tuple[str, str, str]) -> Object:
    listed = [
        {"type": kind, "status": status, "reason": reason, "message": message}
        for kind, (status, reason, message) in conditions.items()
    ]
    return {"metadata": {"name": name}, "status": {"conditions": listed, "observedGeneration": 2}}


def fresh() -> Object:
    status: Object = {}
    Conditions(status, NOW).initialize()
    return status


def ready(status: Object) -> tuple[str, str]:
    found = Conditions(status, NOW).get("Ready") or {}
    return found["status"], found.get("reason", "")


AVAILABLE = ("True", "MinimumReplicasAvailable", "fine")
MISSING = ("False", "MinimumReplicasUnavailable", "not yet")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"Available": AVAILABLE, "Progressing": ("True", "ReplicaSetUpdated", "")}, ("True", "")),
        ({"Progressing": ("True", "ReplicaSetUpdated", "")}, ("Unknown", "ReplicaSetUpdated")),
        ({"Progressing": ("True", "NewReplicaSetAvailable", "")}, ("True", "")),
        (
            {"Available": AVAILABLE, "Progressing": ("False", "ProgressDeadlineExceeded", "late")},
            ("False", "ProgressDeadlineExceeded"),
        ),
        (
            {"Available": MISSING, "ReplicaFailure": ("True", "FailedCreate", "quota")},
            ("False", "FailedCreate"),
        ),
        ({"Available": MISSING}, ("False", "MinimumReplicasUnavailable")),
        ({}, ("False", "")),
    ],
)
def test_ready_follows_the_deployment(conditions: Object, expected: tuple[str, str]) -> None:
    status = fresh()
    Conditions(status, NOW).mark("IngressReady", "True")
    follow_deployments(status, NOW, "predictor", [deployment(**conditions)], "http://x")
    assert ready(status) == expected
    assert ("url" in status["components"]["predictor"]) == (expected[0] == "True")
    assert status["observedGeneration"] == 2


def test_workers_and_head_must_both_be_available() -> None:
    status = fresh()
    Conditions(status, NOW).mark("IngressReady", "True")
    head, worker = deployment(Available=AVAILABLE), deployment("tiny-predictor-worker", Available=MISSING)
    follow_deployments(status, NOW, "predictor", [head, worker], "http://x")
    found = Conditions(status, NOW).get("PredictorReady") or {}
    assert found["status"] == "False"
    assert found["message"] == "predictor-container: fine, worker-container: not yet"


def test_time_changes_only_with_the_condition() -> None:
    status = fresh()
    Conditions(status, LATER).mark("IngressReady", "True")
    Conditions(status, "2027-01-01T00:00:00Z").mark("IngressReady", "True")
    assert (Conditions(status, NOW).get("IngressReady") or {})["lastTransitionTime"] == LATER


def pod(name: str = "a", created: str = NOW, **fields: Any) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": fields}


def initializer(**state: Any) -> Object:
    return {"initContainerStatuses": [{"name": "storage-initializer", **state}]}


def model(*pods: Object) -> tuple[str, str, Object]:
    status = fresh()
    follow_pods(status, NOW, list(pods))
    found = status["modelStatus"]
    return found["transitionStatus"], found["states"]["targetModelState"], found.get("lastFailureInfo", {})


def test_running_initializer_means_loading() -> None:
    assert model(pod(**initializer(state={"running": {}})))[:2] == ("InProgress", "Loading")


def test_failed_initializer_blocks_with_its_message() -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 1, "message": "no such bucket"}}
    expected = {"reason": "ModelLoadFailed", "message": "no such bucket", "exitCode": 1}
    assert model(pod(**initializer(state=ended))) == ("BlockedByFailedLoad", "FailedToLoad", expected)
    again = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
    assert model(pod(**initializer(**again))) == ("BlockedByFailedLoad", "FailedToLoad", expected)


def test_initializer_that_failed_before_is_looked_at_again() -> None:
    status = fresh()
    state = {"state": {"running": {}}, "lastState": {"terminated": {"reason": "Error"}}}
    assert not follow_pods(status, NOW, [pod(**initializer(**state))])


def test_failed_server_blocks() -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 2}}
    fields = {"containerStatuses": [{"name": "kserve-container", "state": ended}]}
    assert model(pod(**fields))[:2] == ("BlockedByFailedLoad", "FailedToLoad")


def test_youngest_pod_decides() -> None:
    old = pod("old", NOW, **initializer(state={"terminated": {"reason": "Error"}}))
    new = pod("new", LATER, **initializer(state={"running": {}}))
    assert model(old, new)[1] == "Loading"


def test_ready_pods_are_counted() -> None:
    status = fresh()
    up = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    follow_pods(status, NOW, [pod(**up), pod("b", **up), pod("c", phase="Pending")])
    assert status["modelStatus"]["copies"] == {"failedCopies": 0, "totalCopies": 2}
