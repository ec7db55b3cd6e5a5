"""The bed's bridge, kernel settings, and the rules that kube-proxy leaves.

Owns making and removing them. Touches only interfaces and chains that are the bed's; where another
Kubernetes runs, the bed does not start (preflight).
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from bed.settings import ADDRESS, BRIDGE, POD_SUBNET, Settings

SYSCTL = Path("/proc/sys")
FORWARDING = "net/ipv4/ip_forward"
CHANGED = (FORWARDING, "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")  # the others by the kubelet
CHAIN = re.compile(r"^:(KUBE-\S+)", re.M)
MAC = "0a:58:0a:f4:00:01"  # fixed: a bridge without one takes another whenever a pod comes or goes


def up(bed: Settings) -> None:
    """Makes the bridge with its address, and turns forwarding on; notes the settings that `down` restores."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _ip("link", "add", BRIDGE, "address", MAC, "type", "bridge")
    length = POD_SUBNET.partition("/")[2]
    _ip("address", "replace", f"{ADDRESS}/{length}", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    before = bed.home / "sysctl.json"
    if not before.exists():
        before.write_text(json.dumps({name: (SYSCTL / name).read_text() for name in CHANGED}))
    (SYSCTL / FORWARDING).write_text("1\n")
    for table, rule in _accept():
        if subprocess.run(["iptables", "-t", table, "-C", *rule], capture_output=True, check=False).returncode != 0:
            subprocess.run(["iptables", "-t", table, "-I", *rule], check=True)


def down(bed: Settings) -> None:
    """Removes the bridge, the pods' network interfaces, and every chain of kube-proxy."""
    for table, rule in _accept():
        subprocess.run(["iptables", "-t", table, "-D", *rule], capture_output=True, check=False)
    for tool in ("iptables", "ip6tables"):
        for table in ("nat", "filter", "mangle"):
            _flush(tool, table)
    for interface in _pod_interfaces():
        subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)
    before = bed.home / "sysctl.json"
    if before.exists():
        for name, value in json.loads(before.read_text()).items():
            (SYSCTL / name).write_text(value)
        before.unlink()


def _accept() -> list[tuple[str, list[str]]]:
    """Pod traffic passes even where a container engine has set the forward policy to drop."""
    return [
        ("filter", ["FORWARD", "-s", POD_SUBNET, "-j", "ACCEPT"]),
        ("filter", ["FORWARD", "-d", POD_SUBNET, "-j", "ACCEPT"]),
    ]


def _pod_interfaces() -> list[str]:
    done = subprocess.run(["ip", "-j", "link", "show", "master", BRIDGE], capture_output=True, text=True, check=False)
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
