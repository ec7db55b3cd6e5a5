"""The bed comes up again whatever happened to it, and leaves nothing on the machine when it goes.

These tests kill the bed and take it down: what others keep on it is lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed import components, processes
from bed.nodes import NODES
from bed.settings import RUN, settings

from .kubectl import Kubectl, claim, pod, until

pytestmark = pytest.mark.bed
OURS = {"default", "kserve", "bed-system"}


@pytest.fixture(scope="module", autouse=True)
def nobody_else_uses_it(bed_is_up: None) -> None:
    if os.environ.get("PVSERVE_REQUIRE") == "bed":
        return
    names = Kubectl("default")("get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}").split()
    others = [name for name in names if name not in OURS and not name.startswith(("kube-", "bed-test-"))]
    if others:
        pytest.skip(f"would end what is in {', '.join(others)}: make test-bed")


def bed(*args: str) -> float:
    """Runs the command; the seconds it took."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "bed.cli", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def pids() -> dict[str, int]:
    return {name: processes.pid(settings(), name) for name in components.expected(settings())}


def in_pods() -> list[int]:
    """Processes that the kernel counts to a pod."""
    out = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and "/kubepods/" in (entry / "cgroup").read_text():
                out.append(int(entry.name))
    return out


def shims() -> list[int]:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    sockets = [f"-address {node.socket}" for node in NODES]
    return [int(line.split()[0]) for line in listing.splitlines() if any(socket in line for socket in sockets)]


def kill_everything() -> None:
    for number in (*pids().values(), *shims(), *in_pods()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    until("all are dead", lambda: not any(pids().values()) and not in_pods())


def volume_with_data(kubectl: Kubectl) -> None:
    """Pods that write on a claim of either class, and are seen to answer at a Service's name."""
    kubectl.apply(claim("block", "64Mi"), claim("shared", "64Mi", "nfs-rwx", "ReadWriteMany"))
    kubectl.apply(pod("keeper", {"block": "block", "shared": "shared"}))
    until("the pod runs", lambda: kubectl.get("pod", "keeper")["status"]["phase"] == "Running")
    kubectl("exec", "keeper", "--", "sh", "-c", "echo kept > /block/x; echo kept > /shared/x; sync")


def data_is_there(kubectl: Kubectl) -> bool:
    return kubectl("exec", "keeper", "--", "cat", "/block/x", "/shared/x", check=False) == "kept\nkept\n"


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else, which the kernel has given a pid that the bed used before."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_up_again_starts_nothing() -> None:
    before = pids()
    assert bed("up") < 10
    assert pids() == before


def test_up_brings_back_what_was_killed_and_pods_do_not_notice(kubectl: Kubectl) -> None:
    volume_with_data(kubectl)
    for name in ("kubelet", "containerd", "provisioner", "kube-apiserver"):
        os.kill(pids()[name], signal.SIGKILL)
    bed("up")
    until("it answers", lambda: data_is_there(kubectl))
    assert kubectl.get("pod", "keeper")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_second_node_joins_and_the_first_does_not_notice(kubectl: Kubectl) -> None:
    volume_with_data(kubectl)
    before = pids()
    assert bed("up", "--nodes", "2") < 60
    assert {name: pid for name, pid in pids().items() if name in before} == before
    assert kubectl.get("pod", "keeper")["status"]["containerStatuses"][0]["restartCount"] == 0
    assert data_is_there(kubectl)
    assert bed("up") < 10, "a bed keeps its nodes"
    assert both_ready(kubectl)


def both_ready(kubectl: Kubectl) -> bool:
    path = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
    return kubectl("get", "nodes", "-o", f"jsonpath={path}").split() == ["node1=True", "node2=True"]


def test_up_after_kill_9_of_everything(kubectl: Kubectl) -> None:
    volume_with_data(kubectl)
    kill_everything()
    assert bed("up") < 60
    until("the pod runs again, with its data", lambda: data_is_there(kubectl))
    until("both nodes are ready", lambda: both_ready(kubectl))


def test_up_after_a_reboot(kubectl: Kubectl, bystander: subprocess.Popen[bytes]) -> None:
    volume_with_data(kubectl)
    kill_everything()
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        point = line.split()[1]
        if point.startswith((f"{RUN}/", f"{settings().home}/", f"{settings().volumes}/")):
            subprocess.run(["umount", "-l", point], check=True)
    shutil.rmtree(RUN)
    for node in NODES:
        subprocess.run(["ip", "link", "delete", node.bridge], check=True)
    for file in (settings().home / "pid").iterdir():
        file.write_text(f"{bystander.pid} 1234@another-boot")
    assert bed("up") < 60
    until("the pod runs again, with its data", lambda: data_is_there(kubectl))
    assert bystander.poll() is None


def test_down_leaves_nothing(kubectl: Kubectl) -> None:
    bed("up", "--nodes", "2")
    volume_with_data(kubectl)
    home, volumes, numbers = settings().home, settings().volumes, [*pids().values(), *shims(), *in_pods()]
    kserve = components.kserve_of(settings())
    try:
        assert bed("down") < 60
        assert [number for number in numbers if Path(f"/proc/{number}").exists()] == []
        assert shims() == in_pods() == []
        assert not any(str(base) in Path("/proc/mounts").read_text() for base in (home, volumes, RUN))
        assert str(volumes) not in subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
        links = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
        assert not any(node.bridge in links for node in NODES)
        for tool in ("iptables-save", "ip6tables-save"):
            rules = subprocess.run([tool], capture_output=True, text=True, check=True).stdout
            assert "KUBE" not in rules
            assert "10.244." not in rules
        for name in ("kubepods", *(node.cgroup for node in NODES if node.cgroup)):
            assert list(Path("/sys/fs/cgroup").glob(f"*/{name}")) == []
            assert not Path("/sys/fs/cgroup", name).exists()
        assert not RUN.exists()
        assert not volumes.exists()
        assert sorted(path.name for path in home.iterdir()) == ["kubeconfig", "lock", "pki", "s3.keys"]
        bed("down")  # once more is no error
    finally:
        bed("up", "--kserve", kserve)
