"""Every trap, for real: each service on the stage is broken for one reason, and diagnose names it.

A wait stops at once where waiting cannot mend it (`hopeless`), and goes on where it may.
"""

from __future__ import annotations

import pytest

from pvserve.cluster.evidence import read_pod_evidence
from pvserve.diagnose import judge_pod
from pvserve.errors import Refused
from tests.cluster.offers import until

from .scenes import claim, service
from .stage import SECONDS, Stage
from .typed import that, typed

pytestmark = pytest.mark.cluster


def test_both_storage_and_uri(stage: Stage) -> None:
    seen = stage.wait("both", "StorageTwice")
    assert "must provide only one of storageUri and storage" in seen.text
    assert '"op":"remove","path":"/spec/predictor/model/storage"' in seen.remedy


def test_runtime_is_missing(stage: Stage) -> None:
    seen = stage.wait("no-runtime", "RuntimeMissing")
    assert "asks for serving runtime nowhere" in seen.first.title


def test_runtime_is_disabled(stage: Stage) -> None:
    seen = stage.wait("runtime-off", "RuntimeDisabled")
    assert "patch servingruntime off" in seen.remedy


def test_format_is_not_supported(stage: Stage) -> None:
    seen = stage.wait("no-format", "FormatUnsupported")
    assert "model format onnx" in seen.first.title


def test_service_is_stopped(stage: Stage) -> None:
    seen = stage.wait("stopped", "ServiceStopped")
    assert f"kubectl -n {stage.namespace} annotate inferenceservice stopped serving.kserve.io/stop-" in seen.remedy


def test_service_is_missing(stage: Stage) -> None:
    stage.wait("nobody-made-this", "ServiceMissing")


def test_webhook_refuses_the_pods(stage: Stage) -> None:
    seen = stage.wait("no-secret", "WebhookRefused")
    assert "denied the request" in seen.text
    assert "Deployment no-secret-predictor" in seen.first.title


def test_service_account_is_missing(stage: Stage) -> None:
    seen = stage.wait("no-account", "ServiceAccountMissing")
    assert f"kubectl -n {stage.namespace} create serviceaccount nobody" in seen.remedy


def test_quota_leaves_no_room(narrow: Stage) -> None:
    seen = narrow.wait("quota", "QuotaExceeded")
    assert "ResourceQuota narrow" in seen.first.title
    assert "used: pods=0, limited: pods=0" in seen.text


def test_quota_demands_limits(demanding: Stage) -> None:
    seen = demanding.wait("unlimited", "QuotaNeedsResources")
    assert "limits.cpu" in seen.first.title


def test_limit_range_forbids_the_memory(demanding: Stage) -> None:
    seen = demanding.wait("large", "LimitRangeExceeded")
    assert "maximum memory usage per Container is 32Mi, but limit is 64Mi" in seen.text


def test_pod_security_refuses_the_pods(strict: Stage) -> None:
    seen = strict.wait("rooted", "PodSecurityRefused")
    assert "restricted" in seen.first.title


def test_claim_is_in_another_namespace(stage: Stage) -> None:
    seen = stage.wait("no-claim", "ClaimMissing")
    assert "PersistentVolumeClaim nothere does not exist" in seen.first.title


def test_claim_beyond_the_quota_is_refused_and_the_quota_shown(narrow: Stage) -> None:
    with pytest.raises(Refused, match=r"exceeded quota: narrow, requested: requests\.storage=64Mi"):
        narrow.cluster.create(claim("too-large", None))
    narrow.create(service("too-large", "pvc://too-large/good"))
    until("the claim's absence", lambda: "ClaimMissing" in [item.code for item in narrow.now("too-large").findings])
    found = next(item for item in narrow.now("too-large").findings if item.code == "ClaimMissing")
    assert "requests.storage: 0 of 1Mi used" in [item.observed for item in found.evidence]


def test_claim_pending_without_class(stage: Stage) -> None:
    stage.wait("no-class", "ClaimNoClass")


def test_claim_pending_of_an_unknown_class(stage: Stage) -> None:
    seen = stage.wait("unknown-class", "ClaimClassUnknown")
    assert "names StorageClass nobody-knows-" in seen.first.title


def test_claim_pending_because_the_provisioner_is_silent(stage: Stage) -> None:
    seen = stage.wait("silent", "ProvisionerSilent", hopeless=False)
    assert "silent.example/nobody" in seen.text


def test_claim_pending_because_no_node_can_have_its_volume(stage: Stage) -> None:
    seen = stage.wait("topology", "NoVolumeToBind")
    assert "didn't find available persistent volumes to bind" in seen.text


def test_claim_pending_because_the_storage_is_full(stage: Stage) -> None:
    """In a driver's words, which the test says for one that is not there."""
    seen = stage.wait("no-space", "ClaimNoSpace")
    assert "insufficient free space (512 extents)" in seen.text


def test_claim_pending_because_the_provisioner_refuses_it(stage: Stage) -> None:
    """In the provisioner's own words, and waited for: it may mean something that passes."""

    def refused() -> bool:
        if stage.cluster.get("v1", "PersistentVolumeClaim", "shared", stage.namespace)["status"]["phase"] == "Bound":
            pytest.skip("the default class makes volumes that are shared")
        return stage.now("shared").first.code == "ClaimNotProvisioned"

    until("the refusal is told", refused, seconds=SECONDS)
    seen = stage.now("shared")
    assert seen.first.code == "ClaimNotProvisioned"
    assert "ReadWriteMany" in seen.text


def test_unknown_failure_shows_what_was_observed_and_no_guess(stage: Stage) -> None:
    seen = stage.wait("odd", "PodNotCreated", hopeless=False)
    assert seen.first.title == "the cluster does not make the pods of Deployment odd-predictor"
    assert "the moon is not full" in seen.text
    assert seen.first.remedy == (f"kubectl -n {stage.namespace} get events --field-selector reason=FailedCreate",)
    assert [item.code for item in seen.findings if item.severity == "fail"] == ["PodNotCreated"]


def test_webhook_that_does_not_answer_is_waited_for(stage: Stage) -> None:
    seen = stage.wait("unanswered", "WebhookUnreachable", hopeless=False)
    assert "silent.example.com" in seen.first.title


def test_claim_that_waits_for_its_first_pod_is_no_failure(stage: Stage) -> None:
    seen = stage.wait("gpu", "NoGpu")
    waiting = [item for item in seen.findings if item.code == "ClaimWaitsForPod"]
    assert [item.severity for item in waiting] == ["info"]


def test_no_node_has_the_gpu(stage: Stage) -> None:
    seen = stage.wait("gpu", "NoGpu")
    assert "no node has nvidia.com/gpu free" in seen.first.title


def test_no_node_has_the_memory(stage: Stage) -> None:
    seen = stage.wait("huge", "NoRoom")
    assert "Insufficient memory" in seen.text
    assert "asks for 9000Gi" in seen.first.title


def test_no_node_has_the_labels(stage: Stage) -> None:
    seen = stage.wait("picky", "NoMatchingNode")
    assert "no-node=has-this" in seen.first.title


def test_node_is_tainted(stage: Stage) -> None:
    seen = stage.wait("tainted", "Untolerated")
    assert "only=gpu-jobs:NoSchedule" in seen.first.title


def test_volume_is_in_a_zone_without_nodes(stage: Stage) -> None:
    seen = stage.wait("far", "VolumeElsewhere")
    assert "topology.kubernetes.io/zone In zone-without-nodes" in seen.first.title


def test_claim_is_held_by_another_pod(stage: Stage) -> None:
    seen = stage.wait("alone", "ClaimHeld")
    assert "held by Pod holder on node" in seen.first.title
    assert "ReadWriteOncePod" in seen.first.title
    assert f"kubectl -n {stage.namespace} delete pod holder" in seen.remedy


def test_claim_is_held_by_the_services_own_old_pod(stage: Stage) -> None:
    """A rolling update of a claim that one pod alone may mount never ends."""
    stage.ready("rolling")
    change = {"spec": {"predictor": {"model": {"env": [{"name": "CHANGED", "value": "yes"}]}}}}
    stage.cluster.patch("serving.kserve.io/v1beta1", "InferenceService", "rolling", stage.namespace, change)
    seen = stage.wait("rolling", "ClaimHeldByOldPod")
    assert '"deploymentStrategy":{"type":"Recreate"}' in seen.remedy
    assert not seen.verdict.ready, "KServe still says Ready"
    mended = typed(that(seen, "Recreate"))
    assert mended.returncode == 0, mended.stderr
    stage.ready("rolling")


def test_pod_that_waits_in_a_queue_is_waited_for(stage: Stage) -> None:
    seen = stage.wait("gated", "Gated", hopeless=False)
    assert "example.com/queue" in seen.first.title


def test_image_cannot_be_pulled(stage: Stage) -> None:
    seen = stage.wait("no-image", "ImagePullFailed")
    assert "image registry.invalid/nowhere:1" in seen.first.title


def test_init_container_fails(stage: Stage) -> None:
    seen = stage.wait("initializer", "InitContainerFailed")
    assert "nowhere.invalid" in seen.text


def test_container_is_killed_for_its_memory(stage: Stage) -> None:
    seen = stage.wait("memory", "OomKilled")
    assert "memory limit of 16Mi" in seen.first.title
    assert seen.first.evidence[0].time


def test_pod_is_evicted_for_its_disk(stage: Stage) -> None:
    seen = stage.wait("disk", "Evicted")
    assert 'EmptyDir volume "scratch" exceeds the limit' in seen.text


def test_server_crashes_and_its_last_lines_are_shown(stage: Stage) -> None:
    seen = stage.wait("crash", "CrashLoop")
    assert "boom: unknown flag --foo" in seen.text
    assert "exits with code 3" in seen.first.title


def test_model_does_not_fit_into_the_accelerator(stage: Stage) -> None:
    """In a server's words, from the log of a real container; the bed has no accelerator."""
    seen = stage.wait("gpu-memory", "GpuMemory")
    assert "CUDA out of memory" in seen.text
    assert "--max-model-len" in seen.remedy


def test_server_may_not_write_beside_the_model(stage: Stage) -> None:
    seen = stage.wait("writes", "ModelReadOnly")
    assert "/mnt/models/cache: Read-only file system" in seen.text


def test_image_would_run_as_root(stage: Stage) -> None:
    stage.wait("root", "RunsAsRoot")


def test_secret_of_a_variable_is_missing(stage: Stage) -> None:
    seen = stage.wait("no-variable", "ConfigMissing")
    assert 'secret "nowhere" not found' in seen.text


def test_secret_of_a_volume_is_missing(stage: Stage) -> None:
    seen = stage.wait("no-mount", "MountNeedsObject")
    assert "mounts Secret nowhere" in seen.first.title


def test_liveness_probe_kills_the_server(stage: Stage) -> None:
    seen = stage.wait("probed", "LivenessKills")
    assert "failed liveness probe" in seen.text


def test_server_that_does_not_answer_is_waited_for(stage: Stage) -> None:
    seen = stage.wait("deaf", "NotListening", hopeless=False)
    assert "Readiness probe failed" in seen.text


def test_model_files_may_not_be_read(stage: Stage) -> None:
    seen = stage.wait("secret", "ModelUnreadable")
    assert "Permission denied" in seen.text
    assert "pvc://models/secret" in seen.remedy


@pytest.mark.parametrize("service", ["missing", "empty"])
def test_path_on_the_claim_is_missing_or_empty(stage: Stage, service: str) -> None:
    seen = stage.wait(service, "ModelMissing")
    assert f"pvserve load SOURCE pvc://models/{service}" in seen.remedy


@pytest.mark.parametrize("service", ["truncated", "cut"])
def test_weights_are_truncated(stage: Stage, service: str) -> None:
    seen = stage.wait(service, "ModelCorrupt")
    assert f"pvserve verify {service}" in seen.remedy


def test_weights_are_of_another_format(stage: Stage) -> None:
    seen = stage.wait("not-gguf", "ModelNotForRuntime")
    assert "invalid magic" in seen.text


def test_deadline_has_passed_and_the_nearer_cause_comes_first(stage: Stage) -> None:
    seen = stage.wait("late", "NoMatchingNode")
    assert "DeadlineExceeded" in [item.code for item in seen.findings]


def test_network_policy_lets_nobody_in(stage: Stage) -> None:
    seen = stage.wait("healthy", "PolicyClosesIngress", hopeless=False)
    assert "NetworkPolicy nobody-in" in seen.first.title
    assert seen.first.severity == "warn"


def test_network_policy_lets_nothing_out(stage: Stage) -> None:
    def found() -> list[str]:
        return [item.title for item in stage.now("deaf").findings if item.code == "PolicyClosesEgress"]

    [title] = until("the policy is named", found, seconds=SECONDS)
    assert "NetworkPolicy nothing-out selects Pod deaf-predictor" in title


def test_healthy_service_says_what_was_checked(stage: Stage) -> None:
    stage.ready("healthy")
    seen = stage.now("healthy")
    healthy = seen.findings[-1]
    assert (healthy.code, healthy.severity) == ("Healthy", "info")
    kinds = [item.object.split()[0] for item in healthy.evidence]
    assert kinds == ["InferenceService", "Deployment", "Pod", "PersistentVolumeClaim"]
    assert all(item.observed.startswith("ok ") for item in healthy.evidence)
    assert not [item for item in seen.findings if item.severity == "fail"]


def test_service_that_was_switched_is_ready_only_when_its_new_source_is_served(stage: Stage) -> None:
    """KServe goes on saying Ready, for the old source (kserve#4626)."""
    stage.ready("switched")
    change = {"spec": {"predictor": {"model": {"storageUri": "pvc://models/other"}}}}
    stage.cluster.patch("serving.kserve.io/v1beta1", "InferenceService", "switched", stage.namespace, change)
    stage.ready("switched")
    label = "serving.kserve.io/inferenceservice=switched"
    pods = stage.cluster.list("v1", "Pod", stage.namespace, label_selector=label)
    serving = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    mounts = [mount.get("subPath") for pod in serving for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert [path for path in mounts if path] == ["other"]


def test_claim_that_is_being_deleted_warns_while_the_service_runs(stage: Stage) -> None:
    stage.ready("leaving")
    stage.cluster.delete("v1", "PersistentVolumeClaim", "leaving", stage.namespace)
    seen = stage.now("leaving")
    assert seen.first.code == "ClaimTerminating"
    assert seen.first.severity == "warn"
    assert seen.verdict.ready


def test_pod_that_stands_alone_is_judged_too(stage: Stage) -> None:
    """A loader pod of pvserve's own, as `mount` asks while it waits."""
    pod = stage.cluster.get("v1", "Pod", "holder", stage.namespace)
    assert judge_pod(read_pod_evidence(stage.cluster, pod)).hopeless is None
