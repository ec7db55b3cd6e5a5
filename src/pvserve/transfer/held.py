"""A socket, in TLS or not, whose descriptor is given back only once no thread is inside.

Owns the count of who is inside. A thread, and OpenSSL in it, knows its descriptor by number: one that a shutdown wakes
reads that number once more. Were it closed by then, it would read, and answer, on whatever connection got it next.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from pvserve.transfer.agent.frames import Buffer

LEAVE_SECONDS = 5.0  # for threads that were woken; none takes that long


class Held:
    """One connection, with a socket's names, which any thread may close.

    One thread may receive while another sends, unless it is in TLS (`tls.secure` says why).
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._inside = 0
        self._left = threading.Condition()

    def settimeout(self, seconds: float | None) -> None:
        """How long a call waits; None for ever."""
        self._sock.settimeout(seconds)

    def recv_into(self, view: memoryview) -> int:
        """The bytes read, 0 at the end. Raises OSError, ValueError once it is closed."""
        self._enter()
        try:
            return self._sock.recv_into(view)
        finally:
            self._leave()

    def sendall(self, data: Buffer) -> None:
        """Writes all. Raises OSError, ValueError once it is closed."""
        self._enter()
        try:
            self._sock.sendall(data)
        finally:
            self._leave()

    def close(self) -> None:
        """Ends the connection at once, wakes who waits in it, and closes it behind them."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: that drops its TLS state under the feet of other threads.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        with self._left:
            self._left.wait_for(lambda: not self._inside, LEAVE_SECONDS)
            self._sock.close()

    def _enter(self) -> None:
        with self._left:
            self._inside += 1

    def _leave(self) -> None:
        with self._left:
            self._inside -= 1
            self._left.notify_all()
