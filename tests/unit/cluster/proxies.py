"""Proxies on loopback that note where they were asked to connect to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Proxy:
    """Takes connections until closed; `greet` reads the wish and answers it."""

    def __init__(self, greet: Callable[[Proxy, socket.socket], tuple[str, int] | None]) -> None:
        self.wishes: list[str] = []
        self.authorization = ""
        self._greet = greet
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        wish = self._greet(self, client)
        if wish is None:
            client.close()
            return
        far = socket.create_connection(wish)
        self._open += [client, far]
        for source, target in ((client, far), (far, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        for sock in self._open:
            sock.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def connect_proxy(port: int, *, refuse: bool = False) -> Proxy:
    """HTTP CONNECT; whatever is wished for, it connects to 127.0.0.1:`port`."""

    def greet(proxy: Proxy, client: socket.socket) -> tuple[str, int] | None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += client.recv(1 << 12)
        lines = request.decode().split("\r\n")
        proxy.wishes.append(lines[0])
        for line in lines:
            if line.lower().startswith("proxy-authorization:"):
                proxy.authorization = line.partition(":")[2].strip()
        if refuse:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return None
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return "127.0.0.1", port

    return Proxy(greet)


def socks_proxy(port: int) -> Proxy:
    """SOCKS5 without authentication (RFC 1928); whatever is wished for, it connects to 127.0.0.1:`port`."""

    def greet(proxy: Proxy, client: socket.socket) -> tuple[str, int]:
        _version, methods = client.recv(2)
        client.recv(methods)
        client.sendall(b"\x05\x00")
        _version, _connect, _reserved, kind = client.recv(4)
        host = client.recv(client.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(client.recv(4))
        proxy.wishes.append(f"{host}:{int.from_bytes(client.recv(2), 'big')}")
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        return "127.0.0.1", port

    return Proxy(greet)
