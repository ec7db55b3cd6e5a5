"""One node: containerd and kubelet; and kube-proxy, which serves every node of this machine.

Owns their configuration. Which nodes there are is `bed.nodes`'.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import yaml

from bed.nodes import FIRST, Node
from bed.settings import DNS_SERVICE, DOMAIN, KUBELET_PORT, PROXY_HEALTH_PORT, PROXY_METRICS_PORT, Settings

PAUSE_IMAGE = "bed.local/pause:1"
CGROUPS = Path("/sys/fs/cgroup")


def write_files(bed: Settings, node: Node, binary: dict[str, Path]) -> None:
    """Writes the configuration of the node's containerd, CNI and kubelet."""
    node.socket.parent.mkdir(parents=True, exist_ok=True)
    cni = node.directory(bed, "cni")
    cni.mkdir(exist_ok=True)
    (cni / "10-bed.conflist").write_text(json.dumps(_cni(node)))
    (bed.home / f"containerd{node.suffix}.toml").write_text(_containerd(bed, node, binary, cni))
    (bed.home / f"kubelet{node.suffix}.yaml").write_text(yaml.safe_dump(_kubelet(bed, node)))


def write_proxy(bed: Settings) -> None:
    """Writes the configuration of kube-proxy."""
    proxy = bed.home / "kube-proxy.yaml"
    text = yaml.safe_dump(_proxy(bed, FIRST))
    if not proxy.exists() or proxy.read_text() != text:  # kube-proxy ends whenever its file is written
        proxy.write_text(text)


def commands(bed: Settings, node: Node, binary: dict[str, Path]) -> dict[str, list[str | Path]]:
    """The command of each of the node's components, in the order they are started."""
    containerd, kubelet = node.components
    kept = node.directory(bed, "kubelet")
    return {
        containerd: [binary["containerd"], "--config", bed.home / f"{containerd}.toml"],
        kubelet: [
            binary["kubelet"],
            f"--kubeconfig={bed.home / node.name}.kubeconfig",
            f"--config={bed.home / kubelet}.yaml",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--node-labels=topology.kubernetes.io/zone={node.zone}",
            f"--root-dir={kept}",
            f"--cert-dir={kept / 'pki'}",
        ],
    }


def proxy_command(bed: Settings, binary: dict[str, Path]) -> list[str | Path]:
    """kube-proxy's command: its rules are the machine's, so one serves the pods of every node."""
    return [
        binary["kube-proxy"],
        f"--config={bed.home / 'kube-proxy.yaml'}",
        f"--hostname-override={FIRST.name}",
    ]


def make_cgroups(node: Node) -> None:
    """Makes the control group below which a further node's kubelet works; it makes none above its own."""
    if not node.cgroup:
        return
    if (CGROUPS / "cgroup.controllers").exists():  # version 2: what is not handed down cannot be used below
        for controller in (CGROUPS / "cgroup.controllers").read_text().split():
            with suppress(OSError):
                (CGROUPS / "cgroup.subtree_control").write_text(f"+{controller}")
        (CGROUPS / node.cgroup).mkdir(exist_ok=True)
        return
    for controller in CGROUPS.iterdir():
        if controller.is_dir() and not controller.is_symlink():
            (controller / node.cgroup).mkdir(exist_ok=True)


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
            "dataDir": str(node.run_directories[1]),
        },
    }
    return {"cniVersion": "1.0.0", "name": "bed", "plugins": [bridge]}


def _containerd(bed: Settings, node: Node, binary: dict[str, Path], cni: Path) -> str:
    """Version 3 of containerd's configuration. `restrict_oom_score_adj`: this machine may lack CAP_SYS_RESOURCE."""
    return f"""version = 3
root = "{node.directory(bed, "containerd")}"
state = "{node.run_directories[0]}"
[grpc]
  address = "{node.socket}"
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
        "healthzPort": node.health_port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(bed.home / "pki" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "failCgroupV1": False,
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "resolvConf": "",  # no search domains or name servers of the machine in pods
        "enforceNodeAllocatable": [],
        "registerNode": True,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # images came from archives: what is collected is gone
        "volumeStatsAggPeriod": "10s",
        "syncFrequency": "10s",
        "cgroupRoot": f"/{node.cgroup}",
        # A kubelet removes the logs of pods that are not its own from here.
        **({"podLogsDir": str(node.directory(bed, "kubelet") / "logs")} if node.suffix else {}),
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
