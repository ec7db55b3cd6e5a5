"""Claims without a volume, and claims that another pod has."""

from __future__ import annotations

import pytest

from pvserve.diagnose import ClaimEvidence, judge_pod
from pvserve.diagnose.judging import findings
from pvserve.facts import Unknown

from .objects import (
    LATER,
    START,
    claim,
    container,
    event,
    on_node,
    pod,
    pods,
    ready_service,
    service_evidence,
    storage_class,
    unscheduled,
    with_claim,
)

FIRST_CONSUMER = event(
    "PersistentVolumeClaim",
    "models",
    "WaitForFirstConsumer",
    "waiting for first consumer to be created before binding",
)
EXTERNAL = event("PersistentVolumeClaim", "models", "ExternalProvisioning", "Waiting for a volume to be created")


def failed(message: str) -> dict[str, object]:
    return event("PersistentVolumeClaim", "models", "ProvisioningFailed", message)


def code_of(found: dict[str, object], *events: dict[str, object], classes: object = (), now: str = LATER) -> str:
    """The code of the only finding about a claim, with "!" where it is hopeless."""
    evidence = service_evidence(
        {**ready_service(), "status": {}},
        claims={"models": ClaimEvidence(found)},
        events=events,
        classes=classes,
        now=now,
    )
    codes = [item.code for item in findings(evidence) if item.code.startswith(("Claim", "Provisioner"))]
    alone = judge_pod(pods(events=events, classes=classes, claims={"models": ClaimEvidence(found)}, now=now))
    assert len(codes) == 1, codes
    return codes[0] + ("!" if alone.hopeless else "")


def test_bound_claim_is_no_finding() -> None:
    verdict = judge_pod(pods(claims={"models": ClaimEvidence(claim(phase="Bound", volumeName="pv"))}))
    assert verdict.hopeless is None
    assert [(line.state, line.reason) for line in verdict.lines] == [("ok", "Bound to pv")]


def test_waiting_for_the_first_pod_is_not_hopeless() -> None:
    classes = (storage_class("fast", mode="WaitForFirstConsumer"),)
    assert code_of(claim(storageClassName="fast"), FIRST_CONSUMER, classes=classes) == "ClaimWaitsForPod"


def test_no_class_and_no_default() -> None:
    assert code_of(claim(), classes=(storage_class("fast"),)) == "ClaimNoClass!"
    assert code_of(claim(storageClassName=""), classes=(storage_class("fast", default=True),)) == "ClaimNoClass!"


def test_default_class_that_came_later_will_be_filled_in() -> None:
    assert code_of(claim(), classes=(storage_class("fast", default=True),)) != "ClaimNoClass!"


def test_unknown_class() -> None:
    assert code_of(claim(storageClassName="gone"), classes=(storage_class("fast"),)) == "ClaimClassUnknown!"


def test_class_that_came_after_it_was_missed_is_waited_for() -> None:
    told = failed('storageclass.storage.k8s.io "fast" not found')
    classes = (storage_class("fast", mode="WaitForFirstConsumer"),)
    assert code_of(claim(storageClassName="fast"), told, classes=classes) == "ClaimWaitsForPod"


def test_class_that_may_not_be_read_is_not_called_unknown() -> None:
    forbidden = Unknown("you may not list storageclasses", "forbidden")
    assert code_of(claim(storageClassName="fast"), FIRST_CONSUMER, classes=forbidden) == "ClaimWaitsForPod"
    told = failed('storageclass.storage.k8s.io "gone" not found')
    assert code_of(claim(storageClassName="gone"), told, classes=forbidden) == "ClaimClassUnknown!"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("rpc error: code = ResourceExhausted desc = pool is full", "ClaimNoSpace!"),
        ("rpc error: code = Internal desc = request would exceed quota", "ClaimNoSpace!"),
        ("rpc error: code = InvalidArgument desc = access mode is not supported", "ClaimNotProvisioned!"),
        ("rpc error: code = PermissionDenied desc = no", "ClaimNotProvisioned!"),
        ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", "ClaimNotProvisioned"),
        ("rpc error: code = Unavailable desc = connection refused", "ClaimNotProvisioned"),
        ("something nobody has seen before", "ClaimNotProvisioned"),
    ],
)
def test_provisioning_that_failed_for_good_is_hopeless(message: str, code: str) -> None:
    classes = (storage_class("fast"),)
    assert code_of(claim(storageClassName="fast"), failed(message), classes=classes) == code


def test_silent_provisioner_is_named_after_a_minute() -> None:
    classes = (storage_class("fast"),)
    found = claim(storageClassName="fast")
    assert code_of(found, EXTERNAL, classes=classes, now="2026-11-24T12:00:30Z") == "ClaimProvisioning"
    assert code_of(found, EXTERNAL, classes=classes, now="2026-11-24T12:01:30Z") == "ProvisionerSilent"


def test_lost_and_terminating_claims() -> None:
    assert code_of(claim(phase="Lost", volumeName="pv")) == "ClaimLost!"
    leaving = claim(phase="Bound", volumeName="pv")
    leaving["metadata"]["deletionTimestamp"] = LATER
    assert code_of(leaving) == "ClaimTerminating!"


def test_claim_that_may_not_be_read_is_unknown() -> None:
    forbidden = Unknown("you may not get persistentvolumeclaims", "forbidden")
    verdict = judge_pod(pods(claims={"models": ClaimEvidence(forbidden)}))
    assert verdict.hopeless is None
    assert [(line.state, line.reason) for line in verdict.lines] == [("unknown", forbidden.why)]


ALONE = "0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod."  # noqa: E501 - the scheduler's words
ATTACHED = event(
    "Pod",
    "pod",
    "FailedAttachVolume",
    'Multi-Attach error for volume "pv" Volume is already used by pod(s) old',
)


def holder(**status: object) -> dict[str, object]:
    return on_node(with_claim(pod("old", **{"phase": "Running", **status}), "models"), "node7")


def test_holder_of_a_read_write_once_pod_claim_is_named_with_its_node() -> None:
    waiting = with_claim(unscheduled(ALONE), "models")
    ended = judge_pod(pods(waiting, neighbours=(holder(), waiting))).hopeless
    assert ended is not None
    assert ended.code == "ClaimHeld"
    assert "Pod old on node node7" in ended.title


def test_old_pod_of_the_same_service_calls_for_recreate() -> None:
    waiting, old = with_claim(unscheduled(ALONE), "models"), holder()
    for item in (waiting, old):
        item["metadata"]["labels"] = {"serving.kserve.io/inferenceservice": "granite"}
    ended = judge_pod(pods(waiting, neighbours=(old,))).hopeless
    assert ended is not None
    assert ended.code == "ClaimHeldByOldPod"
    assert "Recreate" in ended.remedy[0]


def test_multi_attach_names_pod_and_node() -> None:
    waiting = on_node(with_claim(pod(), "models"))
    bound = ClaimEvidence(claim(phase="Bound", volumeName="pv"))
    evidence = pods(waiting, events=(ATTACHED,), neighbours=(holder(),), claims={"models": bound})
    ended = judge_pod(evidence).hopeless
    assert ended is not None
    assert "held by Pod old on node node7; ReadWriteOnce" in ended.title


def test_holder_that_is_leaving_is_waited_for() -> None:
    leaving = holder()
    leaving["metadata"]["deletionTimestamp"] = LATER
    waiting = with_claim(unscheduled(ALONE), "models")
    assert judge_pod(pods(waiting, neighbours=(leaving,))).hopeless is None


def test_holder_that_ended_holds_nothing() -> None:
    waiting = with_claim(unscheduled(ALONE), "models")
    assert judge_pod(pods(waiting, neighbours=(holder(phase="Succeeded"),))).hopeless is None


def test_holder_that_may_not_be_read_is_not_invented() -> None:
    waiting = with_claim(unscheduled(ALONE), "models")
    verdict = judge_pod(pods(waiting, neighbours=Unknown("you may not list pods", "forbidden")))
    assert verdict.hopeless is None


def mounted_twice(**status: object) -> dict[str, object]:
    """A pod on a node, with two volumes of one claim, since START."""
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": START}
    waiting = with_claim(on_node(pod(conditions=[scheduled], **status)), "models")
    again = {"name": "adapter", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    waiting["spec"]["volumes"] += [{"name": "tmp", "emptyDir": {}}, again]
    return waiting


def test_two_volumes_of_one_claim_keep_a_pod_from_ever_starting() -> None:
    found = judge_pod(pods(mounted_twice())).hopeless
    assert found is not None
    assert found.code == "ClaimMountedTwice"
    assert "claim models (model and adapter)" in found.title


@pytest.mark.parametrize("waits", ["just scheduled", "runs", "one volume", "pulls"])
def test_a_pod_that_may_start_is_not_said_to_mount_twice(waits: str) -> None:
    running = {"containerStatuses": [container(running={"startedAt": START})]} if waits == "runs" else {}
    found = mounted_twice(**running)
    if waits == "one volume":
        found["spec"]["volumes"].pop()  # type: ignore[index]  # JSON
    events = (event("Pod", "pod", "Pulling", "Pulling image", type="Normal"),) if waits == "pulls" else ()
    verdict = judge_pod(pods(found, events=events, now=START if waits == "just scheduled" else LATER))
    assert verdict.hopeless is None
