"""Containers that do not start, or do not stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvserve.diagnose import Finding, PodEvidence, Verdict, judge_pod
from pvserve.diagnose.judging import findings
from pvserve.diagnose.logs import meaning_of
from pvserve.facts import Unknown

from .objects import (
    LATER,
    START,
    container,
    crashed,
    deployment,
    event,
    on_node,
    pod,
    pods,
    ready_service,
    service_evidence,
    with_claim,
)

LOGS = Path(__file__).with_name("logs")
MEANINGS = {
    "llama-denied": "ModelUnreadable",
    "llama-truncated": "ModelCorrupt",
    "llama-cut": "ModelCorrupt",
    "llama-not-gguf": "ModelNotForRuntime",
    "llama-empty": "ModelMissing",
    "mlserver-denied": "ModelUnreadable",
    "mlserver-truncated": "ModelCorrupt",
    "mlserver-garbage": "ModelCorrupt",
    "mlserver-zero": "ModelCorrupt",
    "mlserver-empty": "ModelMissing",
    "vllm-truncated": "ModelCorrupt",
    "vllm-empty": "ModelMissing",
    "vllm-no-weights": "ModelMissing",
    "vllm-architecture": "ModelNotForRuntime",
    "other-library": None,
    "other-permission": None,
    "other-worker": None,
    "other-flag": None,
}


def judged(status: dict[str, object], log: str | Unknown = "", **more: object) -> Verdict:
    found = on_node(with_claim(pod(phase="Running", containerStatuses=[status]), "models"))
    return judge_pod(pods(found, logs={("pod", "server"): log}, **more))


def ended(verdict: Verdict) -> Finding:
    assert verdict.hopeless is not None
    return verdict.hopeless


@pytest.mark.parametrize(("case", "code"), MEANINGS.items())
def test_last_words_of_servers(case: str, code: str | None) -> None:
    found = meaning_of((LOGS / f"{case}.txt").read_text())
    assert (found[0] if found else None) == code


def test_every_recorded_log_is_covered() -> None:
    assert {path.stem for path in LOGS.glob("*.txt")} == set(MEANINGS)


def test_log_shows_the_line_that_tells_and_the_last_ones() -> None:
    finding = ended(judged(crashed(1), (LOGS / "mlserver-denied.txt").read_text()))
    assert finding.code == "ModelUnreadable"
    assert "Permission denied: '/mnt/models/model.joblib'" in finding.evidence[1].observed
    assert "gRPC server shutdown complete" in finding.evidence[-1].observed
    assert "pvserve load SOURCE pvc://models/granite --replace" in finding.remedy[-2]
    assert finding.remedy[-1].endswith("kubectl -n llm delete pod pod")


def test_first_crash_may_be_a_race() -> None:
    assert judged(crashed(1), "boom").hopeless is None
    finding = ended(judged(crashed(2), "boom"))
    assert finding.code == "CrashLoop"
    assert [item.observed for item in finding.evidence][1:] == ["boom"]


def test_log_that_may_not_be_read_is_said_so() -> None:
    finding = ended(judged(crashed(2), Unknown("you may not get pods/log", "forbidden")))
    assert "could not be read: you may not get pods/log" in finding.evidence[1].observed


def test_server_that_ends_with_zero_crashes_too() -> None:
    """MLServer does when it cannot load its model."""
    finding = ended(judged(crashed(2, code=0, reason="Completed"), (LOGS / "mlserver-empty.txt").read_text()))
    assert finding.code == "ModelMissing"


def test_server_that_recovered_is_well() -> None:
    status = container(5, ready=True, running={}, last={"exitCode": 1, "reason": "Error"})
    assert judged(status).hopeless is None


def test_killed_for_memory_is_hopeless_at_once() -> None:
    finding = ended(judged(crashed(0, code=137, reason="OOMKilled")))
    assert finding.code == "OomKilled"


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        ("ImagePullBackOff", "Back-off pulling image", "ImagePullFailed!"),
        ("InvalidImageName", "couldn't parse image name", "ImagePullFailed!"),
        ("ErrImagePull", "manifest unknown: not found", "ImagePullFailed!"),
        ("ErrImagePull", "pull access denied", "ImagePullFailed!"),
        ("ErrImagePull", "dial tcp: i/o timeout", "ImagePullFailed"),
        ("CreateContainerConfigError", 'secret "token" not found', "ConfigMissing!"),
        ("CreateContainerConfigError", "couldn't find key token in Secret llm/hf", "ConfigMissing!"),
        ("CreateContainerConfigError", "container has runAsNonRoot and image will run as root", "RunsAsRoot!"),
        (
            "CreateContainerConfigError",
            "failed to prepare subPath for volumeMount of container: read-only file system",
            "SubPathFailed!",
        ),
        ("RunContainerError", 'exec: "serve": executable file not found in $PATH', "ContainerNotCreated!"),
        ("CreateContainerError", "context deadline exceeded", "ContainerNotCreated"),
        ("ContainerCreating", "", ""),
        ("PodInitializing", "", ""),
    ],
)
def test_reasons_of_the_kubelet(reason: str, message: str, code: str) -> None:
    status = container(waiting={"reason": reason, "message": message})
    verdict = judged(status)
    broken = on_node(pod(containerStatuses=[status]))
    service = {**ready_service(), "status": {}}
    codes = [item.code for item in findings(service_evidence(service, pods=(broken,))) if item.severity == "fail"]
    codes = [item for item in codes if item != "NoStatus"]
    assert codes == ([code.rstrip("!")] if code else [])
    assert (verdict.hopeless is not None) == code.endswith("!")


def test_liveness_probe_is_the_cause_of_the_restart() -> None:
    killing = event("Pod", "pod", "Killing", "Container server failed liveness probe, will be restarted")
    assert judged(crashed(1, code=137), events=(killing,)).hopeless is None
    assert ended(judged(crashed(2, code=137), events=(killing,))).code == "LivenessKills"


def test_slow_server_is_waited_for() -> None:
    unhealthy = event("Pod", "pod", "Unhealthy", "Readiness probe failed: connection refused")
    assert judged(container(running={"startedAt": START}), events=(unhealthy,)).hopeless is None


def evicted(name: str, message: str, owned: bool = True) -> dict[str, object]:
    found = pod(name, phase="Failed", reason="Evicted", message=message, startTime=name)
    if not owned:
        found["metadata"]["ownerReferences"] = []
    return found


def test_one_eviction_under_pressure_of_the_node_may_not_come_again() -> None:
    pressure = "The node was low on resource: memory."
    assert judge_pod(pods(evicted("a", pressure))).hopeless is None
    assert ended(judge_pod(pods(evicted("a", pressure), evicted("b", pressure)))).code == "Evicted"


def test_eviction_for_the_pods_own_limit_comes_again() -> None:
    assert (
        ended(judge_pod(pods(evicted("a", 'Usage of EmptyDir volume "m" exceeds the limit "1Gi".')))).code == "Evicted"
    )


def test_eviction_of_a_pod_that_stands_alone_is_final() -> None:
    assert ended(judge_pod(pods(evicted("a", "The node was low on resource", owned=False)))).code == "Evicted"


def test_deadline_does_not_end_a_wait_for_a_server_that_loads() -> None:
    """KServe's Deployments have 600 s and nothing else; a large model takes longer (kserve#5684)."""

    def evidence(status: dict[str, object]) -> PodEvidence:
        late = deployment()
        late["status"]["conditions"] = [
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
        ]
        own = on_node(pod(phase="Running", containerStatuses=[status]))
        own["metadata"]["labels"] = {"app": "granite"}
        service = ready_service()
        service["status"]["conditions"][0]["status"] = "False"
        return service_evidence(service, late, pods=(own,), now=LATER)

    from pvserve.diagnose import judge

    assert judge(evidence(container(running={"startedAt": START}))).hopeless is None
    failed = judge(evidence(container(waiting={"reason": "ErrImagePull", "message": "i/o timeout"}))).hopeless
    assert failed is not None
    assert failed.code == "ImagePullFailed"
