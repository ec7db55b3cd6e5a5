"""How to get a TCP connection to the API server: straight, or through the proxy that is configured for it.

Owns the choice of the proxy and its tunnel. Must not know TLS to the API server, nor Kubernetes.
"""

from __future__ import annotations

import base64
import http.client
import importlib
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from pvserve.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
SOCKS = ("socks5", "socks5h")
DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def environment_proxy(url: str, environ: Mapping[str, str]) -> str:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY ask for, "" for none; small letters win, as in curl."""
    parts = urlsplit(url)
    host, scheme = parts.hostname or "", parts.scheme
    if bypassed(host, parts.port or DEFAULT_PORTS[scheme], _either(environ, "no_proxy")):
        return ""
    return _either(environ, f"{scheme}_proxy")


def _either(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY exempts `host`, by the rules of Go's x/net/http/httpproxy, which kubectl follows.

    Entries are names with their sub-domains, `.domain`, addresses, networks in CIDR form, each with an optional port,
    or `*`. Loopback is always exempt.
    """
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in (item.strip().lower() for item in no_proxy.split(",")):
        if entry == "*" or (entry and _matches(entry, host.lower(), port, address)):
            return True
    return False


def _matches(entry: str, host: str, port: int, address: Address | None) -> bool:
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            pass
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdigit():
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    bare = entry.removeprefix("*").removeprefix(".")
    return (host == bare and not entry.startswith(".")) or host.endswith("." + bare)


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def dial(host: str, port: int, proxy: str, timeout: float) -> socket.socket:
    """A TCP connection to the API server, through `proxy` where that is not empty.

    Raises OSError, and UsageError for a proxy that streams cannot go through.
    """
    if not proxy:
        sock = socket.create_connection((host, port), timeout)
    else:
        parts = urlsplit(proxy)
        sock = _socks(parts, host, port, timeout) if parts.scheme in SOCKS else _tunnel(parts, host, port, timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _tunnel(proxy: SplitResult, host: str, port: int, timeout: float) -> socket.socket:
    """HTTP CONNECT."""
    if proxy.scheme != "http":
        raise UsageError(
            "ProxyNotSupported",
            f"exec and port-forward cannot go through a {proxy.scheme}:// proxy",
            remedy=("give the proxy an http:// or socks5:// address (proxy-url of the kubeconfig, HTTPS_PROXY)",),
        )
    connection = http.client.HTTPConnection(proxy.hostname or "", proxy.port or DEFAULT_PORTS["http"], timeout=timeout)
    connection.set_tunnel(host, port, headers=authorization(proxy))
    connection.connect()
    sock: socket.socket = connection.sock
    return sock


def authorization(proxy: SplitResult) -> dict[str, str]:
    """The header for the user and password in the proxy's address, if there are any."""
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _socks(proxy: SplitResult, host: str, port: int, timeout: float) -> socket.socket:
    """The proxy resolves the name, as in kubectl."""
    socks = need_socks()
    sock: socket.socket = socks.create_connection(
        (host, port),
        timeout=timeout,
        proxy_type=socks.SOCKS5,
        proxy_addr=proxy.hostname,
        proxy_port=proxy.port or DEFAULT_PORTS[proxy.scheme],
        proxy_rdns=True,
        proxy_username=unquote(proxy.username) if proxy.username else None,
        proxy_password=unquote(proxy.password) if proxy.password else None,
    )
    return sock


def need_socks() -> Any:
    """PySocks, which is asked for only by who has such a proxy."""
    try:
        socks = importlib.import_module("socks")
    except ImportError as error:
        raise UsageError(
            "ProxyNeedsPySocks", "a socks5:// proxy needs the package PySocks", remedy=("pip install PySocks",)
        ) from error
    return socks
