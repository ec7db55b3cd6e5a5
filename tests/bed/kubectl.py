"""kubectl as the bed's tests use it: the administrator's, and nothing cached."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bed.build import installed
from bed.settings import settings


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace."""

    namespace: str

    def __call__(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        bed = settings()
        kubectl = installed(bed)["kubectl"]
        command = [str(kubectl), "--kubeconfig", str(bed.kubeconfig), "-n", self.namespace, *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(args)}: {done.stderr}")
        return done.stdout + ("" if check else done.stderr)

    def apply(self, *objects: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        out: dict[str, Any] = json.loads(self("get", kind, name, "-o", "json"))
        return out


def until(what: str, good: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until `good()`; fails naming what did not happen."""
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)


def claim(name: str, size: str, storage_class: str = "gp3-csi", mode: str = "ReadWriteOnce") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": [mode],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
        },
    }


def pod(name: str, claims: dict[str, str], uid: int = 1000770000) -> dict[str, Any]:
    """A restricted pod that idles, with claims at /CLAIM."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "securityContext": {
                "runAsUser": uid,
                "fsGroup": uid,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": "bed.local/busybox:1",
                    "command": ["sh", "-c", "trap 'exit 0' TERM; echo started; while :; do sleep 1; done"],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in claims],
                }
            ],
            "volumes": [
                {"name": volume, "persistentVolumeClaim": {"claimName": name}} for volume, name in claims.items()
            ],
        },
    }
