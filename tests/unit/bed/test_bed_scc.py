"""The SCC restricted-v2: ids from the namespace's range, everything else closed, refusals as OpenShift words them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from bed.scc_webhook.restricted import ConstraintError, Range, constrained, range_of

IDS = Range(1000770000, 1000779999, 1000770000)
Object = dict[str, Any]


def namespace(**annotations: str) -> Object:
    names = {"uids": "openshift.io/sa.scc.uid-range", "groups": "openshift.io/sa.scc.supplemental-groups"}
    return {"metadata": {"annotations": {names[key]: value for key, value in annotations.items()}}}


def pod(container: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", **(container or {})}], **spec}}


def refusal(item: Object) -> str:
    with pytest.raises(ConstraintError) as caught:
        constrained(item, IDS)
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"uids": "1000770000/10000"}, IDS),
        ({"uids": "1000770000-1000779999"}, IDS),
        ({"uids": "1000770000/10000", "groups": "5000/100,9000/100"}, Range(1000770000, 1000779999, 5000)),
        ({}, None),
    ],
)
def test_ids_come_from_the_namespaces_annotations(annotations: dict[str, str], expected: Range | None) -> None:
    assert range_of(namespace(**annotations)) == expected


def test_an_annotation_that_cannot_be_read_refuses_pods() -> None:
    with pytest.raises(ConstraintError, match="neither START/SIZE nor START-END"):
        range_of(namespace(uids="many"))


def test_what_a_pod_leaves_open_is_filled_in() -> None:
    given = pod(initContainers=[{"name": "storage-initializer"}])
    before = deepcopy(given)
    made = constrained(given, IDS)
    assert given == before
    assert made["metadata"]["annotations"] == {"openshift.io/scc": "restricted-v2"}
    assert made["spec"]["securityContext"] == {"fsGroup": 1000770000, "seccompProfile": {"type": "RuntimeDefault"}}
    closed = {
        "runAsUser": 1000770000,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert made["spec"]["containers"][0]["securityContext"] == closed
    assert made["spec"]["initContainers"][0]["securityContext"] == closed


def test_the_second_look_after_other_webhooks_changes_nothing() -> None:
    once = constrained(pod(), IDS)
    assert constrained(once, IDS) == once


def test_a_user_in_the_range_stays_and_containers_inherit_the_pods() -> None:
    made = constrained(pod(securityContext={"runAsUser": 1000770005, "runAsNonRoot": True}), IDS)
    assert "runAsUser" not in made["spec"]["containers"][0]["securityContext"]
    assert made["spec"]["securityContext"]["runAsUser"] == 1000770005


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (
            pod({"securityContext": {"runAsUser": 1000}}),
            ".containers[0].runAsUser: Invalid value: 1000: must be in the ranges: [1000770000, 1000779999]",
        ),
        (pod(securityContext={"runAsUser": 0}), ".containers[0].runAsUser: Invalid value: 0"),
        (pod(securityContext={"fsGroup": 5}), "Invalid value: []int64{5}: 5 is not an allowed group"),
        (pod(hostNetwork=True), "Host network is not allowed to be used"),
        (pod({"securityContext": {"privileged": True}}), "Privileged containers are not allowed"),
        (pod({"securityContext": {"allowPrivilegeEscalation": True}}), "Allowing privilege escalation"),
        (pod({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}), "capability may not be added"),
        (pod({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}), "must be runtime/default"),
        (pod({"ports": [{"containerPort": 80, "hostPort": 80}]}), "Host ports are not allowed to be used"),
        (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "hostPath volumes are not allowed to be used"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(item: Object, reason: str) -> None:
    text = refusal(item)
    assert text.startswith("unable to validate against any security context constraint: [provider restricted-v2: ")
    assert reason in text


def test_every_reason_is_listed() -> None:
    text = refusal(pod({"securityContext": {"runAsUser": 0}}, hostPID=True))
    assert text.count("provider restricted-v2: ") == 2


def test_net_bind_service_may_be_added_and_claims_mounted() -> None:
    item = pod({"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}})
    item["spec"]["volumes"] = [{"name": "m", "persistentVolumeClaim": {"claimName": "m"}}]
    assert constrained(item, IDS)["spec"]["volumes"] == item["spec"]["volumes"]
