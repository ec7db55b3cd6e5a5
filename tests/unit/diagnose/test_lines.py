"""One line per object: ok, ongoing, fail or unknown, with its last reason."""

from __future__ import annotations

from pvserve.diagnose import ClaimEvidence, ObjectLine, judge, judge_pod
from pvserve.facts import Unknown

from .objects import (
    LATER,
    claim,
    container,
    crashed,
    deployment,
    event,
    on_node,
    pod,
    pods,
    ready_service,
    service_evidence,
    unscheduled,
)


def line(found: dict[str, object], *events: dict[str, object]) -> ObjectLine:
    return judge_pod(pods(found, events=events)).lines[0]


def test_service_that_is_ready() -> None:
    bound = {"models": ClaimEvidence(claim(phase="Bound", volumeName="pv"))}
    lines = judge(service_evidence(ready_service(), deployment(), claims=bound)).lines
    assert [(item.object, item.state, item.reason) for item in lines] == [
        ("InferenceService granite", "ok", "Ready"),
        ("Deployment granite-predictor", "ok", "1 of 1 available"),
        ("PersistentVolumeClaim models", "ok", "Bound to pv"),
    ]


def test_service_that_kserve_calls_ready_too_early() -> None:
    lines = judge(service_evidence(ready_service(), deployment(updatedReplicas=0))).lines
    assert (lines[0].state, lines[0].reason) == ("ongoing", "the change is being rolled out")


def test_service_that_is_hopeless() -> None:
    service = {**ready_service(), "status": {}}
    broken = on_node(pod(containerStatuses=[crashed(3)]))
    lines = judge(service_evidence(service, pods=(broken,))).lines
    assert [item.state for item in lines] == ["fail", "fail"]
    assert lines[1].reason == "server: CrashLoopBackOff"


def test_pods_that_may_not_be_read() -> None:
    lines = judge(service_evidence(ready_service(), pods=Unknown("you may not list pods", "forbidden"))).lines
    assert ObjectLine("Pods", "unknown", "you may not list pods") in lines


def test_pod_without_a_node_says_why() -> None:
    assert line(unscheduled("0/1 nodes are available")).reason == "0/1 nodes are available"


def test_pod_that_starts_says_its_last_event() -> None:
    pulling = event("Pod", "pod", "Pulling", 'Pulling image "image:1"', type="Normal")
    found = line(on_node(pod(containerStatuses=[container(waiting={"reason": "ContainerCreating"})])), pulling)
    assert found == ObjectLine("Pod pod", "ongoing", 'Pulling: Pulling image "image:1"')


def test_pod_whose_init_container_runs() -> None:
    found = on_node(
        pod(initContainerStatuses=[{**container(running={"startedAt": LATER}), "name": "storage-initializer"}])
    )
    found["spec"]["initContainers"] = [{"name": "storage-initializer"}]
    assert line(found).reason == "init container storage-initializer is running"


def test_pod_that_is_leaving() -> None:
    found = pod()
    found["metadata"]["deletionTimestamp"] = LATER
    assert line(found) == ObjectLine("Pod pod", "ongoing", "is being removed")


def test_events_of_an_earlier_object_of_the_same_name_are_not_its_own() -> None:
    found = on_node(pod())
    found["metadata"]["uid"] = "new"
    old = event("Pod", "pod", "FailedMount", "no such volume")
    old["involvedObject"]["uid"] = "old"
    assert line(found, old).reason == "Pending"
