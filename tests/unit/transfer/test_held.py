"""Closing a stream under a thread that is inside."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from pvserve.transfer.held import Held


class Slow(socket.socket):
    """Wakes at once and looks around before it leaves, as OpenSSL does when the interpreter lets others go first."""

    inside = threading.Event()
    number = 0

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.inside.set()
        count = super().recv_into(*args, **kwargs)
        time.sleep(0.2)
        self.number = self.fileno()
        return count


def test_the_descriptor_is_closed_behind_the_thread_that_was_woken() -> None:
    ours, theirs = socket.socketpair()
    slow = Slow(fileno=ours.detach())
    held = Held(slow)
    counts: list[int] = []
    reader = threading.Thread(target=lambda: counts.append(held.recv_into(memoryview(bytearray(8)))))
    reader.start()
    assert slow.inside.wait(10)
    held.close()
    assert slow.number > 2, "it was closed while the thread was inside"
    assert slow.fileno() == -1
    reader.join(10)
    assert counts == [0]
    theirs.close()
