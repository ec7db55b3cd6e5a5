"""Stand-ins for an API server, and clusters connected to them."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster

from .authority import Authority
from .server import Script, Server
from .spdy_server import SpdyServer, Spoken

Serve = Callable[..., Server]
ServeSpdy = Callable[..., tuple[Cluster, SpdyServer]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig and no proxy of the machine that the tests run on."""
    for name in ("KUBECONFIG", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that end with the test."""
    running: list[Server] = []

    def start(script: Script, tls: ssl.SSLContext | None = None) -> Server:
        running.append(Server(script, tls))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def connect(tmp_path: Path) -> Callable[..., Cluster]:
    """A cluster behind a server of `serve`, in plain HTTP, with a token."""

    def connected(server: Server, *, token: str = "secret", **more: object) -> Cluster:
        return Cluster.connect(kubeconfig=str(kubeconfig(tmp_path, server.url, token)), **more)

    return connected


def kubeconfig(directory: Path, url: str, token: str = "secret") -> Path:
    """The simplest kubeconfig."""
    path = directory / "kubeconfig"
    path.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: u, namespace: llm}}}}]
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
"""
    )
    return path


def connected_to(directory: Path, url: str, authority: Authority) -> Cluster:
    """A cluster at a URL, whose certificate is one of `authority` where it has one."""
    path = kubeconfig(directory, url)
    if url.startswith("https:"):
        path.write_text(path.read_text().replace('"}}]', f'", certificate-authority: {authority.file}}}}}]'))
    return Cluster.connect(kubeconfig=str(path))


@pytest.fixture
def serve_spdy(authority: Authority, tmp_path: Path) -> Iterator[ServeSpdy]:
    """A cluster whose ports are served by `spoken`."""
    running: list[SpdyServer] = []

    def started(spoken: Spoken, *, tls: bool = False) -> Any:
        server = SpdyServer(spoken, authority.server_context("127.0.0.1") if tls else None)
        running.append(server)
        return connected_to(tmp_path, server.url, authority), server

    yield started
    for server in running:
        server.close()
