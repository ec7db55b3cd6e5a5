"""The bed's bridges, kernel settings, and the rules that kube-proxy leaves.

Owns making and removing them. Touches only interfaces and chains that are the bed's; where another
Kubernetes runs, the bed does not start (preflight).
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from bed.nodes import NODES, Node
from bed.settings import Settings

SYSCTL = Path("/proc/sys")
FORWARDING = "net/ipv4/ip_forward"
CHANGED = (FORWARDING, "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")  # the others by the kubelet
CHAIN = re.compile(r"^:(KUBE-\S+)", re.M)


def up(bed: Settings, node: Node) -> None:
    """Makes the node's bridge with its address, and turns forwarding on; notes the settings that `down` restores."""
    if not Path(f"/sys/class/net/{node.bridge}").exists():
        _ip("link", "add", node.bridge, "address", node.mac, "type", "bridge")
    length = node.pod_subnet.partition("/")[2]
    _ip("address", "replace", f"{node.address}/{length}", "dev", node.bridge)
    _ip("link", "set", node.bridge, "up")
    before = bed.home / "sysctl.json"
    if not before.exists():
        before.write_text(json.dumps({name: (SYSCTL / name).read_text() for name in CHANGED}))
    (SYSCTL / FORWARDING).write_text("1\n")
    for table, rule in _accept(node):
        if subprocess.run(["iptables", "-t", table, "-C", *rule], capture_output=True, check=False).returncode != 0:
            subprocess.run(["iptables", "-t", table, "-I", *rule], check=True)


def down(bed: Settings) -> None:
    """Removes the bridges, the pods' network interfaces, and every chain of kube-proxy."""
    for node in NODES:
        remove(node)
    for tool in ("iptables", "ip6tables"):
        for table in ("nat", "filter", "mangle"):
            _flush(tool, table)
    before = bed.home / "sysctl.json"
    if before.exists():
        for name, value in json.loads(before.read_text()).items():
            (SYSCTL / name).write_text(value)
        before.unlink()


def remove(node: Node) -> None:
    """Removes one node's bridge, its pods' network interfaces, and the rules that let their traffic pass."""
    for table, rule in _accept(node):
        subprocess.run(["iptables", "-t", table, "-D", *rule], capture_output=True, check=False)
    for interface in _pod_interfaces(node):
        subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", node.bridge], capture_output=True, check=False)


def _accept(node: Node) -> list[tuple[str, list[str]]]:
    """Pod traffic passes even where a container engine has set the forward policy to drop."""
    return [
        ("filter", ["FORWARD", "-s", node.pod_subnet, "-j", "ACCEPT"]),
        ("filter", ["FORWARD", "-d", node.pod_subnet, "-j", "ACCEPT"]),
    ]


def _pod_interfaces(node: Node) -> list[str]:
    listing = ["ip", "-j", "link", "show", "master", node.bridge]
    done = subprocess.run(listing, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        return []
    return [str(link["ifname"]) for link in json.loads(done.stdout) if "ifname" in link]


def _flush(tool: str, table: str) -> None:
    """Deletes the rules that jump to kube-proxy's chains, then the chains."""
    done = subprocess.run([f"{tool}-save", "-t", table], capture_output=True, text=True, check=False)
    chains = CHAIN.findall(done.stdout)
    for rule in jumps(done.stdout):
        subprocess.run([tool, "-t", table, "-D", *rule], capture_output=True, check=False)
    for action in ("-F", "-X"):
        for chain in chains:
            subprocess.run([tool, "-t", table, action, chain], capture_output=True, check=False)


def jumps(saved: str) -> list[list[str]]:
    """The rules of iptables-save that lead from a built-in chain into one of kube-proxy's."""
    rules = [shlex.split(line)[1:] for line in saved.splitlines() if line.startswith("-A ")]
    return [rule for rule in rules if not rule[0].startswith("KUBE-") and rule[-1].startswith("KUBE-")]


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)
