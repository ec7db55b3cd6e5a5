"""A load that is struck at a known moment, and what lies on the claim afterwards, read by nobody of pvserve's.

The moment is one of the load's own progress lines, at which the process is stopped: the fault is then made at leisure,
and strikes between two bytes however fast the machine is.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pvserve.cluster import Cluster
from pvserve.facts import Object, annotations_of, name

from .offers import image, until
from .ui_service import Ran, make

MIB = 1 << 20
SHARE = 0.6  # of the bytes: what is lost here is more than may be sent again
LARGE = (200 * MIB + 4321, 90 * MIB)
SMALL = 20
# What may be sent again: 64 MiB that are written and not yet durable, and a part of 32 MiB for each of two streams.
AGAIN = 128 * MIB


def model(directory: Path) -> Path:
    """About 290 MiB in two large and some small files, the same on every run."""
    rng = random.Random(7)
    directory.mkdir(parents=True)
    for number, size in enumerate(LARGE):
        block = rng.randbytes(4 * MIB)
        with (directory / f"weights-{number}.bin").open("wb") as file:
            for start in range(0, size, len(block)):
                file.write((start.to_bytes(8, "big") + block[8:])[: size - start])
    for number in range(SMALL):
        (directory / f"config {number}.json").write_bytes(rng.randbytes(number * 700))
    return directory


def total(directory: Path) -> int:
    """Bytes of a model directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def sums(directory: Path) -> dict[str, str]:
    """sha256 by name."""
    found = {}
    for path in directory.rglob("*"):
        with path.open("rb") as file:
            found[str(path.relative_to(directory))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


class Struck:
    """A running `pvserve load`, stopped (SIGSTOP) as soon as `share` of the bytes is durable."""

    def __init__(
        self, *args: str | os.PathLike[str], share: float = SHARE, before: Sequence[str] = (), **env: str
    ) -> None:
        command = [*before, sys.executable, "-m", "pvserve.cli.main", *map(os.fspath, args), "-o", "json"]
        self._share = share
        self._lines: list[str] = []
        self._stopped, self._over = threading.Event(), threading.Event()
        self.durable = 0  # bytes that were acknowledged when it was stopped
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **env},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            if not self._stopped.is_set():
                self._look(json.loads(line))
        self._over.set()

    def _look(self, line: dict[str, Any]) -> None:
        if line.get("phase") == "send" and line["bytes_done"] >= self._share * line["bytes_total"]:
            self.process.send_signal(signal.SIGSTOP)
            self.durable = line["bytes_done"]
            self._stopped.set()

    def stopped(self, seconds: float = 60) -> int:
        """Waits until it is stopped in the middle; the bytes that are durable. Fails where it ended before."""
        until("the load is in the middle", lambda: self._stopped.is_set() or self._over.is_set(), seconds, every=0.02)
        assert self._stopped.is_set(), f"it ended before: {self.ended().explained()}"
        return self.durable

    def signal(self, number: int) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def go_on(self) -> None:
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def said(self, text: str) -> bool:
        """Whether a line holds `text`."""
        return any(text in line for line in list(self._lines))

    def ended(self, seconds: float = 120) -> Ran:
        """Waits for its end."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        try:
            self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._reader.join(10)
            self.process.stdout.close()
            with self.process.stderr as stderr:
                said = stderr.read()
        return Ran(self.process.returncode, "".join(self._lines), said)


def loader(cluster: Cluster) -> Object:
    """The one loader pod."""
    [found] = [pod for pod in cluster.list("v1", "Pod", cluster.namespace) if name(pod).startswith("pvserve-load")]
    return found


def in_loader(cluster: Cluster, *argv: str, seconds: float = 30) -> str:
    """Runs a command in the loader pod; its output, whatever its end."""
    done = cluster.run(name(loader(cluster)), cluster.namespace, "pvserve", argv, timeout=seconds)
    return (done.out + done.err).decode("utf-8", "replace")


def claim(cluster: Cluster, claim_name: str, size: str, storage_class: str | None = None) -> None:
    """A claim of the default class, or of another."""
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    make(
        cluster,
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim_name}, "spec": spec},
    )


def on_claim(cluster: Cluster, claim_name: str, script: str, seconds: float = 90) -> str:
    """Runs a shell script in a pod of its own that mounts the claim at /claim; its output. Fails where it fails."""
    pod_name = f"other-{uuid.uuid4().hex[:6]}"
    ranges = annotations_of(cluster.get("v1", "Namespace", cluster.namespace))
    identity = {} if "openshift.io/sa.scc.uid-range" in ranges else {"runAsUser": 1000, "fsGroup": 1000}
    container = {
        "name": "sh",
        "image": image("busybox"),
        "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **identity},
        "containers": [container],
        "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim_name}}],
    }
    make(cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod_name}, "spec": spec})

    def ended() -> str:
        phase = str((cluster.get("v1", "Pod", pod_name, cluster.namespace).get("status") or {}).get("phase"))
        return phase if phase in ("Succeeded", "Failed") else ""

    phase = until("the other pod has ended", ended, seconds)
    said = cluster.logs(pod_name, cluster.namespace, "sh", tail=10_000)
    cluster.delete("v1", "Pod", pod_name, cluster.namespace, grace_seconds=0)
    assert phase == "Succeeded", said
    return said


def check_whole(cluster: Cluster, claim_name: str, path: str, source: Path) -> None:
    """The path holds the source's files and no others, and nothing half-done lies on the claim."""
    lines = on_claim(
        cluster, claim_name, f"cd '/claim/{path}' && find . -type f -exec sha256sum {{}} + ; ls /claim/.pvserve/partial"
    )
    there = {line[66:].removeprefix("./"): line[:64] for line in lines.splitlines()}
    assert there == sums(source)


def check_not_sent_again(ran: Ran, source: Path, durable: int = 0) -> None:
    """`durable` bytes need not be sent by this load, beyond what may be lost on the way."""
    sent = ran.lines[-1]["sent"]
    assert sent <= total(source) - durable + AGAIN, f"{sent} bytes sent of {total(source)}, {durable} were there"
