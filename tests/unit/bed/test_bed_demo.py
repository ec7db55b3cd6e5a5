"""The demo's figures: what counts as an S3 read and as bytes on the node, and the table of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bed import demo_figures, demo_scaling
from bed.demo_figures import Figures
from bed.demo_scaling import Scaling

LINE = "bed {bucket} [25/November/2026:03:47:46 +0000] 10.244.0.53 bed QR {operation} models/a /x 200 - 0 0 0 0 -\n"


def pod(volume: dict[str, Any]) -> dict[str, Any]:
    shm = {"name": "shm", "emptyDir": {"medium": "Memory"}}
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "model", "mountPath": "/mnt/models"}]
    return {
        "metadata": {"uid": "u", "creationTimestamp": "2026-11-25T03:00:58Z"},
        "spec": {"containers": [{"volumeMounts": mounts}], "volumes": [shm, {"name": "model", **volume}]},
        "status": {"conditions": [{"type": "Ready", "lastTransitionTime": "2026-11-25T03:01:03Z"}]},
    }


def write(kubelet: Path, volume: str, size: int) -> None:
    file = kubelet / "pods/u/volumes/kubernetes.io~empty-dir" / volume / "sub/file"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * size)


def test_only_reads_of_objects_in_the_bucket_since_the_start_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    old = LINE.format(bucket="mine", operation="s3_GetObject")
    lines = [("mine", "s3_GetObject"), ("mine", "s3_HeadObject"), ("other", "s3_GetObject"), ("mine", "s3_PutObject")]
    log.write_text(old + "".join(LINE.format(bucket=bucket, operation=operation) for bucket, operation in lines))
    assert demo_figures.s3_reads(log, len(old), "mine") == 1


def test_a_copied_model_is_seen_on_the_node_and_shared_memory_is_not(tmp_path: Path) -> None:
    write(tmp_path, "model", 100_000)
    write(tmp_path, "shm", 100_000)
    seen = demo_figures.figures(pod({"emptyDir": {}}), tmp_path, 3)
    assert 100_000 <= seen.on_node < 200_000
    assert (seen.to_ready, seen.s3_reads, seen.init_containers) == (5.0, 3, ())
    assert seen.volume.startswith("an emptyDir")


def test_a_claim_leaves_nothing_on_the_node(tmp_path: Path) -> None:
    seen = demo_figures.figures(pod({"persistentVolumeClaim": {"claimName": "models"}}), tmp_path, 0)
    assert (seen.volume, seen.on_node) == ("claim models", 0)


def test_the_table_puts_both_side_by_side() -> None:
    before = Figures(("storage-initializer",), "an emptyDir", 171_000_000, 4.0, 21)
    after = Figures((), "claim models", 0, 1.0, 0)
    lines = demo_figures.table(before, after).splitlines()
    assert lines[1].split() == ["init", "containers", "storage-initializer", "none"]
    assert [line[lines[0].index("after") :] for line in lines[1:]] == ["none", "claim models", "0.0 MB", "1 s", "0"]


def test_what_new_pods_received_is_read_from_their_own_interface(tmp_path: Path) -> None:
    for process, uid, received in (("7", "u", 1234), ("8", "other", 99)):
        (tmp_path / process / "net").mkdir(parents=True)
        (tmp_path / process / "cgroup").write_text(f"0::/kubepods/besteffort/pod{uid}/abc\n")
        head = "Inter-| Receive\n face |bytes\n"
        (tmp_path / process / "net/dev").write_text(f"{head}    lo: 5 0 0\n  eth0: {received} 0 0\n")
    seen = demo_scaling.scaling([pod({"emptyDir": {}})], tmp_path / "kubelet", tmp_path)
    assert seen == Scaling(received=1234, on_node=0, seconds=5.0)


def test_the_second_table_is_about_three_replicas() -> None:
    lines = demo_scaling.table(Scaling(342_000_000, 342_000_000, 9.0), Scaling(4_000, 0, 3.0)).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == ["one claim", "0.0 MB", "0.0 MB", "3 s"]
