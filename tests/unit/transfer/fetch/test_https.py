"""Plain web servers alone: what they lack, where they send on to, and proxies."""

from __future__ import annotations

import hashlib
import os
import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from pvserve.errors import DataDiffers, NotAllowed, PvserveError, Refused
from pvserve.transfer.agent.fetch.web import is_spared, place

from .conftest import MIB, Kind
from .shop import Handler, Shop

Make = Callable[[str], Kind]


@pytest.fixture
def kind(make: Make) -> Kind:
    return make("https")


def test_a_server_that_forbids_head_is_not_asked_it(kind: Kind) -> None:
    kind.shop.head = False
    kind.check(kind.stock({"m.gguf": os.urandom(MIB)}), kind.load())
    assert {method for method, _, _ in kind.shop.seen} == {"GET"}


def test_a_server_that_tells_no_length_is_read_twice(kind: Kind) -> None:
    kind.shop.ranges = kind.shop.lengths = False
    files = kind.stock({"m.gguf": os.urandom(MIB + 7)})
    kind.check(files, kind.load())


def test_an_empty_file_is_a_file(kind: Kind) -> None:
    kind.check(kind.stock({"empty.bin": b""}), kind.load())


def test_a_promised_digest_decides(kind: Kind) -> None:
    files = kind.stock({"m.gguf": os.urandom(MIB)})
    good = hashlib.sha256(files["m.gguf"]).hexdigest()
    kind.extra["uri"] = f"{kind.shop.url}/m.gguf#sha256={'0' * 64}"
    with pytest.raises(DataDiffers):
        kind.load()
    assert not (kind.claim / "models/granite").exists()
    kind.extra["uri"] = f"{kind.shop.url}/m.gguf#sha256={good}"
    kind.check(files, kind.load())


def test_it_follows_to_another_server_without_the_password(kind: Kind) -> None:
    files = kind.stock({"m.gguf": os.urandom(MIB)})
    (kind.secret / "token").write_text("word")

    def elsewhere(handler: Handler, _path: str) -> bool:
        if not handler.headers["Host"].startswith("127.0.0.1"):
            return False
        assert handler.headers["Authorization"] == "Bearer word"
        handler.error(302, {"Location": f"{kind.shop.url.replace('127.0.0.1', 'localhost')}/m.gguf"})
        return True

    kind.shop.faults = [elsewhere]
    kind.check(files, kind.load())
    there = [headers for _, _, headers in kind.shop.seen if headers["Host"].startswith("localhost")]
    assert there
    assert not any("Authorization" in headers for headers in there)


@pytest.mark.parametrize("target", ["/m.gguf", "http://127.0.0.1:1/m.gguf", "file:///etc/passwd"])
def test_a_loop_and_a_way_down_from_https_are_refused(kind: Kind, target: str) -> None:
    kind.stock({"m.gguf": b"1"})
    kind.shop.faults = [lambda handler, _path: not handler.error(302, {"Location": target})]
    with pytest.raises(Refused) as refused:
        kind.load()
    assert refused.value.reason == "SourceUnsafe"


def test_what_comes_compressed_unasked_is_refused(kind: Kind) -> None:
    kind.stock({"m.gguf": b"1" * 1000})
    kind.shop.ranges = False
    kind.shop.said = {"Content-Encoding": "gzip"}
    with pytest.raises(PvserveError) as encoded:
        kind.load()
    assert encoded.value.reason == "SourceEncoded"


def test_a_wrong_range_is_asked_for_again(kind: Kind) -> None:
    files = kind.stock({"m.gguf": os.urandom(2 * MIB)})
    lies = [1]

    def lie(handler: Handler, _path: str) -> bool:
        if handler.headers.get("Range") == "bytes=0-0" or not lies[0]:
            return False
        lies[0] -= 1
        size = len(files["m.gguf"])
        handler.send(206, files["m.gguf"][1:], {"Content-Range": f"bytes 1-{size - 1}/{size}"})
        return True

    kind.shop.faults = [lie]
    kind.check(files, kind.load())
    assert lies == [0]


def test_passwords_and_signatures_are_not_shown() -> None:
    assert place("https://u:p@h/x?X-Amz-Signature=s#f") == "https://h/x"


class Proxy(socketserver.StreamRequestHandler):
    """CONNECT alone, with a password where one is asked for."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.rfile.readline()
        self.server.asked.append(head)  # type: ignore[attr-defined]
        if self.server.forbids:  # type: ignore[attr-defined]
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            self._pass_on(there)

    def _pass_on(self, there: socket.socket) -> None:
        while True:
            for ready in select.select([self.connection, there], [], [], 5)[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                (there if ready is self.connection else self.connection).sendall(data)


@pytest.fixture
def proxy() -> Iterator[socketserver.ThreadingTCPServer]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    server.asked, server.forbids = [], False  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_forward_proxy_is_asked_to_connect(kind: Kind, proxy: socketserver.ThreadingTCPServer) -> None:
    files = kind.stock({"m.gguf": os.urandom(MIB)})
    kind.check(files, kind.load(proxy=f"http://127.0.0.1:{proxy.server_address[1]}"))
    assert proxy.asked[0].startswith(b"CONNECT 127.0.0.1:")  # type: ignore[attr-defined]


def test_the_pods_own_variables_name_a_proxy_and_who_is_spared(
    kind: Kind, proxy: socketserver.ThreadingTCPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = kind.stock({"m.gguf": os.urandom(MIB)})
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_address[1]}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    kind.check(files, kind.load())
    assert proxy.asked == []  # type: ignore[attr-defined]


def test_a_proxy_that_wants_a_password_says_so(kind: Kind, proxy: socketserver.ThreadingTCPServer) -> None:
    kind.stock({"m.gguf": b"1"})
    proxy.forbids = True  # type: ignore[attr-defined]
    with pytest.raises(NotAllowed) as forbidden:
        kind.load(proxy=f"http://127.0.0.1:{proxy.server_address[1]}")
    assert forbidden.value.reason == "ProxyForbidden"


@pytest.mark.parametrize(
    ("host", "no_proxy", "spared"),
    [
        ("h.svc", ".svc,other", True),
        ("h.svc", "svc", True),
        ("hsvc", "svc", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("h", "*", True),
        ("h.example", "*.example", True),
        ("h", "", False),
    ],
)
def test_who_is_spared_a_proxy(host: str, no_proxy: str, spared: bool) -> None:
    assert is_spared(host, no_proxy) is spared


def test_plain_http_works_too(make: Make) -> None:
    kind = make("https")
    with Shop() as plain:
        plain.files = kind.shop.files = {"m.gguf": os.urandom(MIB)}
        kind.extra = {"scheme": "http", "uri": f"{plain.url}/m.gguf"}
        kind.check(plain.files, kind.load())
