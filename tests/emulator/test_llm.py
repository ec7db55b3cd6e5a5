"""What the emulator makes of an LLMInferenceService. No cluster."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from bed.kserve_emulator.llm import llm_objects, llm_status
from bed.kserve_emulator.names import RefusedError
from bed.kserve_emulator.watching import LlmTriggers, Queue

NOW, LATER = "2026-11-24T12:00:00Z", "2026-11-24T12:00:05Z"
SERVICE: dict[str, Any] = {
    "metadata": {"name": "llama", "namespace": "ns", "uid": "u", "generation": 1},
    "spec": {
        "model": {"uri": "pvc://models/llama/8b"},
        "replicas": 2,
        "labels": {"team": "bank"},
        "template": {"containers": [{"name": "main", "image": "server:1"}]},
    },
}


def edited(**spec: Any) -> dict[str, Any]:
    made = deepcopy(SERVICE)
    made["spec"] |= spec
    return made


def test_model_on_a_claim_is_mounted_read_only_at_its_path() -> None:
    deployment, service = llm_objects(SERVICE)
    pod = deployment["spec"]["template"]["spec"]
    [mount] = pod["containers"][0]["volumeMounts"]
    assert mount == {"name": "kserve-pvc-source", "mountPath": "/mnt/models", "readOnly": True, "subPath": "llama/8b"}
    assert pod["volumes"] == [{"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": "models"}}]
    assert deployment["spec"]["replicas"] == 2
    assert service["metadata"]["name"] == "llama-kserve-workload-svc"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "bank"
    assert deployment["metadata"]["ownerReferences"][0]["kind"] == "LLMInferenceService"


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (edited(model={"uri": "hf://a/b"}), "pvc:// alone"),
        (edited(worker={"containers": []}), "worker"),
        (edited(model={"uri": "pvc://a/b", "lora": {"adapters": []}}), "model.lora"),
        (edited(template={}), "no presets"),
        (edited(template={"containers": [{"name": "main"}]}), "no presets"),
    ],
)
def test_what_is_left_out_is_refused_by_name(service: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        llm_objects(service)
    status = llm_status(service, None, refused.value, NOW)
    told = {item["type"]: item for item in status["conditions"]}
    assert words in told["PresetsCombined"]["message"]
    assert told["Ready"]["status"] == "False"


def test_without_its_storage_initializer_nothing_is_mounted() -> None:
    deployment, _ = llm_objects(edited(storageInitializer={"enabled": False}))
    assert "volumes" not in deployment["spec"]["template"]["spec"]


def test_ready_follows_the_deployment_and_times_change_with_the_state_alone() -> None:
    fresh = llm_status(SERVICE, None, None, NOW)
    assert ready(fresh) == "Unknown"
    available = {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
    served = llm_status({**SERVICE, "status": fresh}, available, None, LATER)
    assert ready(served) == "True"
    again = llm_status({**SERVICE, "status": served}, available, None, "2026-11-24T13:00:00Z")
    assert again == served
    gone = {"status": {"conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicas"}]}}
    assert ready(llm_status({**SERVICE, "status": served}, gone, None, LATER)) == "False"


def ready(status: dict[str, Any]) -> str:
    return next(str(item["status"]) for item in status["conditions"] if item["type"] == "Ready")


def test_a_stopped_service_has_no_objects_and_says_so() -> None:
    stopped = deepcopy(SERVICE)
    stopped["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
    assert llm_objects(stopped) == ()
    told = {item["type"]: item for item in llm_status(stopped, None, None, NOW)["conditions"]}
    assert told["MainWorkloadReady"]["reason"] == "Stopped"
    assert told["Ready"]["status"] == "False"


def test_a_deployment_concerns_the_service_that_owns_it() -> None:
    queue = Queue()
    triggers = LlmTriggers(queue)
    deployment, _ = llm_objects(SERVICE)
    triggers.workload(deployment)
    triggers.workload({"metadata": {"namespace": "ns", "ownerReferences": [{"kind": "Other", "controller": True}]}})
    triggers.service({"metadata": {"name": "other", "namespace": "ns"}})
    assert list(queue._waiting) == [("ns", "llama"), ("ns", "other")]
