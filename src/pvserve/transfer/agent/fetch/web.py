"""HTTP(S) from inside a pod: kept connections, private CAs, proxies, redirects.

Owns connections and what may be sent to whom. Must not know which source is read, nor retry.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import struct
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from pvserve.errors import NotAllowed, PvserveError, Refused
from pvserve.model.contain import shown

from .trust import as_one_file, trusting

CONNECT_SECONDS, READ_SECONDS = 20.0, 60.0
STRAIGHT = 1 << 20  # bytes of one read past http.client, where there is no TLS
AHEAD = 1 << 18  # more than http.client may have read of a body together with its headers
REDIRECTS = 10
AGENT = "pvserve"
_REFUSES_TUNNEL = "Tunnel connection failed: 407"
_MOVED = (301, 302, 303, 307, 308)


class Request(NamedTuple):
    """One request; `secret` headers go to the URL's own host only, never with a redirect to another."""

    method: str
    url: str
    headers: dict[str, str] = {}  # noqa: RUF012 - read only
    secret: dict[str, str] = {}  # noqa: RUF012


class Answer:
    """A response whose body is still to be read; `url` is where it came from in the end."""

    def __init__(self, url: str, response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self.url = url
        self.status = response.status
        self._response = response
        self._connection = connection
        bare = type(connection.sock) is socket.socket and not response.chunked and (response.length or 0) > AHEAD
        self._bare: socket.socket | None = connection.sock if bare else None
        self._ahead = True  # what http.client has read beyond the headers is still to be taken

    def header(self, name: str) -> str:
        """A header's value, "" where there is none."""
        return self._response.getheader(name) or ""

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full or the body ends; raises OSError or HTTPException where it was cut."""
        done = 0
        while done < len(view):
            count = self.some(view[done:])
            if not count:
                break
            done += count
        return done

    def some(self, view: memoryview) -> int:
        """One read."""
        if self._bare is None:
            return self._response.readinto(view)
        if self._ahead:
            held = len(self._response.fp.peek(1))
            self._ahead = held > len(view)
            return self._response.readinto(view[:held])
        left: int = self._response.length  # type: ignore[assignment]  # else there is no `_bare`
        count = _receive(self._bare, view[: min(left, STRAIGHT)])
        self._response.length = left - count
        return count

    def text(self, limit: int) -> bytes:
        """The whole body. Raises Refused where it is longer than `limit`."""
        body = self._response.read(limit + 1)
        if len(body) > limit:
            self.close()
            raise Refused("SourceAnswersEndlessly", f"{place(self.url)} answered with more than {limit} bytes")
        self.close()
        return body

    def close(self) -> None:
        """Done with it; the connection is kept where the whole body was read."""
        whole = self._response.isclosed() or self._response.length == 0
        self._response.close()
        if not whole:
            self._connection.close()


class Web:
    """What all connections share. `ca` are files and directories with PEM certificates, beside the system's own.

    `given` are more certificates, as text, and `proxies` go before those of the environment, by scheme.
    """

    def __init__(
        self,
        ca: list[str],
        proxy: str = "",
        no_proxy: str = "",
        given: str = "",
        proxies: dict[str, str] | None = None,
    ) -> None:
        self._ca = ca
        self._given = given
        self._proxies = proxies or {}
        self._context: ssl.SSLContext | None = None
        self._proxy = proxy
        self._no_proxy = no_proxy

    def context(self) -> ssl.SSLContext:
        """TLS as it should be, trusting also what was mounted or named by one of the usual variables."""
        if self._context is None:
            self._context = trusting(self._ca, self._given)
        return self._context

    def pem(self) -> bytes:
        """All certificates that are trusted, for a program that takes one file."""
        return as_one_file(self._ca, self._given)

    def variables(self) -> dict[str, str]:
        """The proxy, for a program that takes it from its environment."""
        told = {f"{scheme}_proxy": self._proxy or self._proxies.get(scheme, "") for scheme in ("http", "https")}
        told["no_proxy"] = self._no_proxy
        return {form: value for name, value in told.items() if value for form in (name, name.upper())}

    def proxy_for(self, parts: SplitResult) -> str:
        """The proxy for a URL, "" for none."""
        variable = f"{parts.scheme}_proxy"
        given = self._proxy or self._proxies.get(parts.scheme, "")
        proxy = given or os.environ.get(variable.upper()) or os.environ.get(variable) or ""
        spared = self._no_proxy or os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        return "" if not proxy or is_spared(parts.hostname or "", spared) else proxy

    def line(self) -> Line:
        """Connections of one thread."""
        return Line(self)


class Line:
    """The connections of one thread, kept by host."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._kept: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def ask(self, request: Request) -> Answer:
        """Send, follow redirects. Raises OSError or HTTPException where nothing came, Refused for a bad redirect."""
        url, secret = request.url, request.secret
        for _ in range(REDIRECTS):
            answer = self._once(request.method, url, {**request.headers, **secret})
            target = answer.header("Location")
            if answer.status not in _MOVED or not target:
                return answer
            answer.close()
            there = urljoin(url, target)
            if _host(there) != _host(url):
                secret = {}
            if urlsplit(url).scheme == "https" and urlsplit(there).scheme != "https":
                raise Refused("SourceUnsafe", f"{place(url)} sends on to {place(there)}, which is not https")
            url = there
        raise Refused("SourceUnsafe", f"{place(request.url)} sends on and on, more than {REDIRECTS} times")

    def _once(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        """One exchange; a kept connection that the server has closed meanwhile is made anew."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused("SourceUnsafe", f"{place(url)} is no http or https address")
        key, target, extra = (parts.scheme, parts.netloc), _target(parts), {}
        proxy = self._web.proxy_for(parts)
        if proxy and parts.scheme == "http":
            target, extra = url.partition("#")[0], _proxy_headers(proxy)
        sent = {"Host": parts.netloc.rpartition("@")[2], "User-Agent": AGENT, "Accept-Encoding": "identity"}
        headers = {**sent, **extra, **headers}
        kept = self._kept.pop(key, None)
        if kept is not None and kept.sock is not None:
            with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
                return self._exchange(kept, key, Request(method, url, headers), target)  # else it was closed meanwhile
        return self._exchange(self._connected(parts, proxy), key, Request(method, url, headers), target)

    def _exchange(
        self, connection: http.client.HTTPConnection, key: tuple[str, str], request: Request, target: str
    ) -> Answer:
        try:
            connection.request(request.method, target, headers=request.headers)
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        self._kept[key] = connection
        return Answer(request.url, response, connection)

    def _connected(self, parts: SplitResult, proxy: str) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port
        through = urlsplit(proxy) if proxy else None
        if through is not None and through.scheme != "http":
            raise Refused("ProxyUnsupported", f"the proxy {place(proxy)} is no http:// address")
        near = (through.hostname or "", through.port or 3128) if through else (host, port)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self._web.context()
            connection = http.client.HTTPSConnection(near[0], near[1], timeout=CONNECT_SECONDS, context=context)
            if through:
                connection.set_tunnel(host, port or 443, _proxy_headers(proxy))
        else:
            connection = http.client.HTTPConnection(near[0], near[1], timeout=CONNECT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            if _REFUSES_TUNNEL in str(error):  # http.client has no other way to say it
                raise NotAllowed("ProxyForbidden", f"the proxy {place(proxy)} wants a user and password") from error
            raise
        connection.sock.settimeout(READ_SECONDS)
        limit = struct.pack("ll", int(READ_SECONDS), 0)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)  # for `_receive`
        return connection

    def close(self) -> None:
        """Close all."""
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()


def _receive(straight: socket.socket, view: memoryview) -> int:
    """As many bytes as fit, in one call of the kernel's, which a socket with a time limit of Python's would cut short.

    Python reads what has just come, mostly some ten KiB, after it has waited for that in a call of its own.
    """
    straight.settimeout(None)
    try:
        return straight.recv_into(view, len(view), socket.MSG_WAITALL)
    except BlockingIOError:
        raise socket.timeout("nothing came in time") from None
    finally:
        straight.settimeout(READ_SECONDS)


def place(url: str) -> str:
    """A URL fit to be shown: without user, password, query and fragment, where signatures stand."""
    parts = urlsplit(url)
    return shown(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")[:500]


def is_spared(host: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names this host: itself, a domain above it, `*`, or a network that holds its address."""
    for word in filter(None, (word.strip().lower() for word in no_proxy.split(","))):
        domain = word.lstrip("*").lstrip(".").partition(":")[0] if "/" not in word else word
        if word == "*" or host == domain or (domain and host.endswith("." + domain)):
            return True
        with contextlib.suppress(ValueError):
            if "/" in word and ipaddress.ip_address(host) in ipaddress.ip_network(word, strict=False):
                return True
    return False


def untrusted(url: str, error: ssl.SSLCertVerificationError) -> PvserveError:
    """The server shows a certificate that nobody here vouches for."""
    return Refused(
        "SourceCertificate",
        f"the certificate of {place(url)} is not trusted: {error.verify_message}",
        remedy=(
            "put the CA's certificate into the ConfigMap odh-trusted-ca-bundle of the namespace (key ca-bundle.crt), "
            "or name another ConfigMap with --ca",
        ),
    )


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    word = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(word).decode("ascii")}
