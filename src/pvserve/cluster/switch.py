"""HTTP's Upgrade to something else than a WebSocket: afterwards the connection is bytes.

Owns the request and its answer. Must not know what is spoken afterwards.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pvserve.cluster.dialing import dialed
from pvserve.cluster.failures import Response
from pvserve.cluster.line import Closed, Line
from pvserve.cluster.login import Login
from pvserve.cluster.request import Request
from pvserve.cluster.transport import USER_AGENT, url

SWITCHING = 101
BODY = 1 << 16  # bytes of a refusal that are read


def switch(
    login: Login, request: Request, protocol: str, headers: Mapping[str, str], timeout: float
) -> tuple[Line, Response]:
    """The connection, closed already where the answer is not 101; `timeout` in seconds until the answer.

    Raises Temporary when the server cannot be reached, OSError when there is no answer that is HTTP.
    """
    line = Line(dialed(login, request.subject, timeout))
    where = urlsplit(url(login.server, request))
    asked = {"Host": where.netloc, "User-Agent": USER_AGENT, "Connection": "Upgrade", "Upgrade": protocol}
    connection = http.client.HTTPConnection(where.netloc)
    connection.sock = _Adapted(line, time.monotonic() + timeout)
    try:
        path = urlunsplit(("", "", where.path, where.query, ""))
        connection.request(request.method, path, headers={**asked, **headers, **login.headers})
        answer = connection.getresponse()
        body = b""
        if answer.status != SWITCHING:
            body = _body(answer)
        elif answer.headers.get("Upgrade", "").lower() != protocol.lower():
            raise Closed(f"{login.server} switches to {answer.headers.get('Upgrade')}, not to {protocol}")
    except http.client.HTTPException as error:
        line.close()
        raise Closed(f"no answer to the upgrade request: {error}") from error
    except BaseException:
        line.close()
        raise
    if answer.status != SWITCHING:
        line.close()
    return line, Response(answer.status, {key.lower(): value for key, value in answer.headers.items()}, body)


def _body(answer: http.client.HTTPResponse) -> bytes:
    """As much of it as comes."""
    answer.fp = io.BufferedReader(answer.fp)  # the connection is not used afterwards
    with contextlib.suppress(OSError, http.client.HTTPException):
        return answer.read(BODY)
    return b""


class _Adapted:
    """A Line with what http.client wants of a socket."""

    def __init__(self, line: Line, deadline: float) -> None:
        self.sendall = line.sendall
        self._line, self._deadline = line, deadline

    def makefile(self, *_: Any, **__: Any) -> io.RawIOBase:
        return _Unbuffered(self._line, self._deadline)

    def close(self) -> None:
        """http.client has read the answer; the connection goes on."""


class _Unbuffered(io.RawIOBase):
    """Reads not a byte more than it is asked for: what follows the answer belongs to who speaks next."""

    def __init__(self, line: Line, deadline: float) -> None:
        super().__init__()
        self._line, self._deadline = line, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._line.settimeout(max(0.0, self._deadline - time.monotonic()))
        return self._line.recv_into(memoryview(buffer))
