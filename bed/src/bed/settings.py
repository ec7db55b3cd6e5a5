"""Where the bed keeps things, and the addresses and ports it uses.

Owns these constants only. Nothing else on the machine is touched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BRIDGE = "bed0"
ADDRESS = "10.244.0.1"  # of the bridge: the API server, S3 and the webhooks listen here, where pods can reach them
POD_SUBNET = "10.244.0.0/24"
SERVICE_SUBNET = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
DOMAIN = "cluster.local"

API_PORT = 6443
ETCD_PORT = 23790
ETCD_PEER_PORT = 23800
KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
SECOND_KUBELET_HEALTH_PORT = 10258
CONTROLLER_PORT = 10257
SCHEDULER_PORT = 10259
PROXY_HEALTH_PORT = 10256
PROXY_METRICS_PORT = 10249
DNS_PORT = 10053
DNS_READY_PORT = 10054
S3_PORT = 7070
REGISTRY_PORT = 5000
KSERVE_WEBHOOK_PORT = 19443
ODH_WEBHOOK_PORT = 19444
SCC_WEBHOOK_PORT = 19445

PORTS = {
    "kube-apiserver": (ADDRESS, API_PORT),
    "etcd": ("127.0.0.1", ETCD_PORT),
    "etcd peers": ("127.0.0.1", ETCD_PEER_PORT),
    "kube-controller-manager": ("127.0.0.1", CONTROLLER_PORT),
    "kube-scheduler": ("127.0.0.1", SCHEDULER_PORT),
    "kube-proxy health": (ADDRESS, PROXY_HEALTH_PORT),
    "kube-proxy metrics": ("127.0.0.1", PROXY_METRICS_PORT),
    "coredns": (ADDRESS, DNS_PORT),
    "coredns readiness": ("127.0.0.1", DNS_READY_PORT),
    "versitygw": (ADDRESS, S3_PORT),
    "registry": (ADDRESS, REGISTRY_PORT),
    "kserve-emulator": (ADDRESS, KSERVE_WEBHOOK_PORT),
    "odh-webhook": (ADDRESS, ODH_WEBHOOK_PORT),
    "scc-webhook": (ADDRESS, SCC_WEBHOOK_PORT),
}

NODE = "node1"
SYSTEM_NAMESPACE = "bed-system"
RUN = Path(
    "/run/pvserve-bed"
)  # what does not outlive a reboot; short, since a socket's path has 107 characters at most


@dataclass(frozen=True)
class Settings:
    """The directories of one bed."""

    home: Path
    cache: Path
    volumes: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.home / "kubeconfig"


def settings(volumes: str | None = None) -> Settings:
    """From BED_HOME, BED_CACHE and `--volumes-dir`; without the last, where this bed's volumes are already."""
    home = Path(os.environ.get("BED_HOME", "/var/lib/pvserve-bed"))
    cache = Path(os.environ.get("BED_CACHE", "/var/cache/pvserve-bed"))
    kept = home / "volumes-dir"
    if volumes:
        # A directory of the bed's own inside, since `bed down` removes it.
        return Settings(home, cache, Path(volumes).absolute() / "pvserve-bed")
    return Settings(home, cache, Path(kept.read_text()) if kept.exists() else home / "volumes")
