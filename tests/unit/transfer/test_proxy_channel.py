"""Bytes by the API server's pod proxy: our TLS inside its own, and what may answer in the pod's place."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cluster.authority import Authority
from tests.unit.cluster.conftest import kubeconfig

from pvserve.cluster import Cluster
from pvserve.cluster.line import Line
from pvserve.errors import PvserveError
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, Via, load
from pvserve.transfer.agent.listen import tls_context
from pvserve.transfer.channels import open_channel
from pvserve.transfer.inner import Inner
from pvserve.transfer.tls import new_secret

from .apiserver import PodProxy
from .conftest import MIB
from .pod import LocalPod, contents

Start = Callable[..., PodProxy]


def test_a_connection_that_the_api_server_cuts_is_made_again(
    start: Start, reach: Callable[[PodProxy], Proxied], source: Path, claim: Path, cache: DigestCache
) -> None:
    server = start()
    server.cut_at = 2 * MIB
    done = load(listing(source), reach(server), Target("granite", "vllm", str(claim)), via="proxy", cache=cache)
    assert server.cut_at is None  # it was
    assert done.channel == "proxy"
    assert contents(claim / "granite") == contents(source)


FORBIDDEN = (
    b'{"kind": "Status", "code": 403, "message": "pods \\"loader\\" is forbidden: User \\"jane\\" cannot get resource'
    b' \\"pods/proxy\\" in API group \\"\\" in the namespace \\"llm\\""}'
)
FORBIDDEN_WORDS = "proxy: user jane may not get pods/proxy in namespace llm"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@dataclasses.dataclass
class Proxied(LocalPod):
    """A local pod whose port is reached through a server in the API server's place."""

    cluster: Cluster | None = None

    def proxied(self, port: int, timeout: float) -> Any:
        assert self.cluster is not None
        return self.cluster.proxied("loader", "llm", port, timeout)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start(authority: Authority) -> Iterator[Start]:
    running: list[PodProxy] = []

    def started(answer: Callable[[bytes], bytes] | None = None) -> PodProxy:
        running.append(PodProxy(authority.server_context("127.0.0.1"), answer))
        return running[-1]

    yield started
    for server in running:
        server.close()


@pytest.fixture
def reach(authority: Authority, tmp_path: Path) -> Callable[[PodProxy], Proxied]:
    def made(server: PodProxy) -> Proxied:
        path = kubeconfig(tmp_path, server.url)
        path.write_text(path.read_text().replace('"}}]', f'", certificate-authority: {authority.file}}}}}]'))
        return Proxied(cluster=Cluster.connect(kubeconfig=str(path)))

    return made


def test_a_load_inside_the_api_servers_tls(
    start: Start, reach: Callable[[PodProxy], Proxied], source: Path, claim: Path, cache: DigestCache
) -> None:
    (source / "config.json").write_bytes(b'{"canary": "plainly readable"}')
    server = start()
    done = load(listing(source), reach(server), Target("granite", "vllm", str(claim)), via="proxy", cache=cache)
    assert done.channel == "proxy"
    assert contents(claim / "granite") == contents(source)
    first = server.requests[0].split(b"\r\n")
    assert first[0].startswith(b"GET /api/v1/namespaces/llm/pods/loader%3A")
    assert first[0].endswith(b"/proxy/pvserve HTTP/1.1")
    assert b"Authorization: Bearer secret" in first
    assert len(server.passed) > done.sent_bytes
    for readable in (b"plainly readable", b"model.safetensors", b'"token"'):
        assert readable not in bytes(server.passed)


ANSWERS = {
    "403": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(FORBIDDEN), FORBIDDEN), FORBIDDEN_WORDS),
    "500": (b"HTTP/1.1 500 Internal\r\nContent-Length: 8\r\n\r\ndial tcp", "dial tcp"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n", "elsewhere"),
    "a page": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200"),
    "no accept": (SWITCH + b"\r\n", "does not speak"),
    "a wrong accept": (SWITCH + b"Sec-WebSocket-Accept: AAAA\r\n\r\n", "does not speak"),
    "endless headers": (SWITCH + b"a: b\r\n" * 5000, ""),
    "no HTTP": (b"\x16\x03\x01" * 10, ""),
    "nothing": (b"", "no answer to the upgrade request"),
}


@pytest.mark.parametrize(("answer", "words"), ANSWERS.values(), ids=ANSWERS)
def test_another_answer_is_passed_over_with_its_reason(
    answer: bytes,
    words: str,
    start: Start,
    reach: Callable[[PodProxy], Proxied],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pvserve.transfer.channels.CONNECT_SECONDS", 0.5)
    server = start(lambda _: answer)
    pod = reach(server)
    pod.can_forward = True
    channel = open_channel(pod, "auto", "x")
    channel.close()
    assert channel.name == "port-forward"
    assert "proxy: " in channel.passed_over
    assert words in channel.passed_over


@pytest.mark.parametrize("via", ["proxy", "port-forward", "pod"])
def test_a_channel_that_was_asked_for_is_not_replaced(
    via: Via, start: Start, reach: Callable[[PodProxy], Proxied]
) -> None:
    with pytest.raises(PvserveError) as refused:
        open_channel(reach(start(lambda _: ANSWERS["403"][0])), via, "x")
    assert refused.value.reason == "ChannelUnavailable"
    assert f"{via}: " in refused.value.message


BULK = 16 << 20


def test_both_directions_full_at_once_do_not_stand_still() -> None:
    """The far end reads nothing until all that it says was taken."""
    ours, theirs = socket.socketpair()
    secret = new_secret()

    def far_end() -> None:
        with tls_context(secret.certificate, secret.key).wrap_socket(theirs, server_side=True) as stream:
            stream.sendall(bytes(BULK))
            left = BULK
            while left:
                left -= len(stream.recv(1 << 16))
            stream.sendall(b"done")

    threading.Thread(target=far_end, daemon=True).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    inner = Inner(Line(ours), context)
    assert hashlib.sha256(inner.certificate()).digest() == secret.fingerprint
    inner.settimeout(20)
    writer = threading.Thread(target=inner.sendall, args=(bytes(BULK),), daemon=True)
    writer.start()
    view = memoryview(bytearray(1 << 20))
    got, last = 0, b""
    while got < BULK + 4:
        count = inner.recv_into(view)
        got, last = got + count, bytes(view[max(0, count - 4) : count])
    assert (got, last) == (BULK + 4, b"done")
    assert inner.recv_into(view) == 0
    writer.join(5)
    assert not writer.is_alive()
    inner.close()


def test_closing_wakes_who_waits_inside() -> None:
    ours, theirs = socket.socketpair()
    secret = new_secret()
    ready = threading.Event()

    def far_end() -> None:
        with tls_context(secret.certificate, secret.key).wrap_socket(theirs, server_side=True):
            ready.wait(20)

    threading.Thread(target=far_end, daemon=True).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    inner = Inner(Line(ours), context)
    threading.Timer(0.2, inner.close).start()
    with contextlib.suppress(OSError):
        assert inner.recv_into(memoryview(bytearray(10))) == 0
    ready.set()
