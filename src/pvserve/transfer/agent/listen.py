"""Direct streams into the pod: a TLS port that only the holder of this transfer's token can use.

Owns the listening process. Must not know the volume.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import ssl
import threading
import time
from typing import Any

from .aside import Aside, start
from .frames import BYE, HELLO, VERSION, Broken, Wire
from .greeting import NoUpgrade, greet, left
from .session import Session, touch

CONNECT_SECONDS = 20.0  # until the control stream is there
HANDSHAKE_SECONDS = 10.0  # for all that comes before the token is known
HELLO_BYTES = 4096  # so much more than a token and a role
BACKLOG = 64


def listen(wire: Wire, hello: dict[str, Any]) -> int:
    """Tell the port on stdout and serve it in a process of its own, which outlives the exec that started it."""
    context = tls_context(hello["certificate"], hello["key"])
    server = _bound()
    child = os.fork()
    if child:
        wire.send_json(HELLO, {"version": VERSION, "port": server.getsockname()[1], "pid": child})
        return 0
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    Listener(server, context, hello["token"], hello["heard"], start(server)).serve()
    os._exit(0)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """A server's context; the key passes through memory only, since no call takes it but from a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    handle = os.memfd_create("pvserve")
    try:
        os.write(handle, (key + certificate).encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context


def _bound() -> socket.socket:
    """A port of the system's choice on every address of the pod, IPv6 and IPv4 where there are both."""
    try:
        server = socket.socket(socket.AF_INET6)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::", 0))
    except OSError:
        server = socket.socket(socket.AF_INET)
        server.bind(("0.0.0.0", 0))  # noqa: S104 - the pod's own network; the token decides
    server.listen(BACKLOG)
    return server


class Listener:
    """Accepts streams until the session of its one control stream is over."""

    def __init__(self, server: socket.socket, context: ssl.SSLContext, token: str, heard: str, aside: Aside) -> None:
        self._server = server
        self._context = context
        self._token = token.encode("ascii")
        self._heard = heard
        self._aside = aside
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._slots = threading.BoundedSemaphore(BACKLOG)

    def serve(self) -> None:
        """Until the session is over, or nobody came."""
        self._server.settimeout(CONNECT_SECONDS)
        until = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                plain, _ = self._server.accept()
            except socket.timeout:
                plain = None
            except OSError:
                return
            if self._session is None and time.monotonic() >= until:  # also when others knock all the time
                if plain:
                    plain.close()
                return
            if plain is None:
                continue
            if self._slots.acquire(blocking=False):
                threading.Thread(target=self._meet, args=(plain,), daemon=True).start()
            else:
                plain.close()

    def _meet(self, plain: socket.socket) -> None:
        """Greeting, handshake, token, role; then the session."""
        try:
            deadline = time.monotonic() + HANDSHAKE_SECONDS
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            greet(plain, deadline)
            with self._context.wrap_socket(plain, server_side=True) as stream:
                role = self._admitted(stream, deadline)
                if role is None:
                    return
                stream.settimeout(None)
                wire = Wire(stream.recv_into, stream.sendall, guard=False)
                wire.send_json(HELLO, {"version": VERSION})
                self._serve_stream(wire, role == "control")
        except (OSError, Broken, NoUpgrade, ValueError):
            return
        finally:
            plain.close()
            self._slots.release()

    def _admitted(self, stream: ssl.SSLSocket, deadline: float) -> Any:
        """The role that the holder of the token asks for, "" for none; None: it has not got the token."""

        def read_into(view: memoryview) -> int:
            stream.settimeout(left(deadline))
            return stream.recv_into(view)

        hello = Wire(read_into, stream.sendall, guard=False).expect(HELLO, HELLO_BYTES).json()
        if not isinstance(hello, dict):
            return None
        token = str(hello.get("token")).encode("ascii", "replace")
        return hello.get("role", "") if hmac.compare_digest(token, self._token) else None

    def _serve_stream(self, wire: Wire, control: bool) -> None:
        if not control:
            if self._session is not None:
                self._session.data(wire)
            return
        with self._lock:
            if self._session is not None:  # one client, one session
                wire.send(BYE)
                return
            self._session = Session(wire, self._heard, self._aside)
        touch(self._heard)
        self._session.run()
        with contextlib.suppress(OSError):
            self._server.close()
        os._exit(0)
