"""A client on a machine of its own, as far as the network goes: a network namespace that can be cut off.

Owns the namespace and its link to this machine. What is cut is that link alone, so nobody else notices.
"""

from __future__ import annotations

import random
import subprocess
import uuid
from types import TracebackType

from bed.settings import POD_SUBNET

NETWORK = "198.18"  # for tests alone (RFC 2544), so no network of this machine or of the bed


class Apart:
    """Commands run in it with `prefix` before them."""

    def __init__(self) -> None:
        self._name = f"pvst-{uuid.uuid4().hex[:6]}"
        self._outer = f"{self._name}o"
        self.prefix = ("ip", "netns", "exec", self._name)

    def __enter__(self) -> Apart:
        inner, link = f"{self._name}i", f"{NETWORK}.{random.randrange(256)}"
        _run("ip", "netns", "add", self._name)
        _run("ip", "link", "add", self._outer, "type", "veth", "peer", "name", inner, "netns", self._name)
        _run("ip", "address", "add", f"{link}.1/30", "dev", self._outer)
        _run("ip", "link", "set", self._outer, "up")
        for name in ("lo", inner):
            _run(*self.prefix, "ip", "link", "set", name, "up")
        _run(*self.prefix, "ip", "address", "add", f"{link}.2/30", "dev", inner)
        _run(*self.prefix, "ip", "route", "add", POD_SUBNET, "via", f"{link}.1")
        return self

    def cut(self) -> None:
        """From now on every packet is lost, both ways, and nobody is told."""
        for chain in ("INPUT", "OUTPUT"):
            _run(*self.prefix, "iptables", "-I", chain, "-j", "DROP")

    def mend(self) -> None:
        """Packets pass again."""
        for chain in ("INPUT", "OUTPUT"):
            _run(*self.prefix, "iptables", "-D", chain, "-j", "DROP")

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for what in (("link", "delete", self._outer), ("netns", "delete", self._name)):
            subprocess.run(["ip", *what], check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
