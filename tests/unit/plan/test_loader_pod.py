"""The loader pod: as `restricted` wants it, and the identity it runs with."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from pvserve.plan.loader import PodIdentity, loader_identity, loader_pod

RANGE = {"metadata": {"name": "llm", "annotations": {"openshift.io/sa.scc.uid-range": "1000770000/10000"}}}
PLAIN = {"metadata": {"name": "llm"}}


def pod(**over: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name_prefix": "pvserve-load",
        "namespace": "llm",
        "claim": "models",
        "image": "vllm:1",
        "read_only": False,
        "identity": PodIdentity(run_as_user=1000, fs_group=1000),
        "node_name": None,
        "node_selector": {},
        "tolerations": [],
        "labels": {"pvserve.io/loader": "x"},
    }
    return loader_pod(**{**values, **over})


def test_pod_security_restricted_is_kept() -> None:
    spec = pod()["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = spec["containers"][0]["securityContext"]
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["readOnlyRootFilesystem"] is True


def test_it_ends_by_itself_when_nobody_was_heard_for_five_minutes(tmp_path: Path) -> None:
    """Its own script, where `sleep` takes no time and the client is heard while it is called for the first 20 times."""
    heard, slept = tmp_path / "heard", tmp_path / "slept"
    quick = tmp_path / "sleep"
    quick.write_text(f"#!/bin/sh\necho $1 >>{slept}\n[ $(wc -l <{slept}) -gt 20 ] || : >{heard}\n")
    quick.chmod(0o755)
    [container] = pod()["spec"]["containers"]
    shell, flag, script, _, seconds = container["command"]
    done = subprocess.run(
        [shell, flag, script, str(heard), seconds], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=60
    )
    assert done.returncode == 0
    assert seconds == "300"
    times = [int(line) for line in slept.read_text().splitlines()]
    assert sum(times[20:]) == 300
    assert not heard.exists()


def test_no_service_account_token_and_no_service_links() -> None:
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_temporary_files_are_in_bounded_memory() -> None:
    [tmp] = [volume for volume in pod()["spec"]["volumes"] if "emptyDir" in volume]
    assert tmp["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Mi"}


def test_openshift_decides_ids_itself() -> None:
    identity = loader_identity(RANGE, None)
    assert (identity.run_as_user, identity.fs_group) == (None, None)
    assert "runAsUser" not in pod(identity=identity)["spec"]["securityContext"]


def test_elsewhere_a_fresh_volume_needs_a_named_group() -> None:
    identity = loader_identity(PLAIN, None)
    assert (identity.run_as_user, identity.fs_group) == (1000, 1000)


def test_writes_as_the_pod_that_serves() -> None:
    live = {
        "metadata": {"name": "p"},
        "spec": {"securityContext": {"fsGroup": 7, "runAsUser": 5}, "containers": [{"name": "kserve-container"}]},
    }
    identity = loader_identity(PLAIN, live)
    assert (identity.run_as_user, identity.fs_group) == (5, 7)


def test_root_is_not_taken_over() -> None:
    live = {"metadata": {"name": "p"}, "spec": {"containers": [{"securityContext": {"runAsUser": 0}}]}}
    assert loader_identity(PLAIN, live).run_as_user == 1000


def test_node_is_asked_for_through_the_scheduler() -> None:
    spec = pod(node_name="node2")["spec"]
    assert "nodeName" not in spec
    term = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]
    assert term["matchFields"][0]["values"] == ["node2"]


def test_source_claim_is_mounted_read_only() -> None:
    spec = pod(source_claim="workbench")["spec"]
    [source] = [volume for volume in spec["volumes"] if volume["name"] == "source"]
    assert source["persistentVolumeClaim"] == {"claimName": "workbench", "readOnly": True}
