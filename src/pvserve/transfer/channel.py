"""The open streams of one session, however they came to be.

Owns keeping them alive and closing them. Must not open any.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pvserve.errors import PvserveError
from pvserve.transfer.agent.frames import PING, Broken, Wire

PING_SECONDS = 5.0
IDLE_PING_SECONDS = 20.0  # on streams that wait for work: load balancers cut what is idle for a minute


@dataclass
class Channel:
    """The open streams of one session; `data` may be the control stream itself."""

    name: str
    control: Wire
    data: list[Wire]
    passed_over: str = ""  # why no better channel was taken
    closing: list[Callable[[], None]] = field(default_factory=list)
    _closed: threading.Event = field(default_factory=threading.Event)

    def keep_alive(self) -> None:
        """Tell the agent now and then that we live, and what lies between that the data streams do, until closed."""

        def ping(wires: list[Wire], seconds: float) -> None:
            with contextlib.suppress(OSError, ValueError, Broken, PvserveError):
                while not self._closed.wait(seconds):
                    for wire in wires:
                        wire.send(PING)

        data = [wire for wire in self.data if wire is not self.control]
        for pinged in (([self.control], PING_SECONDS), (data, IDLE_PING_SECONDS)):  # apart: a full data stream waits
            threading.Thread(target=ping, args=pinged, daemon=True).start()

    def close(self) -> None:
        """End all streams at once, also under threads that wait in them."""
        self._closed.set()
        while self.closing:
            with contextlib.suppress(OSError, PvserveError):
                self.closing.pop()()
