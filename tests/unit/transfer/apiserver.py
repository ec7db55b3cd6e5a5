"""A stand-in for the API server's pod proxy, in TLS: dials a port of this machine, hands the request on, copies."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable


class PodProxy:
    """Serves until closed. `answer` replaces what the dialled port says; `requests` are the heads that came."""

    def __init__(self, context: ssl.SSLContext, answer: Callable[[bytes], bytes] | None = None) -> None:
        self._context = context
        self._answer = answer
        self.requests: list[bytes] = []
        self.passed = bytearray()  # what went to the pod, as the API server sees it
        self.cut_at: int | None = None  # after so many bytes one connection is cut, once
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self._context.wrap_socket(sock, server_side=True) as client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(4096)
            self.requests.append(head)
            if self._answer is not None:
                client.sendall(self._answer(head))
                client.recv(1)
                return
            line, rest = head.split(b"\r\n", 1)
            name, _, path = line.split(b" ")[1].partition(b"/proxy")
            port = int(name.rpartition(b"%3A")[2])
            with socket.create_connection(("127.0.0.1", port)) as pod:
                pod.sendall(b"GET %s HTTP/1.1\r\n%s" % (path, rest))
                self._copy(client, pod)

    def _copy(self, client: ssl.SSLSocket, pod: socket.socket) -> None:
        """Both ways by one thread, as OpenSSL wants it; ends with either side."""
        client.setblocking(False)
        pod.setblocking(False)
        pairs = ((client, pod), (pod, client))
        while True:
            idle = True
            for source, sink in pairs:
                try:
                    data = source.recv(1 << 16)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                if not data:
                    return
                idle = False
                if source is client:
                    self.passed += data
                    if self.cut_at is not None and len(self.passed) > self.cut_at:
                        self.cut_at = None
                        return
                view = memoryview(data)
                while view:
                    with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
                        view = view[sink.send(view) :]
            if idle:
                threading.Event().wait(0.001)

    def close(self) -> None:
        self._listening.close()
