"""A WebSocket that is read and written at the same time.

Owns the messages on a connection. Must not know Kubernetes, nor what the messages mean.

Made of the protocol half of `websockets` (its frames, handshake and closing rules) because its ready-made connection
holds one lock for reading and writing: when both directions are full, as in `exec cat`, it stands still for ever.
Here a writer that waits never stops the reader.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from pvserve.cluster.line import Buffer, Closed, Line

if TYPE_CHECKING:
    from websockets.client import ClientProtocol
    from websockets.frames import Frame
    from websockets.http11 import Request, Response

PIECE = 1 << 17
PING_SECONDS = 20.0  # load balancers cut connections that are idle for a minute


class Duplex:
    """One connection. One thread may receive while others send; any may close."""

    def __init__(self, sock: socket.socket, protocol: ClientProtocol) -> None:
        self._line = Line(sock)
        self._protocol = protocol
        self._sending = threading.Lock()  # one message after the other; always taken before _state
        self._state = threading.Lock()
        self._messages: deque[bytes] = deque()
        self._parts: list[bytes] = []  # of a message in several frames
        self._replies: deque[bytes] = deque()  # pongs and the like, sent by whoever may send next
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
                self._line.write(piece)
        while self._response is None:
            if self._line.ended:
                raise Closed(self._line.ended)
            if not self._feed(deadline):
                raise TimeoutError("no answer to the upgrade request")
        return self._response

    def send(self, message: Buffer) -> None:
        """Sends one binary message; waits while the far end does not read. Raises Closed."""
        with self._sending:
            with self._state:
                self._line.refuse_ended()
                self._protocol.send_binary(message)
                pieces = self._protocol.data_to_send()
            for piece in pieces:
                self._line.write(piece)
        self._send_replies()

    def receive(self, timeout: float | None = None) -> bytes | None:
        """The next message; None when `timeout` seconds went by. Raises Closed at the end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._messages:
            self._line.refuse_ended()
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
        self._line.close()

    def bare(self) -> Line:
        """The connection without its messages, for who agreed on something else with the far end. Raises Closed."""
        self._line.refuse_ended()
        if self._messages or self._parts:
            raise Closed("the far end spoke out of turn")
        return self._line

    def _feed(self, deadline: float | None) -> bool:
        """Reads once and takes in what came; False when the deadline passed."""
        data = self._line.read(PIECE, deadline, self._ping_when_idle)
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
            self._line.end(str(broken or "the far end cut the connection"))
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
            self._line.end(f"the far end closed the connection: {received}")

    def _send_replies(self) -> None:
        """Sends what the protocol answers by itself, unless a sender is at it: that one then does."""
        self._line.reply(self._replies, self._sending)

    def _ping_when_idle(self) -> None:
        if time.monotonic() - self._line.last_sent < PING_SECONDS:
            return
        with self._state, contextlib.suppress(Exception):  # InvalidState: not open any more
            self._protocol.send_ping(b"")
            self._replies.extend(self._protocol.data_to_send())
        self._send_replies()
