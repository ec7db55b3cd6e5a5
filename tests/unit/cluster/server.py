"""A stand-in for an API server: HTTP or HTTPS on loopback, answering from a script and noting what it was asked."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    client: str = ""  # common name of the client's certificate
    server_name: str = ""  # as the client named it in TLS

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to say. `pieces` are sent as chunks; `cut` breaks the connection instead of ending properly."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    cut: bool = False

    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


CUT = Answer(cut=True)  # the connection breaks before any answer
Script = Callable[[Asked], Answer]


def status(code: int, message: str = "", reason: str = "", **details: Any) -> Answer:
    """A Kubernetes Status."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return Answer(code, {**body, "reason": reason, "details": details})


class Server:
    """Runs until closed; `asked` grows with each request."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.server_name = ""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    super().handle()

            def _any(self) -> None:
                outer._answer(self)

            do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815 - names that http.server wants

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that refuse our certificate
        scheme = "http"
        if tls is not None:
            tls.sni_callback = self._note_server_name
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        self.port = self._http.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _note_server_name(self, _socket: object, name: str | None, _context: object) -> None:
        self.server_name = name or ""

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = _asked(handler, self.server_name)
        self.asked.append(asked)
        answer = self.script(asked)
        if answer is CUT:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.pieces is None:
            headers["Content-Length"] = str(len(answer.raw()))
        else:
            headers["Transfer-Encoding"] = "chunked"
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.end_headers()
        if answer.pieces is None:
            handler.wfile.write(answer.raw())
            return
        for piece in answer.pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if answer.cut:
            handler.close_connection = True
        else:
            handler.wfile.write(b"0\r\n\r\n")

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _asked(handler: http.server.BaseHTTPRequestHandler, server_name: str) -> Asked:
    parts = urlsplit(handler.path)
    length = int(handler.headers.get("Content-Length") or 0)
    certificate = handler.connection.getpeercert() if isinstance(handler.connection, ssl.SSLSocket) else None
    names = dict(pair for group in (certificate or {}).get("subject", ()) for pair in group)
    return Asked(
        handler.command,
        parts.path,
        {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()},
        {key.lower(): value for key, value in handler.headers.items()},
        handler.rfile.read(length),
        names.get("commonName", ""),
        server_name,
    )


def in_turn(*answers: Answer) -> Script:
    """The answers one after the other; the last one for ever."""
    left = list(answers)
    lock = threading.Lock()

    def script(_asked: Asked) -> Answer:
        with lock:
            return left.pop(0) if len(left) > 1 else left[0]

    return script
