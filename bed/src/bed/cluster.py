"""The bed as a whole: up, down, one component.

Owns the order in which things start and end. How each works is its own module's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bed import (
    components,
    control_plane,
    leftovers,
    network,
    node,
    pki,
    preflight,
    processes,
    readiness,
    services,
    snapshots,
)
from bed.build import build, installed, remember
from bed.errors import BedError
from bed.images import DEFAULT, ImageError, ensure, reference
from bed.joining import import_images, join, leave
from bed.nodes import FIRST, KEPT, NODES, Node, nodes_of, remember_nodes
from bed.settings import Settings, settings
from bed.volumes import Volumes

EXTRAS = {"vllm": reference("vllm-cpu")}
FIRST_IMAGES = (node.PAUSE_IMAGE,)  # without which no pod starts
# What `down` removes of the bed's home; keys and kubeconfig stay, so that copies of the kubeconfig stay good.
LEFT = (
    *(f"{kept}{here.suffix}" for here in NODES for kept in KEPT),
    *("etcd", "s3", "registry", "log", "pid", "tmp", "volumes"),
    *components.EMULATORS,
    *("*.kubeconfig", "*.yaml", "*.toml", "*.json", "Corefile", "provisioner.ready", "volumes-dir", "kserve", "nodes"),
)
Say = Callable[[str], None]


def up(bed: Settings, *, kserve: str | None, nodes: int | None, extras: tuple[str, ...], say: Say) -> None:
    """Brings everything up; what is up already stays.

    `kserve` is "emulator", "none", or None for what this bed has (a new one: the emulator); `nodes` how many it is to
    have, or None for as many as it has (a new one: 1). Raises BedError, before anything starts where it cannot work.
    """
    preflight.check_machine()
    with processes.alone(bed, say):
        kserve = kserve or components.kserve_of(bed) or "emulator"
        _check_same(bed, kserve)
        before = nodes_of(bed) or (FIRST,)
        wanted = NODES[: nodes or len(before)]
        if any(processes.pid(bed, name) for name in components.COMPONENTS):
            preflight.check_nodes([here for here in wanted if here not in before])
        else:
            preflight.ensure_packages()
            preflight.check_room(bed, wanted, built=(bed.cache / "bin").exists())
            leftovers.clear(bed)
        binary, archives = _build(bed, extras, say)
        # A node that leaves counts until it is gone, so that whoever is killed meanwhile can say it again.
        _write_files(bed, max(wanted, before, key=len), binary, kserve)
        for here in wanted:
            network.up(bed, here)
        say("starting …")
        _start(bed, wanted, binary, archives)
        for here in before[len(wanted) :]:
            leave(bed, here, binary)
        remember_nodes(bed, len(wanted))
        for sign in readiness.signs(bed, binary["kubectl"]):
            processes.wait(bed, sign.what, sign.component, sign.seen)
            say(sign.what)


def _check_same(bed: Settings, kserve: str) -> None:
    """A bed that has run keeps its volumes' directory, and its webhooks cannot be taken away under its pods."""
    here = components.kserve_of(bed)
    if here and here != kserve:
        raise BedError(f"this bed was started with --kserve {here}, not {kserve}", "bed down, which ends all it holds")
    before = settings().volumes
    if here and before != bed.volumes:
        raise BedError(f"this bed's volumes are in {before}", "bed down, which ends all it holds")


def _build(bed: Settings, extras: tuple[str, ...], say: Say) -> tuple[dict[str, Path], dict[str, Path]]:
    """Binaries and image archives by name: compiling takes the processors, making images mostly waits for downloads."""
    wanted = [*DEFAULT, *(EXTRAS[name] for name in extras)]
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(ensure, bed.cache, wanted, say)
        binary = build(bed, say)
        try:
            return binary, making.result()
        except ImageError as error:
            raise BedError(str(error), "bed build") from error


def _write_files(bed: Settings, nodes: tuple[Node, ...], binary: dict[str, Path], kserve: str) -> None:
    bed.volumes.mkdir(parents=True, exist_ok=True)
    (bed.home / "volumes-dir").write_text(str(bed.volumes))
    (bed.home / "kserve").write_text(kserve)
    remember_nodes(bed, len(nodes))
    remember(bed, binary)
    names = tuple(here.name for here in nodes)
    pki.make(bed.home / "pki", names)
    control_plane.write_kubeconfig(bed, bed.kubeconfig, "admin")
    for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy", *names):
        control_plane.write_kubeconfig(bed, bed.home / f"{user}.kubeconfig", user)
    for here in nodes:
        node.write_files(bed, here, binary)
    node.write_proxy(bed)


def _start(bed: Settings, nodes: tuple[Node, ...], binary: dict[str, Path], archives: dict[str, Path]) -> None:
    """Starts every component; containerd takes its images while the others come up."""
    Volumes(bed.volumes).mount_all()
    first, *further = nodes
    for name in ("etcd", "kube-apiserver", first.components[0]):
        components.start(bed, name, binary)
    with ThreadPoolExecutor(4) as pool:
        needed = pool.submit(import_images, bed, first, binary, {name: archives[name] for name in FIRST_IMAGES})
        processes.wait(bed, "API server ready", "kube-apiserver", lambda: readiness.api_ready(bed, binary["kubectl"]))
        control_plane.apply(bed, binary, *services.objects(), *snapshots.definitions())
        needed.result()
        for item in snapshots.definitions():
            control_plane.kubectl(bed, binary, "wait", "--for=condition=Established", f"crd/{item['metadata']['name']}")
        control_plane.apply(bed, binary, *snapshots.classes())
        running = [pool.submit(import_images, bed, first, binary, archives)]
        running += [pool.submit(join, bed, here, binary, archives) for here in further]
        others = {name for here in NODES[1:] for name in here.components}
        for name in components.expected(bed):
            if name in components.EMULATORS:
                running.append(pool.submit(components.start, bed, name, binary))
            elif name not in others:
                components.start(bed, name, binary)
        for part in running:
            part.result()


def down(bed: Settings, say: Say) -> None:
    """Ends everything and removes the cluster with its volumes. What is cached stays, keys and kubeconfig too."""
    preflight.check_machine()
    with processes.alone(bed, say):
        for name in reversed(components.COMPONENTS):
            processes.stop(bed, name)
        leftovers.clear(bed)
        network.down(bed)
        shutil.rmtree(bed.volumes, ignore_errors=True)
        for path in [path for pattern in LEFT for path in bed.home.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    say("down")


def component(bed: Settings, action: str, name: str, say: Say) -> None:
    """Stops, starts or restarts one component, for fault tests. Raises BedError."""
    preflight.check_machine()
    with processes.alone(bed, say):
        if action in ("stop", "restart"):
            processes.stop(bed, name)
        if action in ("start", "restart"):
            components.start(bed, name, installed(bed))


def build_all(bed: Settings, extras: tuple[str, ...], say: Say) -> None:
    """Builds binaries and images into the cache, starts nothing."""
    preflight.check_machine()
    preflight.ensure_packages()
    preflight.check_disk(bed, built=(bed.cache / "bin").exists())
    _build(bed, extras, say)
