"""A WebSocket that is read and written at the same time.

Owns the socket's life and the messages on it. Must not know Kubernetes, nor what the messages mean.

Made of the protocol half of `websockets` (its frames, handshake and closing rules) because its ready-made connection
holds one lock for reading and writing: when both directions are full, as in `exec cat`, it stands still for ever.
Here a writer that waits never stops the reader. OpenSSL allows one call at a time on a connection, so the socket does
not block and `_io` is held only for calls that return at once.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from urllib3.util.wait import wait_for_read, wait_for_write

if TYPE_CHECKING:
    from websockets.client import ClientProtocol
    from websockets.frames import Frame
    from websockets.http11 import Request, Response

Buffer = bytes | bytearray | memoryview
PIECE = 1 << 17
PING_SECONDS = 20.0  # load balancers cut connections that are idle for a minute
LOOK_SECONDS = 1.0  # a waiting thread looks this often whether it was closed meanwhile


Wait = Callable[[socket.socket, float], bool]


class Closed(ConnectionError):
    """The connection has ended; the message says how."""


class Duplex:
    """One connection. One thread may receive while others send; any may close."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._protocol = protocol
        self._io = threading.Lock()
        self._sending = threading.Lock()  # one message after the other; always taken before _state and _io
        self._state = threading.Lock()
        self._messages: deque[bytes] = deque()
        self._parts: list[bytes] = []  # of a message in several frames
        self._replies: deque[bytes] = deque()  # pongs and the like, sent by whoever may send next
        self._ended = ""
        self._last_sent = time.monotonic()
        self._response: Response | None = None

    @property
    def subprotocol(self) -> str:
        """What the server chose, "" before and without a choice."""
        return str(self._protocol.subprotocol or "")

    def handshake(self, request: Request, timeout: float) -> Response:
        """Sends the upgrade request; the answer, whatever its status. Raises OSError."""
        deadline = time.monotonic() + timeout
        with self._sending:
            with self._state:
                self._protocol.send_request(request)
                pieces = self._protocol.data_to_send()
            for piece in pieces:
                self._send_all(piece)
        while self._response is None:
            if self._ended:
                raise Closed(self._ended)
            if not self._feed(deadline):
                raise TimeoutError("no answer to the upgrade request")
        return self._response

    def send(self, message: Buffer) -> None:
        """Sends one binary message; waits while the far end does not read. Raises Closed."""
        with self._sending:
            with self._state:
                self._refuse_ended()
                self._protocol.send_binary(message)
                pieces = self._protocol.data_to_send()
            for piece in pieces:
                self._send_all(piece)
        self._send_replies()

    def receive(self, timeout: float | None = None) -> bytes | None:
        """The next message; None when `timeout` seconds went by. Raises Closed at the end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._messages:
            self._refuse_ended()
            if not self._feed(deadline):
                return None
        return self._messages.popleft()

    def say_goodbye(self) -> None:
        """Tells the far end that nothing more comes; it ends the connection when it has read everything."""
        with self._state, contextlib.suppress(Exception):  # InvalidState: goodbye was said already
            self._protocol.send_close(1000)
            self._replies.extend(self._protocol.data_to_send())
        self._send_replies()

    def close(self) -> None:
        """Ends the connection at once, also under threads that wait in it."""
        self._end("closed by this side")
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: that drops its TLS state under the feet of other threads.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        with self._io:
            self._sock.close()

    def _end(self, why: str) -> None:
        self._ended = self._ended or why

    def _refuse_ended(self) -> None:
        if self._ended:
            raise Closed(self._ended)

    def _feed(self, deadline: float | None) -> bool:
        """Reads once and takes in what came; False when the deadline passed."""
        data = self._read(deadline)
        if data is None:
            return False
        with self._state:
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            events = self._protocol.events_received()
            self._replies.extend(self._protocol.data_to_send())
            broken = self._protocol.parser_exc or self._protocol.handshake_exc
        for event in events:
            self._take(event)
        self._send_replies()
        if broken is not None or not data:
            self._end(str(broken or "the far end cut the connection"))
        return True

    def _take(self, event: Request | Response | Frame) -> None:
        from websockets.frames import Frame, Opcode

        if not isinstance(event, Frame):
            self._response = event  # type: ignore[assignment]  # a client receives no Request
        elif event.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
            self._parts.append(bytes(event.data))
            if event.fin:
                self._messages.append(b"".join(self._parts) if len(self._parts) > 1 else self._parts[0])
                self._parts.clear()
        elif event.opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            self._end(f"the far end closed the connection: {received}")

    def _read(self, deadline: float | None) -> bytes | None:
        """Some bytes, b"" at the end, None when the deadline passed."""
        while True:
            try:
                with self._io:
                    return self._sock.recv(PIECE)
            except (ssl.SSLWantReadError, BlockingIOError):
                pass
            except (ssl.SSLWantWriteError, InterruptedError):
                continue
            except (OSError, ValueError) as error:
                self._end(str(error))
                raise Closed(self._ended) from error
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - time.monotonic())
            if left <= 0:
                return None
            self._wait(wait_for_read, left)
            self._refuse_ended()
            self._ping_when_idle()

    def _send_all(self, data: Buffer) -> None:
        """Needs `_sending`. A TLS write that could not go through is repeated with the very same bytes."""
        view = memoryview(data)
        self._last_sent = time.monotonic()
        while view:
            self._refuse_ended()
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

    def _wait(self, wait: Wait, seconds: float) -> None:
        try:
            wait(self._sock, seconds)
        except (OSError, ValueError) as error:  # closed by another thread
            self._end(str(error))
            raise Closed(self._ended) from error

    def _send_replies(self) -> None:
        """Sends what the protocol answers by itself, unless a sender is at it: that one then does."""
        while self._replies and self._sending.acquire(blocking=False):
            try:
                while self._replies:
                    self._send_all(self._replies.popleft())
            except Closed:
                return
            finally:
                self._sending.release()

    def _ping_when_idle(self) -> None:
        if time.monotonic() - self._last_sent < PING_SECONDS:
            return
        with self._state, contextlib.suppress(Exception):  # InvalidState: not open any more
            self._protocol.send_ping(b"")
            self._replies.extend(self._protocol.data_to_send())
        self._send_replies()
