"""A session with an agent in this very process: no pod is reached, no byte crosses a network.

Owns the two pipes and the agent's thread. Must not decide what is loaded.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

from pvserve.transfer.agent.frames import Buffer, Wire
from pvserve.transfer.agent.session import Session
from pvserve.transfer.channel import Channel


def agent_here() -> Channel:
    """The channel to an agent that runs in a thread of its own until the channel is closed."""
    to_agent, from_client = os.pipe()
    to_client, from_agent = os.pipe()
    agent = Wire(_reading(to_agent), _writing(from_agent), guard=False)

    def serve() -> None:
        try:
            Session(agent, "").run()
        finally:
            os.close(from_agent)  # the client sees the end
            os.close(to_agent)

    threading.Thread(target=serve, daemon=True).start()
    wire = Wire(_reading(to_client), _writing(from_client), guard=False)
    return Channel("claim", wire, [wire], closing=[_closing(from_client), _closing(to_client)])


def _reading(handle: int) -> Callable[[memoryview], int]:
    return lambda view: os.readv(handle, [view])


def _writing(handle: int) -> Callable[[Buffer], None]:
    def write(buffer: Buffer) -> None:
        view = memoryview(buffer)
        while len(view):
            view = view[os.write(handle, view) :]

    return write


def _closing(handle: int) -> Callable[[], None]:
    def close() -> None:
        with contextlib.suppress(OSError):
            os.close(handle)

    return close
