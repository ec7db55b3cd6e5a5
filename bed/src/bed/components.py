"""Which components a bed has, and the one way each is started.

Owns their names and order. What their commands are is their own modules'.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bed import control_plane, node, processes, services
from bed.errors import BedError
from bed.nodes import FIRST, SECOND, nodes_of
from bed.settings import ADDRESS, KSERVE_WEBHOOK_PORT, ODH_WEBHOOK_PORT, SCC_WEBHOOK_PORT, Settings


@dataclass(frozen=True)
class Emulator:
    """A stand-in that serves webhooks: its package and port, and whether `--kserve none` leaves it out."""

    package: str
    port: int
    of_kserve: bool


EMULATORS = {
    "kserve-emulator": Emulator("bed.kserve_emulator", KSERVE_WEBHOOK_PORT, of_kserve=True),
    "odh-webhook": Emulator("bed.odh_webhook", ODH_WEBHOOK_PORT, of_kserve=True),
    "scc-webhook": Emulator("bed.scc_webhook", SCC_WEBHOOK_PORT, of_kserve=False),
}
# In the order they start; they end the other way round.
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    FIRST.components[0],
    "kube-controller-manager",
    "kube-scheduler",
    FIRST.components[1],
    *SECOND.components,
    "kube-proxy",
    "coredns",
    "versitygw",
    "registry",
    "provisioner",
    *EMULATORS,
)


def kserve_of(bed: Settings) -> str:
    """What this bed was started with: "emulator", "none", or "" for a bed that is down."""
    file = bed.home / "kserve"
    return file.read_text() if file.exists() else ""


def expected(bed: Settings) -> list[str]:
    """The components that this bed has."""
    left_out = set(SECOND.components) if SECOND not in nodes_of(bed) else set()
    if kserve_of(bed) != "emulator":
        left_out |= {name for name, emulator in EMULATORS.items() if emulator.of_kserve}
    return [name for name in COMPONENTS if name not in left_out]


def start(bed: Settings, name: str, binary: dict[str, Path]) -> None:
    """Starts one component unless it runs. Raises BedError."""
    if processes.pid(bed, name):
        return
    if name not in expected(bed):
        raise BedError(f"this bed has no {name}", "bed status")
    if name in EMULATORS:
        _start_emulator(bed, name)
        return
    commands = {**control_plane.commands(bed, binary), "kube-proxy": node.proxy_command(bed, binary)}
    for here in nodes_of(bed):
        commands |= node.commands(bed, here, binary)
    if name in commands:
        processes.start(bed, name, commands[name], node.environment(binary))
    else:
        command, env = services.commands(bed, binary)[name]
        processes.start(bed, name, command, env)


def _start_emulator(bed: Settings, name: str) -> None:
    emulator = EMULATORS[name]
    base = [sys.executable, "-P", "-m", emulator.package]
    options = ["--kubeconfig", str(bed.kubeconfig), "--state", str(bed.home / name)]
    options += ["--webhook-host", ADDRESS, "--webhook-port", str(emulator.port)]
    done = subprocess.run([*base, "install", *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(f"{name} could not be installed: {done.stderr.strip()[-800:]}", "bed status")
    processes.start(bed, name, [*base, "run", *options])
