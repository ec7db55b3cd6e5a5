"""What the checks on live pods say of pods that real KServe made (tests/emulator/recordings)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.verify.pods import check_mounts

RECORDINGS = Path(__file__).parents[2] / "emulator" / "recordings"


def pods(case: str) -> list[dict[str, Any]]:
    recording = yaml.safe_load((RECORDINGS / f"{case}.yaml").read_text())
    return [item for item in recording["objects"] if item["kind"] == "Pod"]


def results(case: str, claim: str = "models", path: str = "granite-7b-lab") -> dict[str, str]:
    return {check.name: check.result for check in check_mounts(pods(case), claim, path)}


ALL_PASSED = dict.fromkeys(
    ("claim-mounted", "sub-path", "read-only", "no-storage-initializer", "no-model-copy"), "passed"
)


@pytest.mark.parametrize(
    ("case", "path"),
    [
        ("odh-style", "granite-7b-lab"),
        ("pvc", "granite-7b-lab"),
        ("pvc-root", ""),
        ("pvc-trailing-slash", "a/b"),
        ("pvc-two-replicas", "granite-7b-lab"),
    ],
)
def test_a_service_on_a_claim_passes(case: str, path: str) -> None:
    assert results(case, path=path) == ALL_PASSED


@pytest.mark.parametrize("case", ["s3-storage-key", "s3-storage-uri", "hf-storage-uri"])
def test_a_copy_into_an_empty_dir_is_named(case: str) -> None:
    found = results(case)
    assert found["no-storage-initializer"] == "failed"
    assert found["no-model-copy"] == "failed"
    assert found["claim-mounted"] == "failed"


def test_a_lost_sub_path_is_named() -> None:
    """Real KServe drops the sub-path of storageUris[]: the claim's root is mounted."""
    assert results("storage-uris-pvc")["sub-path"] == "failed"


def beside_others(*downloads: str) -> dict[str, Any]:
    """A model that pvserve moved, and entries of storageUris that KServe goes on downloading."""
    pair = [word for place in downloads for word in ("s3://b/lora", place)]
    mounts = [
        {"name": "pvserve-model", "mountPath": "/mnt/base", "subPath": "granite", "readOnly": True},
        {"name": "mnt-lora", "mountPath": downloads[0], "readOnly": True},
    ]
    return {
        "metadata": {"name": "new"},
        "spec": {
            "initContainers": [{"name": "storage-initializer", "args": pair}],
            "containers": [{"name": "kserve-container", "volumeMounts": mounts}],
            "volumes": [
                {"name": "pvserve-model", "persistentVolumeClaim": {"claimName": "models"}},
                {"name": "mnt-lora", "emptyDir": {}},
            ],
        },
    }


def test_what_is_copied_beside_the_model_is_told_and_is_no_copy_of_it() -> None:
    checks = {
        check.name: check for check in check_mounts([beside_others("/mnt/lora")], "models", "granite", "/mnt/base")
    }
    assert {name: check.result for name, check in checks.items()} == ALL_PASSED
    assert "copies what is at /mnt/lora alone" in checks["no-storage-initializer"].evidence


@pytest.mark.parametrize("place", ["/mnt/base", "/mnt/base/", "/mnt/base/sub", "/mnt"])
def test_a_download_to_the_model_s_own_place_is_a_copy(place: str) -> None:
    checks = check_mounts([beside_others("/mnt/lora", place)], "models", "granite", "/mnt/base")
    assert next(check for check in checks if check.name == "no-storage-initializer").result == "failed"


def test_a_writable_mount_is_named() -> None:
    assert results("pvc-read-write")["read-only"] == "failed"


def test_another_claim_is_not_ours() -> None:
    assert results("pvc", claim="other")["claim-mounted"] == "failed"


def test_without_a_pod_nothing_is_known() -> None:
    assert {check.result for check in check_mounts([], "models", "x")} == {"unknown"}


def older_kserve() -> dict[str, Any]:
    """KServe 0.15 with enableDirectPvcVolumeMount: false: the initializer links from /mnt/pvc into an emptyDir."""
    mounts = [
        {"name": "kserve-pvc-source", "mountPath": "/mnt/pvc", "readOnly": True},
        {"name": "kserve-provision-location", "mountPath": "/mnt/models"},
    ]
    return {
        "metadata": {"name": "old"},
        "spec": {
            "initContainers": [
                {"name": "storage-initializer", "args": ["/mnt/pvc/granite", "/mnt/models"], "volumeMounts": mounts}
            ],
            "containers": [{"name": "kserve-container", "volumeMounts": mounts}],
            "volumes": [
                {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": "models"}},
                {"name": "kserve-provision-location", "emptyDir": {}},
            ],
        },
    }


def test_links_of_older_kserve_are_named_for_what_they_are() -> None:
    checks = {check.name: check for check in check_mounts([older_kserve()], "models", "granite")}
    assert {name: check.result for name, check in checks.items()} == ALL_PASSED
    assert "links" in checks["no-model-copy"].evidence
    assert "only makes links" in checks["no-storage-initializer"].evidence
