"""A connection that one thread reads while others write, and any may close.

Owns the socket's life. Must not know what is said over it.

OpenSSL allows one call at a time on a connection, so the socket does not block and `_io` is held only for calls that
return at once: a writer that waits for the far end never stops the reader.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from urllib3.util.wait import wait_for_read, wait_for_write

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview
Wait = Callable[[socket.socket, float], bool]
LOOK_SECONDS = 1.0  # a waiting thread looks this often whether it was closed meanwhile


class Closed(ConnectionError):
    """The connection has ended; the message says how."""


class Line:
    """One connection, in TLS or not, with those methods of a socket that the transfer room uses."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._io = threading.Lock()
        self._sending = threading.Lock()  # one buffer after the other
        self._patience: float | None = None
        self.ended = ""
        self.last_sent = time.monotonic()

    def settimeout(self, seconds: float | None) -> None:
        """How long `recv_into` waits; None for ever."""
        self._patience = seconds

    def recv_into(self, view: memoryview) -> int:
        """The bytes read, 0 at the end. Raises TimeoutError, Closed."""
        deadline = None if self._patience is None else time.monotonic() + self._patience
        count = self._reading(lambda: self._sock.recv_into(view), deadline, _nothing)
        if count is None:
            raise TimeoutError(f"nothing came for {self._patience:.0f} s")
        return count

    def read(self, size: int, deadline: float | None, idle: Callable[[], None]) -> bytes | None:
        """Up to `size` bytes, b"" at the end, None when the deadline passed; calls `idle` while it waits."""
        return self._reading(lambda: self._sock.recv(size), deadline, idle)

    def sendall(self, data: Buffer) -> None:
        """Writes all, in one piece as others see it. Raises Closed."""
        with self._sending:
            self.write(data)

    def write(self, data: Buffer) -> None:
        """As `sendall`, for a caller who lets nobody else write meanwhile.

        A TLS write that could not go through is repeated with the very same bytes.
        """
        view = memoryview(data)
        self.last_sent = time.monotonic()
        while view:
            self.refuse_ended()
            try:
                with self._io:
                    sent = self._sock.send(view)
                view = view[sent:]
            except (ssl.SSLWantWriteError, BlockingIOError):
                self._wait(wait_for_write, LOOK_SECONDS)
            except ssl.SSLWantReadError:
                self._wait(wait_for_read, LOOK_SECONDS)
            except (OSError, ValueError) as error:
                raise Closed(str(error)) from error

    def reply(self, replies: deque[bytes], sending: threading.Lock) -> None:
        """Writes what waits, unless a sender holds `sending`: that one then does. Never waits for it, nor raises."""
        while replies and sending.acquire(blocking=False):
            try:
                while replies:
                    self.write(replies.popleft())
            except Closed:
                return
            finally:
                sending.release()

    def end(self, why: str) -> None:
        """Notes why the connection has ended; the first reason stays."""
        self.ended = self.ended or why

    def refuse_ended(self) -> None:
        """Raises Closed once the connection has ended."""
        if self.ended:
            raise Closed(self.ended)

    def close(self) -> None:
        """Ends the connection at once, also under threads that wait in it."""
        self.end("closed by this side")
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: that drops its TLS state under the feet of other threads.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        with self._io:
            self._sock.close()

    def _reading(self, once: Callable[[], T], deadline: float | None, idle: Callable[[], None]) -> T | None:
        while True:
            try:
                with self._io:
                    return once()
            except (ssl.SSLWantReadError, BlockingIOError):
                pass
            except (ssl.SSLWantWriteError, InterruptedError):
                continue
            except (OSError, ValueError) as error:
                self.end(str(error))
                raise Closed(self.ended) from error
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return None
            self._wait(wait_for_read, left)
            self.refuse_ended()
            idle()

    def _wait(self, wait: Wait, seconds: float) -> None:
        try:
            wait(self._sock, seconds)
        except (OSError, ValueError) as error:  # closed by another thread
            self.end(str(error))
            raise Closed(self.ended) from error


def _nothing() -> None:
    return None
