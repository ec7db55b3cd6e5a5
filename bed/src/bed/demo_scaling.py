"""What two more replicas of a service cost: the demo's second table.

Owns the figures of the new pods, and where they come from: their network interfaces, the kubelet's directories of them,
the cluster's own times. Knows nothing of the demo's order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed import demo_figures

Object = dict[str, Any]
REPLICAS = 3


@dataclass(frozen=True)
class Scaling:
    """Of the pods that came: bytes they received, bytes in their emptyDirs on the node's disk, seconds to all Ready."""

    received: int
    on_node: int
    seconds: float


def scaling(pods: Sequence[Object], kubelet: Path, proc: Path = Path("/proc")) -> Scaling:
    """The figures of pods that are Ready. What a pod received over the network is the model, and probes."""
    each = [demo_figures.figures(pod, kubelet, 0) for pod in pods]
    return Scaling(
        received=sum(_received(pod["metadata"]["uid"], proc) for pod in pods),
        on_node=sum(one.on_node for one in each),
        seconds=max(one.to_ready for one in each),
    )


def table(before: Scaling, after: Scaling) -> str:
    """Both services side by side."""
    rows = [
        ("from 1 to 3 replicas", "an emptyDir each", "one claim"),
        ("bytes read from S3", _mega(before.received), _mega(after.received)),
        ("bytes written to the node's disk", _mega(before.on_node), _mega(after.on_node)),
        ("seconds to Ready", f"{before.seconds:.0f} s", f"{after.seconds:.0f} s"),
    ]
    return demo_figures.aligned(rows)


def _mega(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _received(uid: str, proc: Path) -> int:
    """Bytes that came in by the pod's interface, which all of its containers share; the init containers had it too."""
    for process in _processes(uid, proc):
        for line in (process / "net/dev").read_text().splitlines()[2:]:
            name, _, counters = line.partition(":")
            if name.strip() != "lo":
                return int(counters.split()[0])
    return 0


def _processes(uid: str, proc: Path) -> Iterator[Path]:
    for process in proc.iterdir():
        if process.name.isdigit():
            try:
                text = (process / "cgroup").read_text()
            except OSError:  # has ended
                continue
            if f"pod{uid}" in text or f"pod{uid.replace('-', '_')}" in text:
                yield process
