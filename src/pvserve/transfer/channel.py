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
        """Tell the agent now and then that we live, until closed."""

        def ping() -> None:
            with contextlib.suppress(OSError, ValueError, Broken, PvserveError):
                while not self._closed.wait(PING_SECONDS):
                    self.control.send(PING)

        threading.Thread(target=ping, daemon=True).start()

    def close(self) -> None:
        """End all streams at once, also under threads that wait in them."""
        self._closed.set()
        while self.closing:
            with contextlib.suppress(OSError, PvserveError):
                self.closing.pop()()
