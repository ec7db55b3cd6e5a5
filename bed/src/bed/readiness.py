"""Whether the bed works: what runs, and a sign of life from each part.

Owns `status`. Starts and changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed import processes, services
from bed.build import installed
from bed.components import EMULATORS, expected
from bed.nodes import Node, nodes_of
from bed.settings import ADDRESS, DNS_READY_PORT, PROXY_HEALTH_PORT, REGISTRY_PORT, S3_PORT, Settings


@dataclass(frozen=True)
class Sign:
    """What must be seen, how to see it, and the component whose log tells why not."""

    what: str
    seen: Callable[[], bool]
    component: str


def signs(bed: Settings, kubectl: Path) -> list[Sign]:
    """What must be seen before the bed is up."""
    out = [
        Sign("API server ready", lambda: api_ready(bed, kubectl), "kube-apiserver"),
        *(_ready(bed, here, kubectl) for here in nodes_of(bed)),
        Sign("Services ready (kube-proxy)", lambda: _answers(ADDRESS, PROXY_HEALTH_PORT, "/healthz"), "kube-proxy"),
        Sign("names ready (CoreDNS)", lambda: _answers("127.0.0.1", DNS_READY_PORT, "/ready"), "coredns"),
        Sign("S3 ready (versitygw)", lambda: _listens(ADDRESS, S3_PORT), "versitygw"),
        Sign("registry ready", lambda: _listens(ADDRESS, REGISTRY_PORT), "registry"),
        Sign("storage ready", lambda: _provisions(bed), "provisioner"),
    ]
    for name in expected(bed):
        if name in EMULATORS:
            port = EMULATORS[name].port
            out.append(Sign(f"{name} ready", lambda port=port: _listens(ADDRESS, port), name))  # type: ignore[misc]
    return out


def status(bed: Settings) -> dict[str, Any]:
    """What runs, and what a user of the bed needs to know. `ready` is True only if everything is."""
    running = {name: processes.pid(bed, name) for name in expected(bed)}
    out: dict[str, Any] = {"ready": False, "kubeconfig": str(bed.kubeconfig), "components": running, "signs": {}}
    if not any(running.values()):
        return out
    kubectl = installed(bed)["kubectl"]
    out["signs"] = {sign.what: sign.seen() for sign in signs(bed, kubectl)}
    out["ready"] = all(running.values()) and all(out["signs"].values())
    access, secret = services.s3_keys(bed)
    return out | {
        "kubectl": str(kubectl),
        "s3": {
            "endpoint": services.S3_ENDPOINT,
            "machineEndpoint": f"http://{ADDRESS}:{S3_PORT}",
            "accessKey": access,
            "secretKey": secret,
            "directory": str(bed.home / "s3"),
            "accessLog": str(services.s3_access_log(bed)),
        },
    }


def status_text(state: dict[str, Any]) -> str:
    """The status as lines."""
    lines = [f"{name:28} {f'pid {pid}' if pid else 'not running'}" for name, pid in state["components"].items()]
    lines += [f"{what:28} {'yes' if good else 'NO'}" for what, good in state["signs"].items()]
    lines.append(f"{'kubeconfig':28} {state['kubeconfig']}")
    lines.append(f"{'everything ready':28} {'yes' if state['ready'] else 'NO'}")
    return "\n".join(lines)


def status_json(state: dict[str, Any]) -> str:
    """The status as one JSON document."""
    return json.dumps(state, indent=2)


def api_ready(bed: Settings, kubectl: Path) -> bool:
    """Whether the API server says so itself."""
    return _kubectl(bed, kubectl, "get", "--raw", "/readyz") == "ok"


def _ready(bed: Settings, here: Node, kubectl: Path) -> Sign:
    what = f"node {here.name} Ready" if here.suffix else "node Ready"
    return Sign(what, lambda: _node_ready(bed, here, kubectl), here.components[1])


def _node_ready(bed: Settings, here: Node, kubectl: Path) -> bool:
    path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    return _kubectl(bed, kubectl, "get", "node", here.name, "-o", path) == "True"


def _provisions(bed: Settings) -> bool:
    file = services.provisioner_ready(bed)
    return file.exists() and file.read_text() == str(processes.pid(bed, "provisioner"))


def _kubectl(bed: Settings, kubectl: Path, *args: str) -> str:
    command = [str(kubectl), "--kubeconfig", str(bed.kubeconfig), "--request-timeout=5s", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _listens(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False


def _answers(address: str, port: int, path: str) -> bool:
    url = f"http://{address}:{port}{path}"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False
