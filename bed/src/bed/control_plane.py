"""etcd, API server, controller manager, scheduler: how each is started.

Owns their flags. Everything listens on the bed's bridge or on loopback.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import yaml

from bed.errors import BedError
from bed.settings import (
    ADDRESS,
    API_PORT,
    CONTROLLER_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    SCHEDULER_PORT,
    SERVICE_SUBNET,
    Settings,
)

URL = f"https://{ADDRESS}:{API_PORT}"


def write_kubeconfig(bed: Settings, file: Path, user: str) -> None:
    """A kubeconfig with everything inside, so that it can be copied."""
    pki = bed.home / "pki"

    def inline(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bed", "cluster": {"server": URL, "certificate-authority-data": inline("ca.crt")}}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": inline(f"{user}.crt"),
                    "client-key-data": inline(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user, "namespace": "default"}}],
        "current-context": "bed",
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))


def commands(bed: Settings, binary: dict[str, Path]) -> dict[str, list[str | Path]]:
    """The command of each component, in the order they are started."""
    pki = bed.home / "pki"
    etcd = f"http://127.0.0.1:{ETCD_PORT}"
    peers = f"http://127.0.0.1:{ETCD_PEER_PORT}"
    account = pki / "service-account.key"
    return {
        "etcd": [
            binary["etcd"],
            f"--data-dir={bed.home / 'etcd'}",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # a test bed: what a power cut takes, `bed up` makes again
        ],
        "kube-apiserver": [
            binary["kube-apiserver"],
            f"--etcd-servers={etcd}",
            f"--bind-address={ADDRESS}",
            f"--advertise-address={ADDRESS}",
            f"--secure-port={API_PORT}",
            f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
            f"--tls-private-key-file={pki / 'kube-apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            f"--service-account-key-file={account}",
            f"--service-account-signing-key-file={account}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            "--allow-privileged=true",
            # Off by default in 1.34; with it a test can change objects at admission without a server of its own.
            "--feature-gates=MutatingAdmissionPolicy=true",
            "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
            "--v=1",
        ],
        "kube-controller-manager": [
            binary["kube-controller-manager"],
            f"--kubeconfig={bed.home / 'kube-controller-manager.kubeconfig'}",
            f"--service-account-private-key-file={account}",
            f"--root-ca-file={pki / 'ca.crt'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--allocate-node-cidrs=false",
            "--pvclaimbinder-sync-period=2s",
            "--bind-address=127.0.0.1",
            f"--secure-port={CONTROLLER_PORT}",
        ],
        "kube-scheduler": [
            binary["kube-scheduler"],
            f"--kubeconfig={bed.home / 'kube-scheduler.kubeconfig'}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={SCHEDULER_PORT}",
        ],
    }


def kubectl(bed: Settings, binary: dict[str, Path], *args: str, stdin: str | None = None) -> str:
    """Runs kubectl as administrator. Raises BedError with its message."""
    command = [str(binary["kubectl"]), "--kubeconfig", str(bed.kubeconfig), *args]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout


def apply(bed: Settings, binary: dict[str, Path], *objects: dict[str, object]) -> None:
    """Server-side applies objects."""
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    kubectl(bed, binary, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=items)
