"""Packets to a pod's address are dropped, as by a NetworkPolicy: neither this machine nor the API server reaches it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bed.settings import settings
from pvserve.cluster import Cluster
from pvserve.events import Note
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, load

from .kubectl import Kubectl, until

pytestmark = pytest.mark.bed
MOUNT = "/tmp/claim"  # a directory does for a claim here
SECONDS = 15  # two drops of 2 s each, and two listeners started for nothing


@contextmanager
def dropped(address: str) -> Iterator[None]:
    rule = ["OUTPUT", "-d", address, "-p", "tcp", "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def test_pod_and_proxy_cost_seconds_and_are_said(kubectl: Kubectl, tmp_path: Path) -> None:
    cluster = Cluster.connect(kubeconfig=str(settings().kubeconfig), namespace=kubectl.namespace)
    container = {
        "name": "main",
        "image": cluster.storage_initializer_image(),
        "command": ["sh", "-c", f"mkdir {MOUNT}; sleep 600"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "loader"}, "spec": spec})
    until("the pod runs", lambda: kubectl.get("pod", "loader")["status"]["phase"] == "Running")
    reach = cluster.reach("loader", kubectl.namespace, "main")
    source = tmp_path / "model"
    source.mkdir()
    (source / "weights.bin").write_bytes(bytes(1 << 20))
    notes: list[str] = []
    assert reach.address is not None
    with dropped(reach.address):
        began = time.monotonic()
        done = load(
            listing(source),
            reach,
            Target("granite", "none", MOUNT),
            cache=DigestCache(tmp_path / "digests"),
            listen=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
        assert time.monotonic() - began < SECONDS
    assert done.channel == "port-forward"
    [note] = notes
    assert "pod: timed out" in note
    assert "proxy: " in note
    assert "no answer to the upgrade request" in note
