"""A stand-in for the API server's WebSocket half: one thread per connection runs what the test says."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol


class Peer:
    """The server's end of one connection; reads only when asked to."""

    def __init__(self, sock: socket.socket, subprotocols: list[str]) -> None:
        self._sock = sock
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in subprotocols] or None, max_size=None
        )
        self._events: list[Any] = []
        self.request: Request = self._next()

    def accept(self) -> None:
        self._respond(self._protocol.accept(self.request))

    def refuse(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self._respond(Response(status, "Refused", Headers({"Content-Length": str(len(text))}), text))

    def refuse_spdy(self) -> bool:
        """As an API server answers a request whose upgrade a proxy took off; whether SPDY was asked for."""
        asked = self.request.headers.get("Upgrade") == "SPDY/3.1"
        if asked:
            self.refuse(400, {"kind": "Status", "message": "Upgrade request required", "code": 400})
        return asked

    def _respond(self, response: Response) -> None:
        self._protocol.send_response(response)
        self._flush()

    def _flush(self) -> None:
        for piece in self._protocol.data_to_send():
            if piece:
                self._sock.sendall(piece)

    def _next(self) -> Any:
        while not self._events:
            data = self._sock.recv(1 << 16)
            if not data:
                raise ConnectionError("the client is gone")
            self._protocol.receive_data(data)
            self._events += self._protocol.events_received()
            self._flush()
        return self._events.pop(0)

    def frame(self) -> Frame:
        """The next frame; pings are answered already."""
        got = self._next()
        assert isinstance(got, Frame)
        return got

    def message(self) -> bytes:
        """The next binary message."""
        while True:
            got = self.frame()
            if got.opcode is Opcode.BINARY:
                return bytes(got.data)
            if got.opcode is Opcode.CLOSE:
                raise ConnectionError("the client said goodbye")

    def send(self, *parts: bytes) -> None:
        """One message, in as many frames as there are parts."""
        self._protocol.send_binary(parts[0], fin=len(parts) == 1)
        for index, part in enumerate(parts[1:], 2):
            self._protocol.send_continuation(part, fin=index == len(parts))
        self._flush()

    def ping(self) -> None:
        self._protocol.send_ping(b"there?")
        self._flush()

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._protocol.send_close(code, reason)
        self._flush()


Behaviour = Callable[[Peer], None]


class Listening:
    """Takes connections until closed, each in a thread of its own; each is cut when `speak` returns."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self.ended = threading.Event()  # what the test has it do ran to its end
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def speak(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self.speak(sock)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):  # bytes left unread would make the kernel throw away what was sent
                pass
        sock.close()

    def close(self) -> None:
        self._listening.close()


class SocketServer(Listening):
    """Serves until closed; the connection is cut when `behaviour` returns. `requests` grows with each upgrade."""

    def __init__(
        self, behaviour: Behaviour, subprotocols: list[str], tls: ssl.SSLContext | None = None, *, refuse: bool = False
    ) -> None:
        self._behaviour = behaviour
        self._subprotocols = subprotocols
        self._refuse = refuse  # the behaviour answers the upgrade request itself
        self.requests: list[Request] = []
        super().__init__(tls)

    def speak(self, sock: socket.socket) -> None:
        peer = Peer(sock, self._subprotocols)
        if not peer.refuse_spdy():
            self._behave(peer)

    def _behave(self, peer: Peer) -> None:
        self.requests.append(peer.request)
        if not self._refuse:
            peer.accept()
        self._behaviour(peer)
        self.ended.set()
