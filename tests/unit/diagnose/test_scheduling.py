"""Why a pod has no node, in the scheduler's own words."""

from __future__ import annotations

import pytest

from pvserve.diagnose import judge_pod

from .objects import LATER, event, pods, unscheduled

GPU = "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available"  # noqa: E501
SOON = "2026-11-24T12:00:30Z"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (GPU, "NoGpu"),
        ("0/1 nodes are available: 1 Insufficient memory.", "NoRoom"),
        ("0/1 nodes are available: 1 Insufficient cpu.", "NoRoom"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {gpu: true}.", "Untolerated"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint(s).", "Untolerated"),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", "NoMatchingNode"),
        ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", "VolumeElsewhere"),
        ("0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.", "VolumeElsewhere"),
        ("0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.", "NoVolumeToBind"),
        ('0/1 nodes are available: persistentvolumeclaim "models" not found.', "ClaimMissing"),
        ('0/1 nodes are available: persistentvolumeclaim "models" is being deleted.', "ClaimTerminating"),
        ("0/1 nodes are available: 1 node(s) were out for lunch.", "Unschedulable"),
    ],
)
def test_scheduler_words_have_a_meaning(message: str, code: str) -> None:
    ended = judge_pod(pods(unscheduled(message))).hopeless
    assert ended is not None
    assert ended.code == code
    assert message.split(". ")[0] in ended.evidence[0].observed


def test_unbound_claim_is_the_claims_matter() -> None:
    waiting = unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
    assert judge_pod(pods(waiting)).hopeless is None


def test_cluster_autoscaler_is_given_a_minute() -> None:
    assert judge_pod(pods(unscheduled(GPU), now=SOON)).hopeless is None
    assert judge_pod(pods(unscheduled(GPU), now=LATER)).hopeless is not None


def test_node_that_is_being_added_is_waited_for() -> None:
    scaling = event("Pod", "pod", "TriggeredScaleUp", "pod triggered scale-up: [{group 0->1}]", type="Normal")
    assert judge_pod(pods(unscheduled(GPU), events=(scaling,))).hopeless is None


def test_gate_is_somebody_elses_decision() -> None:
    gated = unscheduled("Scheduling is blocked due to non-empty scheduling gates")
    gated["status"]["conditions"][0]["reason"] = "SchedulingGated"
    assert judge_pod(pods(gated)).hopeless is None


def test_taint_of_a_node_that_the_pod_selects_goes_before_labels_of_others() -> None:
    both = "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint(s)."  # noqa: E501
    waiting = unscheduled(both)
    waiting["spec"]["nodeSelector"] = {"gpu": "yes"}
    taint = {"key": "only", "value": "training", "effect": "NoSchedule"}
    chosen = {"metadata": {"name": "a", "labels": {"gpu": "yes"}}, "spec": {"taints": [taint]}}
    other = {"metadata": {"name": "b", "labels": {}}, "spec": {}}
    ended = judge_pod(pods(waiting, nodes=(chosen, other))).hopeless
    assert ended is not None
    assert (ended.code, "only=training:NoSchedule" in ended.title) == ("Untolerated", True)
    ended = judge_pod(pods(waiting, nodes=(other,))).hopeless
    assert ended is not None
    assert ended.code == "NoMatchingNode"
