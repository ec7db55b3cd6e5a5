"""A relay on loopback before the API server that can cut all connections and refuse new ones for a while."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Relay:
    """Takes connections for `server` (https://HOST:PORT) until closed."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._far = (parts.hostname or "", parts.port or 443)
        self._open: list[socket.socket] = []
        self._away = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, away: bool = False) -> None:
        """Breaks every connection; with `away` new ones too, until `back`."""
        self._away = away
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def back(self) -> None:
        """Takes connections again."""
        self._away = False

    def close(self) -> None:
        """Ends it."""
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._away:
                    near.close()
                    continue
                far = socket.create_connection(self._far)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    source.close()
