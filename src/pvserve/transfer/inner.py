"""TLS inside a connection that may be in TLS itself, as one to the API server is.

Owns one inner connection. Must not know what is below, nor what is said. Python's SSLSocket cannot do this: it works on
a descriptor, below the TLS that is there. Through memory and not through a pair of sockets with a thread between: so
nothing is copied by the kernel on the way.
"""

from __future__ import annotations

import ssl
import threading

from pvserve.transfer.agent.frames import Buffer
from pvserve.transfer.values import Stream

PIECE = 1 << 16  # bytes taken from below at once
BATCH = 1 << 17  # bytes of records handed down at once; TLS makes them of 16 KiB


class Inner:
    """One connection. One thread may receive while others send; it has a socket's names for that."""

    def __init__(self, below: Stream, context: ssl.SSLContext) -> None:
        """Shakes hands as the client. Raises OSError."""
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        self._sending = threading.Lock()  # one buffer after the other; taken before _state
        self._state = threading.Lock()  # OpenSSL allows one call at a time on a connection
        self._piece = memoryview(bytearray(PIECE))
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._hand_down()
                self._take_in()
        self._hand_down()

    def certificate(self) -> bytes:
        """The far end's, in DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    def settimeout(self, seconds: float | None) -> None:
        """How long `recv_into` waits for more bytes from below; None for ever."""
        self._below.settimeout(seconds)

    def sendall(self, data: Buffer) -> None:
        """Sends all. Raises OSError."""
        view = memoryview(data)
        with self._sending:
            while view:
                with self._state:
                    while view and self._outgoing.pending < BATCH:
                        view = view[self._tls.write(view) :]
                    records = self._outgoing.read()
                self._below.sendall(records)

    def recv_into(self, view: memoryview) -> int:
        """The bytes read, 0 at the end. Raises OSError."""
        while True:
            try:
                with self._state:
                    return int(self._tls.read(len(view), view))  # typeshed: bytes, which is so without a buffer only
            except ssl.SSLWantReadError:
                self._take_in()
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return 0

    def close(self) -> None:
        """Ends the connection at once, also under threads that wait in it; frames tell where they end, so no alert."""
        self._below.close()

    def _hand_down(self) -> None:
        with self._sending:
            if records := self._outgoing.read():
                self._below.sendall(records)

    def _take_in(self) -> None:
        count = self._below.recv_into(self._piece)
        with self._state:
            if count:
                self._incoming.write(self._piece[:count])
            else:
                self._incoming.write_eof()
