"""What the demo measures of a running service, and the table of it.

Owns where each figure comes from: the pod, the kubelet's directory of it, the S3 server's access log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Object = dict[str, Any]
BLOCK = 512  # bytes: the unit of st_blocks


@dataclass(frozen=True)
class Figures:
    """One service's figures; bytes and seconds."""

    init_containers: tuple[str, ...]
    volume: str  # what /mnt/models is
    on_node: int
    to_ready: float
    s3_reads: int


def figures(pod: Object, kubelet: Path, s3_reads: int) -> Figures:
    """The figures of a Ready pod; `kubelet` is the kubelet's directory."""
    spec = pod["spec"]
    return Figures(
        init_containers=tuple(item["name"] for item in spec.get("initContainers", ())),
        volume=_model_volume(spec),
        on_node=sum(_bytes_below(path) for path in _empty_dirs(pod, kubelet)),
        to_ready=_seconds_to_ready(pod),
        s3_reads=s3_reads,
    )


def s3_reads(log: Path, start: int, bucket: str) -> int:
    """Requests for an object of `bucket` that the access log has after byte `start`."""
    with log.open(errors="replace") as file:
        file.seek(start)
        fields = [line.split() for line in file]
    return sum(1 for part in fields if len(part) > 7 and part[1] == bucket and part[7] == "s3_GetObject")


def table(before: Figures, after: Figures) -> str:
    """Both services side by side."""
    rows = [("", "before: granite", "after: granite-pvc")]
    rows += [
        (what, show(before), show(after))
        for what, show in (
            ("init containers", lambda item: ", ".join(item.init_containers) or "none"),
            ("/mnt/models is", lambda item: item.volume),
            ("bytes in emptyDirs on the node", lambda item: f"{item.on_node / 1e6:,.1f} MB"),
            ("pod start to Ready", lambda item: f"{item.to_ready:.0f} s"),
            ("S3 reads for it", lambda item: str(item.s3_reads)),
        )
    ]
    return aligned(rows)


def aligned(rows: list[tuple[str, str, str]]) -> str:
    """Three columns, as wide as they must be."""
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _model_volume(spec: Object) -> str:
    mounts = {item["mountPath"]: item["name"] for item in spec["containers"][0]["volumeMounts"]}
    (volume,) = [item for item in spec["volumes"] if item["name"] == mounts.get("/mnt/models")]
    claim = volume.get("persistentVolumeClaim")
    return f"claim {claim['claimName']}" if claim else "an emptyDir, copied at each start"


def _empty_dirs(pod: Object, kubelet: Path) -> Iterator[Path]:
    """Those on the disk, not those in memory (/dev/shm)."""
    root = kubelet / "pods" / pod["metadata"]["uid"] / "volumes/kubernetes.io~empty-dir"
    for volume in pod["spec"]["volumes"]:
        if "emptyDir" in volume and volume["emptyDir"].get("medium") != "Memory":
            yield root / volume["name"]


def _bytes_below(directory: Path) -> int:
    return sum((Path(base) / name).lstat().st_blocks * BLOCK for base, _, names in os.walk(directory) for name in names)


def _seconds_to_ready(pod: Object) -> float:
    """By the cluster's own times, which are whole seconds."""
    (ready,) = [item for item in pod["status"]["conditions"] if item["type"] == "Ready"]
    return (_time(ready["lastTransitionTime"]) - _time(pod["metadata"]["creationTimestamp"])).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
