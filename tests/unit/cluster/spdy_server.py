"""A stand-in for API server, kubelet and runtime that speaks SPDY/3.1; what is no SPDY is answered as the test says.

Written from the standard, not from `pvserve.cluster.spdy`: it reads what the client sends by rules of its own.
"""

from __future__ import annotations

import socket
import ssl
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from pvserve.cluster import Cluster
from pvserve.cluster.forward import Forward
from pvserve.cluster.spdy import Pair

from .sockets import Listening

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
MIB = 1 << 20
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
NO_HEADERS = bytes(12)  # of a reply: whatever it is, it is not read


@dataclass(frozen=True)
class Frame:
    """`kind` 0 is data, and `number` then the stream's; of a control frame it is that of its first word."""

    kind: int
    number: int
    flags: int
    body: bytes


class SpdyPeer:
    """The server's end of one connection; reads only when asked to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            piece = sock.recv(1)
            if not piece:
                raise ConnectionError("the client is gone")
            self.head += piece
        self.headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in self.head.decode().split("\r\n")[1:])
        }
        self._unpacker = zlib.decompressobj()
        self.data = self.errors = 0  # the streams' numbers

    def accept(self) -> list[dict[str, str]]:
        """Agrees, and opens both streams; their headers."""
        self.sock.sendall(ACCEPTED)
        asked = []
        for _ in range(2):
            frame = self.frame()
            assert frame.kind == SYN_STREAM
            headers = self._block(frame.body[10:])
            asked.append(headers)
            if headers["streamtype"] == "data":
                self.data = frame.number
            else:
                self.errors = frame.number
            self.control(SYN_REPLY, frame.number.to_bytes(4, "big") + NO_HEADERS)
        return asked

    def frame(self) -> Frame:
        first, second = struct.unpack("!II", self._exactly(8))
        body = self._exactly(second & 0xFFFFFF)
        if first >> 31:
            assert first >> 16 == 0x8003
            return Frame(first & 0xFFFF, int.from_bytes(body[:4], "big"), second >> 24, body)
        return Frame(0, first, second >> 24, body)

    def control(self, kind: int, body: bytes, flags: int = 0) -> None:
        self.sock.sendall(struct.pack("!HHI", 0x8003, kind, flags << 24 | len(body)) + body)

    def send(self, data: bytes | bytearray, stream: int | None = None, flags: int = 0) -> None:
        self.sock.sendall(struct.pack("!II", stream or self.data, flags << 24 | len(data)) + data)

    def end(self, words: bytes = b"") -> None:
        """As the kubelet's library does it: the data end first, then come the words."""
        self.send(b"", flags=FIN)
        if words:
            self.send(words, self.errors)
        self.send(b"", self.errors, FIN)

    def bytes(self, count: int) -> bytearray:
        """So many of the data stream."""
        got = bytearray()
        while len(got) < count:
            frame = self.frame()
            assert (frame.kind, frame.number, frame.flags) == (0, self.data, 0)
            got += frame.body
        return got

    def _block(self, packed: bytes) -> dict[str, str]:
        block = self._unpacker.decompress(packed)
        [count], at, words = struct.unpack_from("!I", block), 4, []
        for _ in range(2 * count):
            [size] = struct.unpack_from("!I", block, at)
            words.append(block[at + 4 : at + 4 + size].decode())
            at += 4 + size
        assert at == len(block)
        return dict(zip(words[::2], words[1::2], strict=True))

    def _exactly(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            piece = self.sock.recv(count - len(got))
            if not piece:
                raise ConnectionError("the client is gone")
            got += piece
        return bytes(got)


Spoken = Callable[[SpdyPeer], None]


class SpdyServer(Listening):
    """`heads` grows with each request."""

    def __init__(self, spoken: Spoken, tls: ssl.SSLContext | None = None) -> None:
        self._spoken = spoken
        self.heads: list[bytes] = []
        super().__init__(tls)

    def speak(self, sock: socket.socket) -> None:
        peer = SpdyPeer(sock)
        self.heads.append(peer.head)
        self._spoken(peer)
        self.ended.set()


def opened(cluster: Cluster) -> Pair:
    found = cluster.forwarded("predictor", "llm", 8080)
    assert isinstance(found, Pair)
    found.settimeout(10)
    return found


def received(port: Forward) -> bytes:
    """All until the end."""
    view = memoryview(bytearray(MIB))
    got = bytearray()
    while count := port.recv_into(view):
        got += view[:count]
    return bytes(got)
