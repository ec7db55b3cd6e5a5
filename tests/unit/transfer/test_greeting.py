"""What the agent's port takes from who has shown no token: TLS, one HTTP request, nothing else, for a short time."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvserve.cluster import pod_proxy
from pvserve.transfer.agent import greeting, listen
from pvserve.transfer.agent.aside import Aside
from pvserve.transfer.agent.frames import HEADER, HELLO, PING, VERSION, Broken
from pvserve.transfer.agent.greeting import HEAD, NoUpgrade, accepted
from pvserve.transfer.tls import Secret, new_secret, secure_within

from .pod import UPGRADE

HANDSHAKE = 0.5  # seconds, in place of 10


class Port:
    """A listener of this process, and what becomes of connections to it."""

    def __init__(self) -> None:
        self.secret = new_secret()
        self.server = socket.create_server(("127.0.0.1", 0))
        context = listen.tls_context(self.secret.certificate, self.secret.key)
        listener = listen.Listener(self.server, context, self.secret.token, "/dev/null", Aside())
        self.thread = threading.Thread(target=listener.serve, daemon=True)
        self.thread.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.server.getsockname(), 10)

    def upgraded(self) -> socket.socket:
        plain = self.connect()
        with contextlib.ExitStack() as stack:
            stack.callback(plain.close)
            plain.sendall(UPGRADE)
            if not plain.recv(4096).startswith(b"HTTP/1.1 101 "):
                raise ConnectionError("no upgrade")
            stack.pop_all()
        return plain

    def ends_within(self, seconds: float, piece: bytes, peer: socket.socket) -> bool:
        """Whether who sends this all the time is let go in time."""
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 2 * seconds:
                peer.sendall(piece)
                time.sleep(HANDSHAKE / 50)
        return HANDSHAKE / 2 < time.monotonic() - began < seconds


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    monkeypatch.setattr(listen, "HANDSHAKE_SECONDS", HANDSHAKE)
    made = Port()
    yield made
    made.server.close()


def ended(plain: socket.socket, within: float = HANDSHAKE + 5) -> bytes:
    """What still came until the far end let go."""
    said = b""
    plain.settimeout(within)
    with contextlib.suppress(ConnectionResetError):
        while piece := plain.recv(4096):
            said += piece
    return said


def within(plain: socket.socket) -> ssl.SSLSocket:
    """TLS, as anybody can have it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def hello(token: object) -> bytes:
    text = json.dumps({"version": VERSION, "token": token, "role": "data"}).encode()
    return HEADER.pack(HELLO, 0, len(text), 0, 0) + text


def test_the_holder_of_the_token_comes_in(port: Port) -> None:
    wire, stream = secure_within(port.upgraded(), port.secret, "data")
    stream.close()
    assert wire.sent > 0


def test_the_answer_is_that_of_rfc_6455(port: Port) -> None:
    plain = port.connect()
    plain.sendall(UPGRADE)
    lines = plain.recv(4096).split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines  # RFC 6455, 1.3
    assert b"Sec-WebSocket-Protocol: tls.pvserve.io" in lines
    plain.close()


def changed(old: bytes, new: bytes) -> bytes:
    assert old in UPGRADE
    return UPGRADE.replace(old, new)


REFUSED = {
    "no upgrade": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.0": changed(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"),
    "another path": changed(b"GET /pvserve", b"GET http://elsewhere/"),
    "another upgrade": changed(b"Upgrade: websocket", b"Upgrade: h2c"),
    "two upgrades": changed(b"Upgrade: websocket", b"Upgrade: websocket, h2c"),
    "another subprotocol": changed(b"tls.pvserve.io", b"v5.channel.k8s.io"),
    "no key": changed(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "a short key": changed(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhl"),
    "two keys": changed(b"Host:", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost:"),
    "a body": changed(b"Host:", b"Content-Length: 5\r\nHost:"),
    "chunks": changed(b"Host:", b"Transfer-Encoding: chunked\r\nHost:"),
    "a folded header": changed(b"Host:", b" folded\r\nHost:"),
    "a NUL": changed(b"pvserve/1", b"pvserve\0"),
    "a bare line feed": changed(b"pvserve/1", b"a\nb"),
    "more than the request": UPGRADE + b"\x16\x03\x01",
    "too much": changed(b"pvserve/1", b"a" * HEAD),
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_any_other_request_is_told_so_and_let_go(port: Port, request_: bytes) -> None:
    plain = port.connect()
    with contextlib.suppress(ConnectionError):
        plain.sendall(request_)
    assert ended(plain).split(b"\r\n")[0] in (b"HTTP/1.1 426 Upgrade Required", b"")  # "": the reset was faster
    plain.close()


@pytest.mark.parametrize(
    "first", [b"\0", b"SSH-2.0-x\r\n", b"POST / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"\x15"]
)
def test_what_is_neither_tls_nor_get_hears_nothing(port: Port, first: bytes) -> None:
    plain = port.connect()
    plain.sendall(first)
    assert ended(plain) == b""
    plain.close()


@pytest.mark.parametrize("said", [b"", b"G", UPGRADE[:-2], b"\x16", b"\x16\x03\x01\x02\x00"])
def test_who_does_not_go_on_is_let_go(port: Port, said: bytes) -> None:
    began = time.monotonic()
    plain = port.connect()
    plain.sendall(said)
    ended(plain)
    assert time.monotonic() - began < HANDSHAKE + 3
    plain.close()


def test_who_drips_is_let_go_all_the_same(port: Port) -> None:
    """The time is for all of it, not for each byte."""
    plain = port.connect()
    plain.sendall(UPGRADE[:30])
    assert port.ends_within(HANDSHAKE + 3, b"a", plain)
    plain.close()


@pytest.mark.parametrize("token", ["", "0" * 64, None, 5, ["a"], "ü" * 10])
@pytest.mark.parametrize("way", ["connect", "upgraded"])
def test_a_wrong_token_hears_nothing(port: Port, token: object, way: str) -> None:
    stream = within(getattr(port, way)())
    stream.sendall(hello(token))
    assert ended(stream) == b""
    stream.close()


def test_before_the_token_no_large_frame_is_read(port: Port) -> None:
    stream = within(port.upgraded())
    stream.sendall(HEADER.pack(HELLO, 0, 1 << 20, 0, 0))
    began = time.monotonic()
    assert ended(stream) == b""
    assert time.monotonic() - began < HANDSHAKE  # at once: not when the time was over
    stream.close()


def test_signs_of_life_without_a_token_do_not_keep_a_connection(port: Port) -> None:
    stream = within(port.upgraded())
    assert port.ends_within(HANDSHAKE + 3, HEADER.pack(PING, 0, 0, 0, 0), stream)
    stream.close()


def test_many_who_stand_in_the_door_do_not_keep_it_shut(port: Port) -> None:
    crowd = [port.connect() for _ in range(listen.BACKLOG)]
    deadline = time.monotonic() + HANDSHAKE + 5
    while True:
        try:
            _, stream = secure_within(port.upgraded(), port.secret, "data")
            break
        except (OSError, Broken):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    stream.close()
    for plain in crowd:
        plain.close()


def test_a_listener_whom_only_others_knock_at_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "CONNECT_SECONDS", 0.4)
    monkeypatch.setattr(listen, "HANDSHAKE_SECONDS", 0.2)
    port = Port()
    deadline = time.monotonic() + 10
    while port.thread.is_alive():
        assert time.monotonic() < deadline
        with contextlib.suppress(OSError):
            port.connect().close()
        port.thread.join(0.02)
    port.server.close()


def test_somebody_else_than_the_agent_is_not_shown_the_token(port: Port) -> None:
    other = new_secret()
    mixed = Secret(other.certificate, other.key, port.secret.token, other.fingerprint)
    with pytest.raises(Broken, match="somebody else"):
        secure_within(port.upgraded(), mixed, "data")


@given(st.binary(max_size=300))
def test_no_request_breaks_the_reader(head: bytes) -> None:
    with contextlib.suppress(NoUpgrade):
        accepted(head)


@given(
    st.lists(
        st.tuples(st.sampled_from([b"Upgrade", b"Connection", b"Sec-WebSocket-Key", b"X"]), st.binary(max_size=30))
    )
)
def test_no_header_breaks_the_reader(fields: list[tuple[bytes, bytes]]) -> None:
    with contextlib.suppress(NoUpgrade):
        accepted(b"\r\n".join([b"GET / HTTP/1.1", *(name + b": " + value for name, value in fields)]))


def test_both_sides_mean_the_same_subprotocol() -> None:
    assert pod_proxy.TLS == greeting.TLS
