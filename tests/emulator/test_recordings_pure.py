"""The emulator's objects equal real KServe's, object by object, for each recording; no cluster is needed.

Followed here: the webhook's defaults, the workloads, the pods after the pod webhook, the status, the events.
"""

from __future__ import annotations

import pytest

from bed.kserve_emulator import config as settings
from bed.kserve_emulator.credentials import Keys
from bed.kserve_emulator.defaulting import default_service
from bed.kserve_emulator.names import FINALIZER
from bed.kserve_emulator.pods import admit_pod
from bed.kserve_emulator.service import Desired, Facts, Seen, desired, new_status
from bed.kserve_emulator.validation import complaint_about_runtime, complaint_about_service

from . import recorded
from .recorded import NAMESPACE, Object, Recording, differences

CONFIG = settings.read(settings.default_map("rig.local/storage-initializer:1"))
NOW = "2026-11-24T12:00:00Z"

# KServe builds this Service too: WORKER_SVC names it. At the recorded commit its clean-up of orphans then deletes the
# workers' Deployment and both headless Services at every reconcile and makes them again, without end; the recording
# shows one moment of that. The emulator keeps them (docs/emulator.md).
BUILT_BUT_JUST_DELETED = {"worker-multinode": {("Service", "granite-workers-1")}}


@pytest.fixture(params=recorded.names())
def recording(request: pytest.FixtureRequest) -> Recording:
    return recorded.read(request.param)


def stored(recording: Recording) -> Object:
    """The InferenceService as the webhook lets it be stored."""
    service = default_service(recording.given("InferenceService")[0], CONFIG)
    service["metadata"] |= {"generation": 1, "uid": "u"}
    return service


def facts_of(recording: Recording, service: Object) -> Facts:
    return Facts(service, CONFIG, recording.given("ServingRuntime"), recording.given("ClusterServingRuntime"))


def keys_of(recording: Recording) -> Keys:
    """The namespace's default service account and its secrets, as the webhook reads them."""
    secrets = {}
    for secret in recording.given("Secret"):
        data = {key: _base64(value) for key, value in secret.pop("stringData").items()}
        secrets[secret["metadata"]["name"]] = {**secret, "data": data}
    return Keys({"metadata": {"name": "default"}}, secrets)


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


def test_there_are_25_recordings() -> None:
    assert len(recorded.names()) == 25


def test_what_was_applied_is_accepted(recording: Recording) -> None:
    assert all(item["ok"] for item in recording.applied)
    assert complaint_about_service(stored(recording), None) == ""
    for runtime in recording.given("ServingRuntime") + recording.given("ClusterServingRuntime"):
        assert complaint_about_runtime(runtime, None) == ""


def test_webhook_defaults_the_service(recording: Recording) -> None:
    service = default_service(recording.given("InferenceService")[0], CONFIG)
    service["metadata"] = {key: value for key, value in service["metadata"].items() if value}
    service["metadata"]["finalizers"] = [FINALIZER]
    expected = recording.service
    del expected["status"]
    assert differences(expected, service) == []


def test_defaulting_is_idempotent(recording: Recording) -> None:
    once = default_service(recording.given("InferenceService")[0], CONFIG)
    assert default_service(once, CONFIG) == once


def test_workloads_equal_the_recorded_ones(recording: Recording) -> None:
    service = stored(recording)
    service["metadata"]["annotations"] = {**service["metadata"]["annotations"]}
    wanted = desired(facts_of(recording, service))
    built = {} if "stop" in recording.case else {_key(item): item for item in wanted.objects}
    for key in BUILT_BUT_JUST_DELETED.get(recording.case, ()):
        assert built.pop(key, None) is not None
    kinds = ("Deployment", "Service", "HorizontalPodAutoscaler")
    expected = {_key(item): item for kind in kinds for item in recording.of_kind(kind)}
    assert sorted(built) == sorted(expected)
    for key, item in expected.items():
        assert differences(recorded.without_server_parts(item), recorded.with_server_defaults(built[key])) == [], key


def test_pods_equal_the_recorded_ones(recording: Recording) -> None:
    wanted = desired(facts_of(recording, stored(recording)))
    deployments = {item["metadata"]["labels"]["app"]: item for item in wanted.objects if item["kind"] == "Deployment"}
    for pod in recording.of_kind("Pod"):
        asked = recorded.pod_of(deployments[pod["metadata"]["labels"]["app"]])
        admitted = admit_pod(asked, NAMESPACE, CONFIG, keys_of(recording))
        built = recorded.without_node_parts(recorded.with_container_defaults(admitted))
        assert differences(recorded.without_node_parts(pod), built) == [], pod["metadata"]["name"]


def test_pod_webhook_is_idempotent(recording: Recording) -> None:
    """Kubernetes calls it again when a later webhook changed the pod (reinvocationPolicy IfNeeded)."""
    for item in desired(facts_of(recording, stored(recording))).objects:
        if item["kind"] == "Deployment":
            once = admit_pod(recorded.pod_of(item), NAMESPACE, CONFIG, keys_of(recording))
            assert differences(once, admit_pod(once, NAMESPACE, CONFIG, keys_of(recording))) == []


def test_status_equals_the_recorded_one(recording: Recording) -> None:
    service = stored(recording)
    wanted = desired(facts_of(recording, service))
    for seen in (_just_created(wanted), _seen(recording), _seen(recording)):
        facts = facts_of(recording, service)
        status, again = new_status(facts, wanted, seen, NOW)
        assert not again
        service = {**service, "status": status}
    assert differences(recorded.without_times(recording.service["status"]), recorded.without_times(status)) == []


def test_refusal_is_the_recorded_event(recording: Recording) -> None:
    refused = desired(facts_of(recording, stored(recording))).refused
    expected = [event[2] for event in recording.events if event[0] == "InferenceService"]
    assert ([str(refused)] if refused else []) == expected
    assert all(event[1] == "InternalError" for event in recording.events if event[0] == "InferenceService")


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def _just_created(wanted: Desired) -> Seen:
    """Deployments before their controller has seen them."""
    made = {
        part: [item for item in getattr(wanted, part) if item["kind"] == "Deployment"]
        for part in ("predictor", "transformer")
    }
    return Seen(made["predictor"], made["transformer"])


def _seen(recording: Recording) -> Seen:
    def of_component(items: list[Object], name: str) -> list[Object]:
        return [item for item in items if item["metadata"]["labels"]["component"] == name]

    deployments, pods = recording.of_kind("Deployment"), recording.of_kind("Pod")
    return Seen(
        of_component(deployments, "predictor"),
        of_component(deployments, "transformer"),
        of_component(pods, "predictor"),
    )
