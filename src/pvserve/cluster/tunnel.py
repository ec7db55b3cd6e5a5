"""A port of a pod as a socket of this process, for who needs one: TLS of the standard library, http.client.

Owns the pair of sockets and the two threads that copy between it and the connection. Must not know what is said.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from pvserve.cluster.forward import Forward

PIECE = 1 << 17
SOCKET_BUFFER = 1 << 20
GOODBYE_SECONDS = 5.0  # for what is on the way when our side closes


class Tunnel(socket.socket):
    """Our end. When the far end is gone it reads as ended; `failure` then says why, where the kubelet said so.

    There is no half-close, as with any `Forward`.
    """

    def __init__(self, forward: Forward) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        super().__init__(ours.family, ours.type, ours.proto, ours.detach())
        self._forward = forward
        _Far(forward, theirs)

    @property
    def failure(self) -> str:
        """The kubelet's words, such as "connection refused"; "" where it said none."""
        return self._forward.failure


class _Far:
    """The other end of the pair, and the threads between it and the connection."""

    def __init__(self, forward: Forward, pair: socket.socket) -> None:
        self._forward = forward
        self._pair = pair
        self._leaving = False
        for pump in (self._up, self._down):
            threading.Thread(target=pump, name=f"port-forward{pump.__name__}", daemon=True).start()

    def _up(self) -> None:
        view = memoryview(bytearray(PIECE))
        with contextlib.suppress(OSError):
            while count := self._pair.recv_into(view):
                self._forward.sendall(view[:count])
        self._leaving = True
        with contextlib.suppress(OSError):
            self._forward.finish()

    def _down(self) -> None:
        """Until the far end has ended, also when our side reads no more: it must get what is on the way to it."""
        view = memoryview(bytearray(PIECE))
        self._forward.settimeout(GOODBYE_SECONDS)
        while count := self._received(view):
            with contextlib.suppress(OSError):
                self._pair.sendall(view[:count])
        self._forward.close()
        with contextlib.suppress(OSError):
            self._pair.shutdown(socket.SHUT_RDWR)  # wakes _up
        self._pair.close()

    def _received(self, view: memoryview) -> int:
        while True:
            try:
                return self._forward.recv_into(view)
            except TimeoutError:
                if self._leaving:
                    return 0
            except OSError:
                return 0
