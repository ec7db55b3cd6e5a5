"""A TCP connection to a port of a pod, as a socket of this process.

Owns the port-forward protocol and the two threads that carry the bytes. Must not know what they mean.
Source: kubelet/pkg/cri/streaming/portforward/websocket.go: channel 0 data, channel 1 errors, each of which starts with
the port's number in two bytes.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from pvserve.cluster.duplex import Duplex
from pvserve.cluster.kinds import KNOWN
from pvserve.cluster.line import Closed
from pvserve.cluster.request import Request, on
from pvserve.cluster.transport import Transport
from pvserve.cluster.upgrade import upgrade

V4 = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
FRAME = 1 << 17
SOCKET_BUFFER = 1 << 20
OPEN_SECONDS = 30.0
GOODBYE_SECONDS = 5.0  # for what is on the way when our side closes


def forward_request(pod: str, namespace: str, port: int) -> Request:
    """The upgrade request; needs `get` and, from Kubernetes 1.35 on, `create` of pods/portforward."""
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


class Tunnel(socket.socket):
    """Our end. When the far end is gone it reads as ended; `failure` then says why, where the kubelet said so.

    There is no half-close: containerd ends both directions one second after either did.
    """

    def __init__(self, ours: socket.socket, far: _Far) -> None:
        super().__init__(ours.family, ours.type, ours.proto, ours.detach())
        self._far = far

    @property
    def failure(self) -> str:
        """The kubelet's words, such as "connection refused"; "" where it said none."""
        return self._far.failure


class _Far:
    """The other end of the pair, and the threads between it and the WebSocket."""

    def __init__(self, duplex: Duplex, pair: socket.socket) -> None:
        self._duplex = duplex
        self._pair = pair
        self._leaving = False
        self.failure = ""
        for pump in (self._up, self._down):
            threading.Thread(target=pump, name=f"port-forward{pump.__name__}", daemon=True).start()

    def _up(self) -> None:
        buffer = bytearray(1 + FRAME)
        buffer[0] = DATA
        view = memoryview(buffer)
        with contextlib.suppress(Closed, OSError):
            while count := self._pair.recv_into(view[1:]):
                self._duplex.send(view[: 1 + count])
        self._leaving = True
        self._duplex.say_goodbye()

    def _down(self) -> None:
        """Until the far end has ended, also when our side reads no more: it must get what is on the way to it."""
        started: set[int] = set()
        with contextlib.suppress(Closed):
            while True:
                message = self._duplex.receive(GOODBYE_SECONDS)
                if message:
                    self._deliver(message, started)
                elif self._leaving:
                    break
        self._duplex.close()
        with contextlib.suppress(OSError):
            self._pair.shutdown(socket.SHUT_RDWR)  # wakes _up
        self._pair.close()

    def _deliver(self, message: bytes, started: set[int]) -> None:
        channel = message[0]
        if channel not in started:
            started.add(channel)  # with the port's number
        elif channel == ERROR:
            self.failure += message[1:].decode("utf-8", "replace")
        else:
            with contextlib.suppress(OSError):
                self._pair.sendall(memoryview(message)[1:])


def open_tunnel(transport: Transport, pod: str, namespace: str, port: int) -> Tunnel:
    """Connects to `port` of the pod. That nothing listens there shows only when the tunnel is used."""
    duplex = upgrade(transport, forward_request(pod, namespace, port), (V4,), OPEN_SECONDS)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
    return Tunnel(ours, _Far(duplex, theirs))
