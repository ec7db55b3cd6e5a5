"""A control stream is read while others write to it, for as long as a load takes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pvserve.transfer.agent.frames import HELLO, PING, VERSION, Wire
from pvserve.transfer.agent.listen import tls_context
from pvserve.transfer.tls import Secret, new_secret, secure

FRAMES = 3000  # one in 6 to 1500 found Python's SSLSocket at its supposed end


def talk(server: socket.socket, secret: Secret) -> None:
    """An agent that speaks all the time, with pauses for which its reader has to wait."""
    plain, _ = server.accept()
    with contextlib.suppress(OSError), tls_context(secret.certificate, secret.key).wrap_socket(plain, True) as stream:
        wire = Wire(stream.recv_into, stream.sendall, guard=False)
        wire.expect(HELLO)
        wire.send_json(HELLO, {"version": VERSION})
        listener = threading.Thread(target=hear, args=(wire,), daemon=True)
        listener.start()
        for _ in range(FRAMES):
            wire.send(PING)
            time.sleep(0.0001)
        listener.join()  # what closes while more comes resets the connection, and takes back what was sent


def hear(wire: Wire) -> None:
    with contextlib.suppress(Exception):
        while True:
            wire.receive()


@pytest.fixture
def agent() -> Iterator[tuple[Secret, tuple[str, int]]]:
    secret = new_secret()
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=talk, args=(server, secret), daemon=True).start()
        yield secret, server.getsockname()


def test_a_stream_that_is_read_while_it_is_written_does_not_seem_to_end(agent: tuple[Secret, tuple[str, int]]) -> None:
    secret, address = agent
    wire, stream = secure(socket.create_connection(address), secret, "control")
    stream.settimeout(60)
    over = threading.Event()

    def write() -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                wire.send(PING, b"x" * 60)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(FRAMES):
            assert wire.receive().kind == PING
    finally:
        over.set()
        stream.close()
        writer.join(10)
