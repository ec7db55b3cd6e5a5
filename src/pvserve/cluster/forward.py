"""A connection to a port of a pod, through API server, kubelet and container runtime.

Owns the two protocols that Kubernetes has for it, and which is taken. Must not know what the bytes mean.

SPDY/3.1 first, as kubectl does in front of API servers before 1.31: API server and kubelet hand its bytes on as they
are, and the runtime reads whole frames. Where something on the way does not let it through, a WebSocket carries the
bytes: every server and proxy knows those, but the runtime takes their mask off byte by byte, which makes it the slowest
part of all. SPDY inside of a WebSocket, as kubectl speaks it to newer servers, costs more than SPDY alone
(benchmarks/README.md), and where it is let through but not spoken the WebSocket is needed all the same.
Source: kubelet/pkg/cri/streaming/portforward/{httpstream,websocket}.go
"""

from __future__ import annotations

import time
from typing import Protocol

from pvserve.cluster.duplex import Duplex
from pvserve.cluster.failures import failure
from pvserve.cluster.kinds import KNOWN
from pvserve.cluster.line import Buffer, Closed
from pvserve.cluster.request import Request, on
from pvserve.cluster.spdy import Pair
from pvserve.cluster.switch import SWITCHING, switch
from pvserve.cluster.transport import Transport
from pvserve.cluster.upgrade import renewing, upgrade

SPDY = "SPDY/3.1"
SPDY_HEADERS = {"X-Stream-Protocol-Version": "portforward.k8s.io"}
SPDY_SECONDS = 10.0  # until both streams are open; the WebSocket has its time after that
V4 = "v4.channel.k8s.io"
DATA, ERROR = 0, 1  # a WebSocket's channels, each of which starts with the port's number in two bytes
FRAME = 1 << 17
OPEN_SECONDS = 30.0
NO_UPGRADE = 400  # the API server's answer where somebody took the upgrade off the request


class Forward(Protocol):
    """The connection. One thread may receive while others send; any may close.

    There is no half-close: containerd ends both directions one second after either did. `failure` is in the kubelet's
    words once the end was read, such as "connection refused"; "" where it said none.
    """

    @property
    def failure(self) -> str: ...
    def settimeout(self, seconds: float | None, /) -> None: ...
    def recv_into(self, view: memoryview, /) -> int: ...
    def sendall(self, data: Buffer, /) -> None: ...
    def finish(self) -> None:
        """Tells the far end that nothing more comes."""

    def close(self) -> None:
        """Ends the connection at once, also under threads that wait in it."""


def forward_request(pod: str, namespace: str, port: int) -> Request:
    """The upgrade request; needs `get` and, for a WebSocket from Kubernetes 1.35 on, `create` of pods/portforward."""
    request = on(KNOWN["v1", "Pod"], "create", namespace, pod, "portforward")
    return Request(
        "GET",
        request.path,
        (("ports", str(port)),),
        right=request.right,
        subject=f"port {port} of {request.subject}",
        kind="Pod",
        namespace=namespace,
    )


def open_forward(transport: Transport, pod: str, namespace: str, port: int) -> Forward:
    """Connects to `port` of the pod. That nothing listens there shows only when the connection is used.

    Raises what `upgrade` raises.
    """
    request = forward_request(pod, namespace, port)
    return _by_spdy(transport, request, port) or ByMessages(upgrade(transport, request, (V4,), OPEN_SECONDS))


def _by_spdy(transport: Transport, request: Request, port: int) -> Pair | None:
    """None where it is not let through; raises what the API server itself has against the request."""
    try:
        line, answer = renewing(transport, lambda login: switch(login, request, SPDY, SPDY_HEADERS, SPDY_SECONDS))
    except OSError:
        return None
    if answer.status != SWITCHING:
        if answer.json().get("kind") == "Status" and answer.status != NO_UPGRADE:
            raise failure(request, answer, transport.login.server)
        return None
    try:
        return Pair(line, port, SPDY_SECONDS)
    except OSError:
        line.close()
        return None


class ByMessages:
    """A `Forward` over a WebSocket."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex
        self._left = memoryview(b"")  # of the last message
        self._started: set[int] = set()
        self._patience: float | None = None
        self.failure = ""

    def settimeout(self, seconds: float | None) -> None:
        """How long `recv_into` waits; None for ever."""
        self._patience = seconds

    def recv_into(self, view: memoryview) -> int:
        """The bytes read, 0 at the end. Raises TimeoutError."""
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while not self._left:
            try:
                message = self._duplex.receive(None if deadline is None else deadline - time.monotonic())
            except Closed:
                return 0
            if message is None:
                raise TimeoutError(f"nothing came for {self._patience:.0f} s")
            self._take(message)
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _take(self, message: bytes) -> None:
        if not message:
            return
        channel = message[0]
        if channel not in self._started:
            self._started.add(channel)  # with the port's number
        elif channel == ERROR:
            self.failure += message[1:].decode("utf-8", "replace")
        else:
            self._left = memoryview(message)[1:]

    def sendall(self, data: Buffer) -> None:
        """Sends all; waits while the far end does not read. Raises Closed."""
        view = memoryview(data)
        for start in range(0, len(view), FRAME):
            self._duplex.send(bytes((DATA,)) + view[start : start + FRAME])

    def finish(self) -> None:
        """Tells the far end that nothing more comes."""
        self._duplex.say_goodbye()

    def close(self) -> None:
        """Ends the connection at once, also under threads that wait in it."""
        self._duplex.close()
