"""Whether model bytes lie on the node's own disk.

Owns the reading of kubelet statistics and, where those are not readable, of what containers wrote.
Source: kubelet stats/summary (`pods[].ephemeral-storage`, `pods[].volume[]`), readable with `get nodes/proxy`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pvserve.cluster import Cluster
from pvserve.cluster.kubelet import summary
from pvserve.errors import PvserveError
from pvserve.facts import Object, Unknown, name, namespace
from pvserve.verify.proof import Check

# Logs, caches and sockets of a server; below it nothing can be told apart from a small model.
NOISE_BYTES = 16 << 20
STATS_WAIT_SECONDS = 25.0  # kubelet refreshes its statistics every 10 s; a new pod is not in them at once
# Files over 1 MiB that the container itself wrote since its sandbox was made, and what lies in its emptyDirs:
# /etc/hostname is written by the kubelet when the sandbox starts. No argument is spliced into the script.
WRITTEN_SCRIPT = """
find / -xdev -type f -size +1024k -newer /etc/hostname -exec ls -ln {} + 2>/dev/null |
  awk '{ s += $5 } END { print s+0 }'
for d in "$@"; do du -sk "$d" 2>/dev/null | awk '{ print $1 * 1024 }'; done
"""


def check_node_disk(cluster: Cluster, pods: Sequence[Object], model_bytes: int) -> Check:
    """Checks that no pod of `pods` holds `model_bytes` (bytes) on its node's disk."""
    title = "the node's disk does not hold a copy of the model"
    if not pods:
        return Check("node-disk", title, "unknown", "no live pod of the service")
    limit = max(model_bytes, NOISE_BYTES)
    seen: list[str] = []
    bad: list[str] = []
    for pod in pods:
        used, how = _used(cluster, pod)
        if used is None:
            return Check("node-disk", title, "unknown", f"pod {name(pod)}: {how}", (_right(),))
        (bad if used >= limit else seen).append(f"pod {name(pod)} uses {used} bytes of its node's disk ({how})")
    words = "; ".join(bad or seen) + f"; the model has {model_bytes} bytes"
    return Check("node-disk", title, "failed" if bad else "passed", words)


def _right() -> str:
    return "ask an administrator for `get nodes/proxy` (kubelet statistics), or allow `create pods/exec`"


def _used(cluster: Cluster, pod: Object) -> tuple[int | None, str]:
    used = _from_kubelet(cluster, pod)
    if isinstance(used, int):
        return used, "kubelet statistics"
    written = _from_container(cluster, pod)
    return (written, "measured in its containers") if isinstance(written, int) else (None, f"{used}; {written}")


def _from_kubelet(cluster: Cluster, pod: Object) -> int | str:
    node = str(pod["spec"].get("nodeName", ""))
    deadline = time.monotonic() + STATS_WAIT_SECONDS
    while True:
        stats = summary(cluster, node)
        if isinstance(stats, Unknown):
            return stats.why
        used = _pod_bytes(stats, str(pod["metadata"]["uid"]))
        if used is not None:
            return used
        if time.monotonic() > deadline:
            return "kubelet statistics do not list the pod"
        time.sleep(2)


def _pod_bytes(stats: Mapping[str, Any], uid: str) -> int | None:
    for found in stats.get("pods") or ():
        if found["podRef"]["uid"] == uid and "usedBytes" in (found.get("ephemeral-storage") or {}):
            return int(found["ephemeral-storage"]["usedBytes"])
    return None


def _from_container(cluster: Cluster, pod: Object) -> int | str:
    total = 0
    disk_volumes = {
        str(volume["name"])
        for volume in pod["spec"].get("volumes") or ()
        if "emptyDir" in volume and (volume["emptyDir"] or {}).get("medium") != "Memory"
    }
    for container in pod["spec"]["containers"]:
        directories = [
            str(mount["mountPath"])
            for mount in container.get("volumeMounts") or ()
            if str(mount["name"]) in disk_volumes
        ]
        argv = ["sh", "-c", WRITTEN_SCRIPT, "sh", *directories]
        try:
            result = cluster.run(name(pod), namespace(pod), str(container["name"]), argv)
        except PvserveError as error:
            return f"exec: {error.message}"
        lines = result.out.decode(errors="replace").split()
        if result.returncode != 0 or len(lines) != 1 + len(directories) or not all(line.isdigit() for line in lines):
            return f"container {container['name']} has no find, ls, awk or du to measure with"
        total += sum(map(int, lines))
    return total
