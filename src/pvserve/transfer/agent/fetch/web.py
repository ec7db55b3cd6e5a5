"""HTTP(S) from inside a pod: kept connections, private CAs, proxies, redirects.

Owns connections and what may be sent to whom. Must not know which source is read, nor retry.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import os
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from pvserve.errors import NotAllowed, PvserveError, Refused
from pvserve.model.contain import shown

CONNECT_SECONDS, READ_SECONDS = 20.0, 60.0
REDIRECTS = 10
AGENT = "pvserve"
# Where distributions keep their CAs, for a Python whose own OpenSSL looks elsewhere (conda, python-build).
SYSTEM_CA = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
CA_DIRECTORY = "SSL_CERT_DIR"
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

    def header(self, name: str) -> str:
        """A header's value, "" where there is none."""
        return self._response.getheader(name) or ""

    def fill(self, view: memoryview) -> int:
        """Read until `view` is full or the body ends; raises OSError or HTTPException where it was cut."""
        done = 0
        while done < len(view):
            count = self._response.readinto(view[done:])
            if not count:
                break
            done += count
        return done

    def some(self, view: memoryview) -> int:
        """One read."""
        return self._response.readinto(view)

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
    """What all connections share. `ca` are files and directories with PEM certificates, beside the system's own."""

    def __init__(self, ca: list[str], proxy: str = "", no_proxy: str = "") -> None:
        self._ca = ca
        self._context: ssl.SSLContext | None = None
        self._proxy = proxy
        self._no_proxy = no_proxy

    def context(self) -> ssl.SSLContext:
        """TLS as it should be, trusting also what was mounted or named by one of the usual variables."""
        if self._context is None:
            context = ssl.create_default_context()
            files = [os.environ[name] for name in CA_FILES if os.environ.get(name)]
            if not context.get_ca_certs():
                files += [name for name in SYSTEM_CA if os.path.exists(name)][:1]
            for name in [*files, *_pem_files(self._ca)]:
                with contextlib.suppress(OSError):  # ssl.SSLError too: an empty bundle is no bundle
                    context.load_verify_locations(cafile=name)
            if os.environ.get(CA_DIRECTORY):
                context.load_verify_locations(capath=os.environ[CA_DIRECTORY])
            self._context = context
        return self._context

    def proxy_for(self, parts: SplitResult) -> str:
        """The proxy for a URL, "" for none."""
        variable = f"{parts.scheme}_proxy"
        proxy = self._proxy or os.environ.get(variable.upper()) or os.environ.get(variable) or ""
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
        return connection

    def close(self) -> None:
        """Close all."""
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()


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


def _pem_files(places: list[str]) -> list[str]:
    found: list[str] = []
    for name in places:
        if os.path.isdir(name):
            inner = sorted(os.path.join(name, entry) for entry in os.listdir(name) if not entry.startswith("."))
            found += [path for path in inner if os.path.isfile(path)]
        elif os.path.isfile(name):
            found.append(name)
    return found


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
