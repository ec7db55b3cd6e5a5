"""SPDY/3.1 as far as a port-forward needs it: one pair of streams on one connection.

Owns the frames, and how the pair begins and ends. Must not know requests, nor what the bytes mean.
Source: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/ and moby/spdystream, the server of every
container runtime. That one wants header names in lower case, knows no windows (it neither grants nor heeds any), reads
a frame whole into memory, and keeps up to 50 frames for a pod that does not read.

Header blocks are zlib streams, which say themselves whether they need the standard's dictionary: ours does without,
and those of the replies are empty and not read.
"""

from __future__ import annotations

import json
import struct
import threading
import time
import zlib
from collections import deque

from pvserve.cluster.line import Buffer, Closed, Line

ERROR, DATA = 1, 3  # our two streams; a client's numbers are odd
SYN_STREAM, SYN_REPLY, RST_STREAM, PING = 1, 2, 3, 6
FIN = 1
CONTROL = 0x8003  # the bit of a control frame, and version 3
HEAD = struct.Struct("!II")
FRAME = 1 << 18
RECORD = 1 << 14  # of TLS: header and first bytes go in one, the rest is not copied
PIECE = 1 << 16
LONGEST_CONTROL = 1 << 16
WORDS = 4000  # bytes of an error that are kept
REPLIES = 16  # that wait while a sender waits
PING_SECONDS = 20.0  # load balancers cut connections that are idle for a minute
LAST_WORDS_SECONDS = 5.0  # between the end of the data and that of the errors


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A control frame."""
    return HEAD.pack(CONTROL << 16 | kind, flags << 24 | len(body)) + body


def opening(port: int) -> bytes:
    """What asks for both streams to `port`."""
    packer = zlib.compressobj()  # one for all header blocks of a connection
    frames = b""
    for number, kind in ((ERROR, b"error"), (DATA, b"data")):
        headers = ((b"streamtype", kind), (b"port", b"%d" % port), (b"requestid", b"0"))
        words = [word for pair in headers for word in pair]
        block = struct.pack("!I", len(headers)) + b"".join(struct.pack("!I", len(word)) + word for word in words)
        packed = packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
        frames += control(SYN_STREAM, struct.pack("!IIH", number, 0, 0) + packed)
    return frames


class Pair:
    """A stream of bytes and one of errors. One thread may receive while others send; any may close."""

    def __init__(self, line: Line, port: int, timeout: float) -> None:
        """Opens both streams. Raises OSError: Closed, or TimeoutError when `timeout` seconds went by."""
        self._line = line
        self._sending = threading.Lock()  # one frame after the other
        self._replies: deque[bytes] = deque(maxlen=REPLIES)  # sent by whoever may send next
        self._came = bytearray()  # and is not taken in yet
        self._stream, self._left, self._last = 0, 0, False  # of the data frame whose bytes come next
        self._open = {ERROR, DATA}
        self._answered: set[int] = set()
        self._said = b""
        self._pings = 1
        self._patience: float | None = None
        self._begin(port, time.monotonic() + timeout)

    @property
    def failure(self) -> str:
        """What the kubelet or the runtime said, such as "connection refused"; "" where it said nothing."""
        words = self._said.decode("utf-8", "replace").strip()
        try:
            return str(json.loads(words)["message"])  # since Kubernetes 1.32; before it is the bare text
        except (ValueError, KeyError, TypeError):
            return words

    def settimeout(self, seconds: float | None) -> None:
        """How long `recv_into` waits; None for ever."""
        self._patience = seconds

    def recv_into(self, view: memoryview) -> int:
        """The bytes read, 0 at the end; `failure` is complete then. Raises OSError."""
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while DATA in self._open:
            if self._left and self._came and self._stream == DATA:
                count = min(len(view), self._left, len(self._came))
                view[:count] = self._came[:count]
                self._take(count)
                return count
            if not self._advance(deadline):
                raise TimeoutError(f"nothing came for {self._patience:.0f} s")
        last = time.monotonic() + LAST_WORDS_SECONDS
        while self._open and self._advance(last):
            pass
        self._open.clear()
        return 0

    def sendall(self, data: Buffer) -> None:
        """Sends all; waits while the far end does not read. Raises Closed."""
        view = memoryview(data)
        with self._sending:
            for start in range(0, len(view), FRAME):
                if DATA not in self._open:
                    raise Closed(self.failure or "the far end has ended the connection")
                piece = view[start : start + FRAME]
                head = HEAD.pack(DATA, len(piece))
                self._line.write(head + bytes(piece[: RECORD - len(head)]))
                self._line.write(piece[RECORD - len(head) :])
        self._send_replies()

    def finish(self) -> None:
        """Tells the far end that nothing more comes."""
        with self._sending:
            self._line.write(HEAD.pack(DATA, FIN << 24))

    def close(self) -> None:
        """Ends the connection at once, also under threads that wait in it."""
        self._line.close()

    def _begin(self, port: int, deadline: float) -> None:
        """What is sent before the replies have come would be taken in too, but nobody would hear of a refusal."""
        self._line.sendall(opening(port))
        while self._answered < {ERROR, DATA}:
            if not self._advance(deadline):
                raise TimeoutError("no answer to the streams that were asked for")
            if len(self._open) < 2:
                raise Closed(self.failure or "the streams were refused")

    def _advance(self, deadline: float | None) -> bool:
        """Takes in a frame, or reads once; False when the deadline passed. Bytes of the data stream stay."""
        if not self._left and self._take_head():
            return True
        if self._left and self._came and self._stream != DATA:
            count = min(self._left, len(self._came))
            if self._stream == ERROR:
                self._said = (self._said + self._came[:count])[:WORDS]
            self._take(count)
            return True
        got = self._line.read(PIECE, deadline, self._ping_when_idle)
        if got is None:
            return False
        if not got:
            self._open.clear()
        self._came += got
        return True

    def _take(self, count: int) -> None:
        """These bytes of a data frame are done with."""
        del self._came[:count]
        self._left -= count
        if not self._left and self._last:
            self._open.discard(self._stream)

    def _take_head(self) -> bool:
        """Takes a control frame, or the head of a data frame; False: not all of it is there."""
        if len(self._came) < HEAD.size:
            return False
        first, second = HEAD.unpack_from(self._came)
        flags, count = second >> 24, second & 0xFFFFFF
        if first >> 31 == 0:
            self._stream, self._left, self._last = first, count, bool(flags & FIN)
            del self._came[: HEAD.size]
            self._take(0)
            return True
        if first >> 16 != CONTROL or count > LONGEST_CONTROL:
            raise Closed("the far end does not speak SPDY/3.1")
        whole = HEAD.size + count
        if len(self._came) < whole:
            return False
        self._heed(first & 0xFFFF, flags, bytes(self._came[HEAD.size : whole]))
        del self._came[:whole]
        return True

    def _heed(self, kind: int, flags: int, body: bytes) -> None:
        """A control frame; those that are not named here say nothing about our streams."""
        number = int.from_bytes(body[:4], "big")
        if kind == SYN_REPLY:
            self._answered.add(number)
        elif kind == PING and number % 2 == 0:  # an odd one is the answer to ours
            self._replies.append(control(PING, body[:4]))
            self._send_replies()
        if kind == RST_STREAM or (kind == SYN_REPLY and flags & FIN):
            self._open.discard(number)

    def _send_replies(self) -> None:
        """Unless a sender is at it: that one then does."""
        self._line.reply(self._replies, self._sending)

    def _ping_when_idle(self) -> None:
        if not self._replies and time.monotonic() - self._line.last_sent >= PING_SECONDS:
            self._replies.append(control(PING, self._pings.to_bytes(4, "big")))
            self._pings = (self._pings + 2) & 0x7FFFFFFF
        self._send_replies()
