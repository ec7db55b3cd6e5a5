"""Asks the agent to copy files that lie in its own pod, where the sender would have read and sent them.

Owns that request, with the sender's border. Must not read files.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from pvserve.model import Found
from pvserve.transfer.agent.frames import CELL, COPY, Wire
from pvserve.transfer.sender import Job


class FarCopier:
    """Stands where a session has its `Sender`; `sent` counts bytes that the agent was asked to copy."""

    def __init__(
        self,
        entries: Sequence[Found],
        known: Sequence[str],
        control: Wire,
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        self._entries = entries
        self._known = known
        self._control = control
        self._guarded = guarded
        self.sent = 0

    def start(self) -> None:
        """The agent's threads run already."""

    def stop(self) -> None:
        """They end with the agent."""

    def add(self, job: Job, first: bool = False) -> None:
        """Ask; `first` may come from the listening thread, which must not wait for the agent to read."""
        if job.send:
            there = job.skip.count(1) * CELL if job.skip else 0
            self.sent += max(0, sum(self._entries[number].size for number in job.numbers) - there)
        known = all(self._known[number] for number in job.numbers)
        ask = {"numbers": job.numbers, "send": job.send, "known": known}

        def tell() -> None:
            self._control.send_json(COPY, ask)

        if first:
            threading.Thread(target=self._guarded, args=(tell,), daemon=True).start()
        else:
            tell()
