"""A load in a process of its own: killed at a byte count, or asked for its peak of memory at the end.

Owns that process and what it says on stdout. Says nothing about time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import tmpfs_volume as volumes

from pvserve.cluster import Cluster
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, Via, load, sender

LOOK_SECONDS = 0.002
_PEAKS = r"""
for d in /proc/[0-9]*; do
  if tr '\0' ' ' < $d/cmdline 2>/dev/null | grep -q ' pvserve-agent '; then
    echo ${d#/proc/} $(grep VmHWM $d/status)
  fi
done; true
"""


def killed(cluster: Cluster, pod: str, source: Path, via: Via, size: int) -> int:
    """Load, and SIGKILL the client when `size` bytes of contents have left; how many really had."""
    return _child(cluster, pod, source, via, str(size))


def peak(cluster: Cluster, pod: str, source: Path, via: Via) -> int:
    """Load; the client's peak of resident memory in bytes."""
    return _child(cluster, pod, source, via, "0")


def agent_memory(cluster: Cluster, pod: str, peaks: dict[str, int], over: threading.Event) -> None:
    """Note each agent process's peak of resident memory, in bytes, until `over`."""
    while not over.wait(0.5):
        for line in volumes.shell(cluster, pod, _PEAKS).splitlines():
            words = line.split()  # PID VmHWM: 12345 kB
            if len(words) == 4:
                peaks[words[0]] = int(words[2]) << 10


def _child(cluster: Cluster, pod: str, source: Path, via: Via, size: str) -> int:
    run = [sys.executable, __file__, cluster.namespace, pod, str(source), via, size]
    done = subprocess.run(run, check=False, capture_output=True, text=True)
    if done.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(done.stderr)
    return int(done.stdout.split()[-1])


class Counted(sender.Sender):
    """The sender of this process, found again."""

    last: Counted | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        Counted.last = self


def _kill_at(size: int) -> None:
    while Counted.last is None or Counted.last.sent < size:
        time.sleep(LOOK_SECONDS)
    print(Counted.last.sent, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def _main(namespace: str, pod: str, source: str, via: Via, size: str) -> None:
    if int(size):
        from pvserve.transfer import session

        session.Sender = Counted  # type: ignore[misc]
        threading.Thread(target=_kill_at, args=(int(size),), daemon=True).start()
    reach = Cluster.connect(namespace=namespace).reach(pod, namespace, volumes.CONTAINER)
    with tempfile.TemporaryDirectory() as cache:
        load(
            listing(Path(source)), reach, Target("model", "models"), via=via, cache=DigestCache(Path(cache) / "digests")
        )
    status = Path("/proc/self/status").read_text("ascii").splitlines()
    print(int(next(line for line in status if line.startswith("VmHWM")).split()[1]) << 10)


if __name__ == "__main__":
    _main(*sys.argv[1:])  # type: ignore[arg-type]
