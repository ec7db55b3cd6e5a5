"""Which proxy is used for the API server, and that requests and streams both go through it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.proxy import bypassed, environment_proxy
from pvserve.errors import NotAllowed, Temporary, UsageError

from .conftest import kubeconfig
from .proxies import Proxy, connect_proxy, socks_proxy
from .server import Answer, Server, status

VERSION = Answer(body={"gitVersion": "v1.34.4"})
FAR = "http://api.example:6443"  # a name that only the proxy can resolve


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "expected"),
    [
        ("", "api.example", 6443, False),
        ("*", "api.example", 6443, True),
        ("example", "api.example", 6443, True),
        (".example", "api.example", 6443, True),
        ("*.example", "api.example", 6443, True),
        ("api.example", "API.Example", 6443, True),
        ("pi.example", "api.example", 6443, False),
        (".api.example", "api.example", 6443, False),
        ("other, api.example:6443", "api.example", 6443, True),
        ("api.example:443", "api.example", 6443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.1.2.3", "10.1.2.30", 443, False),
        ("fd00::/8", "fd00::1", 443, True),
        ("", "localhost", 443, True),
        ("", "127.0.0.1", 443, True),
    ],
)
def test_no_proxy_follows_the_rules_of_kubectl(no_proxy: str, host: str, port: int, expected: bool) -> None:
    assert bypassed(host, port, no_proxy) is expected


def test_the_proxy_goes_by_the_scheme_and_small_letters_win() -> None:
    environ = {"HTTPS_PROXY": "http://big", "https_proxy": "http://small", "HTTP_PROXY": "http://plain"}
    assert environment_proxy("https://api.example", environ) == "http://small"
    assert environment_proxy("http://api.example", environ) == "http://plain"
    assert environment_proxy("https://api.example", {**environ, "NO_PROXY": "example"}) == ""
    assert environment_proxy("https://api.example", {}) == ""


def test_streams_go_through_the_proxy_too(serve: Callable[..., Server], tmp_path: Path) -> None:
    message = 'User "jane" cannot get resource "pods/exec" in API group "" in the namespace "llm"'
    server = serve(lambda _: status(403, message, "Forbidden"))
    for proxy, scheme in ((connect_proxy(server.port), "http"), (socks_proxy(server.port), "socks5")):
        cluster = through(tmp_path, proxy, scheme)
        with pytest.raises(NotAllowed, match="may not get pods/exec"):  # an answer of the server behind
            cluster.exec("pod", "llm", "main", ["true"])
        assert "api.example:6443" in proxy.wishes[-1]
        proxy.close()


def through(directory: Path, proxy: Proxy, scheme: str) -> Cluster:
    path = kubeconfig(directory, FAR)
    path.write_text(path.read_text().replace('6443"', f'6443", proxy-url: "{scheme}://127.0.0.1:{proxy.port}"'))
    return Cluster.connect(kubeconfig=str(path))


def test_requests_go_through_a_socks_proxy_that_resolves_the_name(serve: Callable[..., Server], tmp_path: Path) -> None:
    proxy = socks_proxy(serve(lambda _: VERSION).port)
    try:
        assert through(tmp_path, proxy, "socks5").version() == "v1.34.4"
        assert proxy.wishes == ["api.example:6443"]
    finally:
        proxy.close()


def test_a_proxy_that_refuses_is_told_as_such(serve: Callable[..., Server], tmp_path: Path) -> None:
    proxy = connect_proxy(9, refuse=True)
    try:
        with pytest.raises(Temporary):
            through(tmp_path, proxy, "http").exec("pod", "llm", "main", ["true"])
    finally:
        proxy.close()


def test_a_socks_proxy_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    path = kubeconfig(tmp_path, FAR)
    path.write_text(path.read_text().replace('6443"', '6443", proxy-url: "socks5://127.0.0.1:9"'))
    with pytest.raises(UsageError) as caught:
        Cluster.connect(kubeconfig=str(path))
    assert caught.value.remedy == ("pip install PySocks",)
