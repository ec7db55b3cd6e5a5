"""The bed's bridge, forwarding, and the rules that kube-proxy and CNI leave.

Owns making and removing them. Touches only interfaces and chains that are the bed's.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from bed.settings import ADDRESS, BRIDGE, POD_SUBNET, Settings

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
CHAIN = re.compile(r"^:(KUBE-\S+|CNI-\S+)", re.M)


def up(bed: Settings) -> None:
    """Makes the bridge with its address, and turns forwarding on; remembers what forwarding was."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _ip("link", "add", BRIDGE, "type", "bridge")
    length = POD_SUBNET.partition("/")[2]
    _ip("address", "replace", f"{ADDRESS}/{length}", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    before = bed.home / "ip_forward.before"
    if not before.exists():
        before.write_text(FORWARDING.read_text())
    FORWARDING.write_text("1\n")
    for table, rule in _accept():
        if subprocess.run(["iptables", "-t", table, "-C", *rule], capture_output=True, check=False).returncode != 0:
            subprocess.run(["iptables", "-t", table, "-I", *rule], check=True)


def down(bed: Settings) -> None:
    """Removes the bridge, the pods' network interfaces, and every chain of kube-proxy and CNI."""
    for table, rule in _accept():
        subprocess.run(["iptables", "-t", table, "-D", *rule], capture_output=True, check=False)
    for tool in ("iptables", "ip6tables"):
        for table in ("nat", "filter", "mangle"):
            _flush(tool, table)
    for interface in _pod_interfaces():
        subprocess.run(["ip", "link", "delete", interface], capture_output=True, check=False)
    for namespace in Path("/run/netns").glob("cni-*"):
        subprocess.run(["ip", "netns", "delete", namespace.name], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)
    before = bed.home / "ip_forward.before"
    if before.exists():
        FORWARDING.write_text(before.read_text())
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
    """Deletes the rules that jump to the bed's chains, then the chains."""
    save = f"{tool}-save"
    done = subprocess.run([save, "-t", table], capture_output=True, text=True, check=False)
    chains = CHAIN.findall(done.stdout)
    if not chains:
        return
    for line in done.stdout.splitlines():
        if (
            line.startswith("-A ")
            and not line.startswith(("-A KUBE-", "-A CNI-"))
            and re.search(r"-j (KUBE|CNI)-", line)
        ):
            subprocess.run(f"{tool} -t {table} -D {line[3:]}", shell=True, capture_output=True, check=False)  # noqa: S602 - the rule as iptables-save quoted it
    for action in ("-F", "-X"):
        for chain in chains:
            subprocess.run([tool, "-t", table, action, chain], capture_output=True, check=False)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)
