"""The bed as a whole: up, down, status.

Owns the order in which things start and end. How each works is its own module's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bed import control_plane, network, node, pki, preflight, processes, services
from bed.build import binaries, build
from bed.errors import BedError
from bed.images import DEFAULT, ensure, reference
from bed.settings import (
    ADDRESS,
    DNS_HEALTH_PORT,
    KSERVE_WEBHOOK_PORT,
    NODE,
    ODH_WEBHOOK_PORT,
    PROXY_HEALTH_PORT,
    S3_PORT,
    Settings,
)
from bed.volumes import Volumes

EXTRAS = {"vllm": reference("vllm-cpu")}
EMULATORS = {
    "kserve-emulator": ("bed.kserve_emulator", KSERVE_WEBHOOK_PORT),
    "odh-webhook": ("bed.odh_webhook", ODH_WEBHOOK_PORT),
}
# In the order they start; the end is the other way round.
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "containerd",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "coredns",
    "versitygw",
    "provisioner",
    *EMULATORS,
)
Say = Callable[[str], None]


def up(bed: Settings, *, kserve: str, extras: tuple[str, ...], say: Say) -> None:
    """Brings everything up; what is up already stays. Raises BedError before anything starts where it cannot work."""
    preflight.check_machine()
    if not any(processes.pid(bed, name) for name in COMPONENTS):
        preflight.ensure_packages()
        preflight.check_disk(bed, built=(bed.cache / "bin").exists())
        preflight.check_ports()
        _clear_leftovers(bed)
    archives = _images(bed, extras, say)
    binary = binaries(bed, say)
    bed.home.mkdir(parents=True, exist_ok=True)
    bed.volumes.mkdir(parents=True, exist_ok=True)
    (bed.home / "volumes-dir").write_text(str(bed.volumes))
    (bed.home / "kserve").write_text(kserve)
    network.up(bed)
    here = node.Node()
    pki.make(bed.home / "pki", (here.name,))
    _write_kubeconfigs(bed, here)
    node.write_files(bed, here, binary)
    _start(bed, here, binary, archives, kserve)
    for what, good, component in _signs(bed, binary, kserve):
        control_plane.wait(bed, what, component, good)
        say(f"{what}")


def _images(bed: Settings, extras: tuple[str, ...], say: Say) -> dict[str, Path]:
    return ensure(bed.cache, [*DEFAULT, *(EXTRAS[name] for name in extras)], say)


def _write_kubeconfigs(bed: Settings, here: node.Node) -> None:
    control_plane.write_kubeconfig(bed, bed.kubeconfig, "admin")
    for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy", here.name):
        control_plane.write_kubeconfig(bed, bed.home / f"{user}.kubeconfig", user)


def _start(bed: Settings, here: node.Node, binary: dict[str, Path], archives: dict[str, Path], kserve: str) -> None:
    """Starts every component; containerd takes its images while the API server comes up."""
    on_node = node.commands(bed, here, binary)
    plane = control_plane.commands(bed, binary)
    processes.start(bed, "etcd", plane["etcd"])
    processes.start(bed, "kube-apiserver", plane["kube-apiserver"])
    path = f"{binary['containerd'].parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    processes.start(bed, "containerd", on_node["containerd"], {"PATH": path})
    with ThreadPoolExecutor(1) as pool:
        importing = pool.submit(_import_images, bed, binary, archives)
        control_plane.wait(bed, "the API server is ready", "kube-apiserver", lambda: _api_ready(bed, binary))
        for name in ("kube-controller-manager", "kube-scheduler"):
            processes.start(bed, name, plane[name])
        control_plane.apply(bed, binary, *services.objects())
        for name, (command, env) in services.commands(bed, binary).items():
            processes.start(bed, name, command, env)
        if kserve == "emulator":
            _start_emulators(bed)
        importing.result()
    for name in ("kubelet", "kube-proxy"):
        processes.start(bed, name, on_node[name], {"PATH": path})


def _start_emulators(bed: Settings) -> None:
    for name, (module, port) in EMULATORS.items():
        if processes.pid(bed, name):
            continue
        base = [sys.executable, "-m", module]
        where = ["--kubeconfig", str(bed.kubeconfig), "--state", str(bed.home / name)]
        listen = ["--webhook-host", ADDRESS, "--webhook-port", str(port)]
        done = subprocess.run([*base, "install", *where, *listen], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(f"{name} could not be installed: {done.stderr.strip()[-800:]}")
        processes.start(bed, name, [*base, "run", *where, *listen])


def _import_images(bed: Settings, binary: dict[str, Path], archives: dict[str, Path]) -> None:
    """Imports the archives that this containerd has not taken yet."""
    ctr = [str(binary["ctr"]), "--address", str(bed.containerd_socket), "--namespace", "k8s.io"]
    control_plane.wait(bed, "containerd answers", "containerd", lambda: _quiet([*ctr, "version"]))
    marks = bed.home / "images"
    marks.mkdir(exist_ok=True)
    for name, archive in archives.items():
        mark = marks / name.replace("/", "_").replace(":", "_")
        if mark.exists() and mark.read_text() == str(archive):
            continue
        done = subprocess.run([*ctr, "images", "import", str(archive)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(f"containerd refused image {name}: {done.stderr.strip()[-400:]}")
        mark.write_text(str(archive))


def _api_ready(bed: Settings, binary: dict[str, Path]) -> bool:
    return _quiet([str(binary["kubectl"]), "--kubeconfig", str(bed.kubeconfig), "get", "--raw", "/readyz"])


def _quiet(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _signs(bed: Settings, binary: dict[str, Path], kserve: str) -> Iterator[tuple[str, Callable[[], bool], str]]:
    """What must be seen before the bed is up: words, the check, and the component whose log tells why not."""

    def node_ready() -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        command = [
            str(binary["kubectl"]),
            "--kubeconfig",
            str(bed.kubeconfig),
            "get",
            "node",
            NODE,
            "-o",
            f"jsonpath={path}",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "True"

    yield "API server ready", lambda: _api_ready(bed, binary), "kube-apiserver"
    yield "node Ready", node_ready, "kubelet"
    yield "Services ready (kube-proxy)", lambda: _listens(ADDRESS, PROXY_HEALTH_PORT), "kube-proxy"
    yield "names ready (CoreDNS)", lambda: _listens("127.0.0.1", DNS_HEALTH_PORT), "coredns"
    yield "S3 ready (versitygw)", lambda: _listens(ADDRESS, S3_PORT), "versitygw"
    yield "storage ready", lambda: "ready" in (bed.home / "log" / "provisioner.log").read_text(), "provisioner"
    if kserve == "emulator":
        for name, (_, port) in EMULATORS.items():
            yield f"{name} ready", lambda port=port: _listens(ADDRESS, port), name  # type: ignore[misc]


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def status(bed: Settings) -> dict[str, object]:
    """What runs, and what a user of the bed needs to know. `ready` is True only if everything is."""
    running = {name: processes.pid(bed, name) for name in _expected(bed)}
    out: dict[str, object] = {"components": running, "ready": False, "kubeconfig": str(bed.kubeconfig)}
    if all(running.values()):
        binary = binaries(bed, lambda _text: None)
        kserve = _kserve(bed)
        out["signs"] = {what: good() for what, good, _ in _signs(bed, binary, kserve)}
        out["ready"] = all(out["signs"].values())
        out["kubectl"] = str(binary["kubectl"])
        access, secret = services.s3_keys(bed)
        out["s3"] = {
            "endpoint": services.S3_ENDPOINT,
            "accessKey": access,
            "secretKey": secret,
            "directory": str(bed.home / "s3"),
            "accessLog": str(services.s3_access_log(bed)),
        }
    return out


def _kserve(bed: Settings) -> str:
    file = bed.home / "kserve"
    return file.read_text() if file.exists() else "emulator"


def _expected(bed: Settings) -> list[str]:
    return [name for name in COMPONENTS if name not in EMULATORS or _kserve(bed) == "emulator"]


def down(bed: Settings, say: Say) -> None:
    """Ends everything and removes mounts, loop devices, interfaces and rules. Images and binaries stay in the cache."""
    preflight.check_machine()
    for name in reversed(COMPONENTS):
        if name in ("containerd", "etcd", "kube-apiserver"):
            continue
        processes.stop(bed, name)
    _end_containers(bed)
    for name in ("containerd", "kube-apiserver", "etcd"):
        processes.stop(bed, name)
    _clear_leftovers(bed)
    network.down(bed)
    for left in (
        "etcd",
        "kubelet",
        "containerd",
        "log",
        "pid",
        "images",
        "kserve-emulator",
        "odh-webhook",
        "s3",
        "cni",
    ):
        shutil.rmtree(bed.home / left, ignore_errors=True)
    volumes = Volumes(bed.volumes)
    for name in volumes.names():
        volumes.delete(name)
    shutil.rmtree(bed.volumes, ignore_errors=True)
    for file in ("volumes-dir", "kserve"):
        (bed.home / file).unlink(missing_ok=True)
    say("down")


def _end_containers(bed: Settings) -> None:
    """Ends every shim of the bed's containerd, found by the socket in its command line, and its container with it."""
    for shim in _shims(bed):
        children = _children(shim)
        for number in (*children, shim):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, 9)
    deadline = time.monotonic() + 10
    while _shims(bed) and time.monotonic() < deadline:
        time.sleep(0.05)


def _shims(bed: Settings) -> list[int]:
    socket_path = str(bed.containerd_socket).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().split(b"\0")
            if line[0].endswith(b"containerd-shim-runc-v2") and socket_path in line:
                found.append(int(entry.name))
    return found


def _children(number: int) -> list[int]:
    out: list[int] = []
    for task in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            out += [int(child) for child in task.read_text().split()]
    return [descendant for child in out for descendant in (*_children(child), child)]


def _clear_leftovers(bed: Settings) -> None:
    """Containers, mounts and cgroups of a bed that was killed: their pods would not come back with their sandboxes."""
    _end_containers(bed)
    for base in (bed.home, Path("/run/pvserve-bed")):
        points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        inside = [point for point in points if point.startswith(f"{base}/")]
        for point in sorted(inside, key=len, reverse=True):
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)
    if bed.volumes != bed.home / "volumes" and bed.volumes.exists():
        volumes = Volumes(bed.volumes)
        for name in volumes.names():
            volumes.unmount(name)
    _remove_cgroups()
    shutil.rmtree("/run/pvserve-bed", ignore_errors=True)


def _remove_cgroups() -> None:
    for top in Path("/sys/fs/cgroup").glob("**/kubepods"):
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def component(bed: Settings, action: str, name: str) -> None:
    """Stops or starts one component, for fault tests."""
    if name not in COMPONENTS:
        raise BedError(f"there is no component {name}", "one of: " + ", ".join(COMPONENTS))
    if action in ("stop", "restart"):
        processes.stop(bed, name)
    if action in ("start", "restart"):
        binary = binaries(bed, lambda _text: None)
        here = node.Node()
        path = f"{binary['containerd'].parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
        plain = {**control_plane.commands(bed, binary), **node.commands(bed, here, binary)}
        if name in plain:
            processes.start(bed, name, plain[name], {"PATH": path})
        elif name in EMULATORS:
            _start_emulators(bed)
        else:
            command, env = services.commands(bed, binary)[name]
            processes.start(bed, name, command, env)


def build_all(bed: Settings, extras: tuple[str, ...], say: Say) -> None:
    """Builds binaries and images into the cache, starts nothing."""
    preflight.check_machine()
    preflight.ensure_packages()
    preflight.check_disk(bed, built=(bed.cache / "bin").exists())
    build(bed, say)
    _images(bed, extras, say)


def status_text(state: dict[str, object]) -> str:
    """The status as lines."""
    components = state["components"]
    assert isinstance(components, dict)
    lines = [f"{name:26} {'pid ' + str(pid) if pid else 'not running'}" for name, pid in components.items()]
    signs = state.get("signs") or {}
    assert isinstance(signs, dict)
    lines += [f"{what:26} {'yes' if good else 'NO'}" for what, good in signs.items()]
    lines.append(f"kubeconfig                 {state['kubeconfig']}")
    return "\n".join(lines) + "\n"


def as_json(state: dict[str, object]) -> str:
    """The status as one JSON document."""
    return json.dumps(state, indent=2) + "\n"
