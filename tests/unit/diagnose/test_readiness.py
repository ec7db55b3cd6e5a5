"""Ready means: for what the service's spec says now."""

from __future__ import annotations

from dataclasses import replace

from pvserve.diagnose import judge
from pvserve.facts import Unknown

from .objects import LATER, crashed, deployment, on_node, pod, ready_service, service_evidence

JUST_NOW = "2026-11-24T12:09:59Z"
NEW, OLD = "pvc://models/granite", "s3://models/granite"


def test_ready_when_the_condition_holds_and_the_deployment_is_rolled_out() -> None:
    assert judge(service_evidence(ready_service(), deployment())).ready


def test_generation_of_the_deployment_does_not_matter() -> None:
    """KServe writes the Deployment's observedGeneration into the service's status; an autoscaler raises it."""
    service = ready_service(generation=1)
    service["status"]["observedGeneration"] = 7
    assert judge(service_evidence(service, deployment())).ready


def test_not_ready_while_the_deployment_serves_another_source() -> None:
    assert not judge(service_evidence(ready_service(NEW), deployment(OLD))).ready


def test_not_ready_while_the_deployment_mounts_another_directory() -> None:
    """Of a model beside others, which the service mounts by a volume of its own: the Deployment has no source."""
    service = ready_service()
    mount = {"name": "pvserve-model", "mountPath": "/mnt/base", "subPath": "granite"}
    volume = {"name": "pvserve-model", "persistentVolumeClaim": {"claimName": "models"}}
    service["spec"]["predictor"] = {"model": {"volumeMounts": [mount]}, "volumes": [volume]}
    made = deployment("")
    for path, ready in (("other", False), ("granite", True)):
        container = {"name": "kserve-container", "volumeMounts": [{**mount, "subPath": path}]}
        made["spec"]["template"] = {"spec": {"containers": [container], "volumes": [volume]}}
        assert judge(service_evidence(service, made)).ready is ready


def test_not_ready_while_the_deployment_is_rolling_out() -> None:
    """KServe says Ready all the while: kserve#4626."""
    for status in ({"updatedReplicas": 0}, {"replicas": 2}, {"availableReplicas": 0}, {"observedGeneration": 0}):
        assert not judge(service_evidence(ready_service(), deployment(**status))).ready, status


def test_not_ready_in_the_moment_after_a_change() -> None:
    service = ready_service(written=JUST_NOW)
    assert not judge(service_evidence(service, deployment())).ready


def test_ready_in_the_moment_after_a_change_that_kserve_has_acted_on() -> None:
    service = ready_service(written=JUST_NOW)
    assert judge(service_evidence(service, deployment(touched=LATER))).ready


def test_change_of_a_status_is_no_change() -> None:
    service = ready_service()
    service["metadata"]["managedFields"].append(
        {"time": JUST_NOW, "subresource": "status", "fieldsV1": {"f:status": {}}}
    )
    assert judge(service_evidence(service, deployment())).ready


def test_service_alone_decides_where_deployments_may_not_be_read() -> None:
    evidence = replace(service_evidence(ready_service()), deployments=Unknown("forbidden", "forbidden"))
    verdict = judge(evidence)
    assert verdict.ready
    assert ("Deployments", "unknown") in [(line.object, line.state) for line in verdict.lines]


def test_broken_pods_of_an_earlier_spec_do_not_end_the_wait() -> None:
    """A service that crashed on S3 has just been switched to its claim."""
    broken = on_node(pod(containerStatuses=[crashed(5)]))
    service = ready_service(NEW, written=JUST_NOW)
    service["status"]["conditions"][0]["status"] = "False"
    assert judge(service_evidence(service, deployment(OLD), pods=(broken,))).hopeless is None
    settled = ready_service(OLD)
    settled["status"]["conditions"][0]["status"] = "False"
    ended = judge(service_evidence(settled, deployment(OLD), pods=(broken,))).hopeless
    assert ended is not None
    assert ended.code == "CrashLoop"


def test_pods_of_an_older_replica_set_do_not_count() -> None:
    def replica_set(revision: int, digest: str) -> dict[str, object]:
        return {
            "metadata": {
                "name": f"granite-predictor-{digest}",
                "labels": {"pod-template-hash": digest},
                "annotations": {"deployment.kubernetes.io/revision": str(revision)},
                "ownerReferences": [{"controller": True, "name": "granite-predictor"}],
            }
        }

    old = on_node(pod("old", containerStatuses=[crashed(5)]))
    old["metadata"]["labels"] = {"pod-template-hash": "aaa"}
    service = ready_service()
    service["status"]["conditions"][0]["status"] = "False"
    sets = (replica_set(9, "aaa"), replica_set(10, "bbb"))
    assert judge(service_evidence(service, deployment(), pods=(old,), replica_sets=sets)).hopeless is None
    assert judge(service_evidence(service, deployment(), pods=(old,), replica_sets=sets[:1])).hopeless is not None
