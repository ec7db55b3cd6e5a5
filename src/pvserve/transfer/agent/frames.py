"""Frames on one duplex byte stream, the same on both sides.

Owns how a frame looks and what kinds there are (docs/transfer-protocol.md). Must not know files, nor how a stream
came to be.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import threading
from typing import Any, Callable, NamedTuple, Union

VERSION = 1
CELL = 1 << 20  # a DATA frame carries one such piece of a file, aligned; the last one of a file may be shorter
SMALL = CELL // 4  # files up to here travel whole, many in one PACK
LIMIT = CELL + (1 << 17)  # bytes of one payload
HEADER = struct.Struct(">BBxxIIQ")  # kind, guarded, payload bytes, number, offset
GUARD = 32  # sha256 over header and payload, where nothing below (TLS) guards the bytes
ROOM = HEADER.size + GUARD  # what to leave free in front of a payload for `send_in_place`
PACKED = struct.Struct(">II")  # file number, size
CHECKED = struct.Struct(">I32s")  # file number, sha256

HELLO, PING, FAIL, BYE = 1, 2, 3, 4
BEGIN, FILES, STATE, HAVE, READY = 10, 11, 12, 13, 14
DATA, PACK, AGAIN, COPY = 20, 21, 22, 23
DURABLE, GOOD, BAD, SOURCED = 30, 31, 32, 33
TEXT, FINISH, DONE = 40, 41, 42
SURVEY, SEEN, SURVEYED = 50, 51, 52
LIST, LISTED, DIGEST, PEEK, PEEKED = 60, 61, 62, 63, 64
REMOVE, REMOVED = 70, 71
LEFT, SWEEP = 80, 81

Buffer = Union[bytes, bytearray, memoryview]


class Broken(Exception):
    """The stream ended early, or what came is no frame."""


class Frame(NamedTuple):
    """One frame; `payload` is only valid until the next one is received."""

    kind: int
    number: int
    offset: int
    payload: memoryview

    def json(self) -> Any:
        """The payload as JSON."""
        try:
            return json.loads(bytes(self.payload))
        except (ValueError, RecursionError) as error:
            raise Broken("a frame holds no JSON") from error


class Wire:
    """One duplex stream of frames. Many threads may send; one receives.

    `read_into(view)` gives the bytes read, 0 at the end; `write(buffer)` writes all. With `guard` every frame sent
    carries a sha256 (received ones are checked whenever they carry one).
    """

    def __init__(self, read_into: Callable[[memoryview], int], write: Callable[[Buffer], None], guard: bool) -> None:
        self._read_into = read_into
        self._write = write
        self._guard = guard
        self._lock = threading.Lock()
        self._head = memoryview(bytearray(ROOM))
        self._body = memoryview(bytearray(1 << 16))
        self.sent = 0

    def send(self, kind: int, payload: Buffer = b"", number: int = 0, offset: int = 0) -> None:
        """Send one frame; the payload is copied."""
        buffer = bytearray(ROOM)
        buffer += payload
        self.send_in_place(buffer, len(payload), kind, number, offset)

    def send_json(self, kind: int, value: Any, number: int = 0) -> None:
        """Send one frame of JSON, in ASCII so that names which are not UTF-8 survive."""
        self.send(kind, json.dumps(value, separators=(",", ":")).encode("ascii"), number)

    def send_in_place(self, buffer: bytearray, size: int, kind: int, number: int = 0, offset: int = 0) -> None:
        """Send the `size` bytes that lie in `buffer` behind ROOM; the room in front is written over."""
        start = 0 if self._guard else GUARD
        with memoryview(buffer) as view:
            HEADER.pack_into(view, start, kind, self._guard, size, number, offset)
            if self._guard:
                digest = hashlib.sha256(view[: HEADER.size])
                digest.update(view[ROOM : ROOM + size])
                view[HEADER.size : ROOM] = digest.digest()
            with self._lock:
                self._write(view[start : ROOM + size])
                self.sent += size

    def receive(self, limit: int = LIMIT) -> Frame:
        """The next frame, of at most `limit` bytes. Raises Broken when the stream ends or is not made of frames."""
        head = self._head
        self._fill(head[: HEADER.size])
        kind, guarded, size, number, offset = HEADER.unpack(head[: HEADER.size])
        if size > limit or guarded > 1:
            raise Broken("what came is no frame")
        if guarded:
            self._fill(head[HEADER.size :])
        if size > len(self._body):
            self._body = memoryview(bytearray(LIMIT))
        payload = self._body[:size]
        self._fill(payload)
        if guarded:
            digest = hashlib.sha256(head[: HEADER.size])
            digest.update(payload)
            if not hmac.compare_digest(digest.digest(), head[HEADER.size :]):
                raise Broken("a frame was changed on its way")
        return Frame(kind, number, offset, payload)

    def expect(self, kind: int, limit: int = LIMIT) -> Frame:
        """The next frame that is no PING, which must be of this kind."""
        frame = self.receive(limit)
        while frame.kind == PING:
            frame = self.receive(limit)
        if frame.kind != kind:
            raise Unexpected(frame.kind, frame.json() if frame.kind == FAIL else None)
        return frame

    def _fill(self, view: memoryview) -> None:
        while len(view):
            count = self._read_into(view)
            if not count:
                raise Broken("the stream ended in the middle of the work")
            view = view[count:]


class Unexpected(Broken):
    """Another kind of frame than the protocol has here; `failure` is the payload of a FAIL frame."""

    def __init__(self, kind: int, failure: Any | None) -> None:
        super().__init__(f"frame {kind} came out of turn")
        self.kind = kind
        self.failure = failure
