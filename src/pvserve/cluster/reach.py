"""One container of a pod, as the transfer room wants to touch it.

Owns nothing but the binding of `Cluster` to one container. Must not know what moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvserve.cluster.exec import ExecStream, Result
from pvserve.cluster.forward import Forward
from pvserve.cluster.line import Line

if TYPE_CHECKING:
    from pvserve.cluster.client import Cluster


@dataclass(frozen=True)
class PodReach:
    """Satisfies `pvserve.transfer.Reach`."""

    cluster: Cluster
    pod: str
    namespace: str
    container: str

    @property
    def address(self) -> str | None:
        """The pod's IP, None while it has none; reachable only from inside most clusters."""
        status = self.cluster.get("v1", "Pod", self.pod, self.namespace).get("status") or {}
        return str(status["podIP"]) if status.get("podIP") else None

    def run(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 30) -> Result:
        """A short command."""
        return self.cluster.run(self.pod, self.namespace, self.container, argv, stdin, timeout)

    def stream(self, argv: Sequence[str]) -> ExecStream:
        """A command with open input and output."""
        return self.cluster.exec(self.pod, self.namespace, self.container, argv)

    def forward(self, port: int) -> Forward:
        """A connection to a port of the pod."""
        return self.cluster.forwarded(self.pod, self.namespace, port)

    def proxied(self, port: int, timeout: float) -> Line:
        """A connection to a port of the pod that the API server dials, open within `timeout` seconds."""
        return self.cluster.proxied(self.pod, self.namespace, port, timeout)
