"""One node: containerd, kubelet, kube-proxy.

Owns their configuration. A second node would be a second value of `Node` with an address, bridge and roots of its own.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from bed.settings import (
    ADDRESS,
    BRIDGE,
    DNS_SERVICE,
    DOMAIN,
    KUBELET_HEALTH_PORT,
    KUBELET_PORT,
    NODE,
    POD_SUBNET,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
    RUN,
    Settings,
)

PAUSE_IMAGE = "bed.local/pause:1"


@dataclass(frozen=True)
class Node:
    """What tells one node from another."""

    name: str = NODE
    address: str = ADDRESS
    bridge: str = BRIDGE
    pod_subnet: str = POD_SUBNET


def write_files(bed: Settings, node: Node, binary: dict[str, Path]) -> None:
    """Writes the configuration of containerd, CNI, kubelet and kube-proxy."""
    bed.containerd_socket.parent.mkdir(parents=True, exist_ok=True)
    cni = bed.home / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "10-bed.conflist").write_text(json.dumps(_cni(node)))
    (bed.home / "containerd.toml").write_text(_containerd(bed, binary, cni))
    (bed.home / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(bed, node)))
    proxy = bed.home / "kube-proxy.yaml"
    text = yaml.safe_dump(_proxy(bed, node))
    if not proxy.exists() or proxy.read_text() != text:  # kube-proxy ends whenever its file is written
        proxy.write_text(text)


def commands(bed: Settings, node: Node, binary: dict[str, Path]) -> dict[str, list[str | Path]]:
    """The command of each component, in the order they are started."""
    return {
        "containerd": [binary["containerd"], "--config", bed.home / "containerd.toml"],
        "kubelet": [
            binary["kubelet"],
            f"--kubeconfig={bed.home / node.name}.kubeconfig",
            f"--config={bed.home / 'kubelet.yaml'}",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--root-dir={bed.home / 'kubelet'}",
            f"--cert-dir={bed.home / 'kubelet' / 'pki'}",
        ],
        "kube-proxy": [
            binary["kube-proxy"],
            f"--config={bed.home / 'kube-proxy.yaml'}",
            f"--hostname-override={node.name}",
        ],
    }


def environment(binary: dict[str, Path]) -> dict[str, str]:
    """What the components look programs up by: containerd its shim, kubelet and kube-proxy those of Debian."""
    return {"PATH": f"{binary['containerd'].parent}:{os.environ['PATH']}:/usr/sbin:/sbin"}


def _cni(node: Node) -> dict[str, object]:
    ranges = [[{"subnet": node.pod_subnet, "gateway": node.address}]]
    bridge = {
        "type": "bridge",
        "bridge": node.bridge,
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": ranges,
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(RUN / "cni"),
        },
    }
    return {"cniVersion": "1.0.0", "name": "bed", "plugins": [bridge]}


def _containerd(bed: Settings, binary: dict[str, Path], cni: Path) -> str:
    """Version 3 of containerd's configuration. `restrict_oom_score_adj`: this machine may lack CAP_SYS_RESOURCE."""
    return f"""version = 3
root = "{bed.home}/containerd"
state = "{RUN}/containerd"
[grpc]
  address = "{bed.containerd_socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{binary["bridge"].parent}"]
    conf_dir = "{cni}"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    runtime_path = "{binary["containerd-shim-runc-v2"]}"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "{shutil.which("runc", path=environment(binary)["PATH"])}"
"""


def _kubelet(bed: Settings, node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address,
        "port": KUBELET_PORT,
        "healthzPort": KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(bed.home / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "failCgroupV1": False,
        "containerRuntimeEndpoint": f"unix://{bed.containerd_socket}",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": "",  # no search domains or name servers of the machine in pods
        "enforceNodeAllocatable": [],
        "registerNode": True,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # images came from archives: what is collected is gone
        "volumeStatsAggPeriod": "10s",
        "syncFrequency": "10s",
        "cgroupRoot": "/",
    }


def _proxy(bed: Settings, node: Node) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(bed.home / "kube-proxy.kubeconfig")},
        "clusterCIDR": node.pod_subnet,
        # Pods reach each other over one bridge: without this, answers to a Service's address bypass its translation.
        "iptables": {"masqueradeAll": True, "minSyncPeriod": "100ms", "localhostNodePorts": False},
        "conntrack": {"maxPerCore": 0},
        "healthzBindAddress": f"{node.address}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
    }
