"""The agent's process: how it starts, whom it speaks to, and which older ones it ends.

Owns the life of the process. Must not know what is asked of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from .frames import HELLO, VERSION, Wire
from .session import Session, touch


def end_older(place: str) -> None:
    """End agents of this pod that still write to the same place: their client was overtaken or is gone."""
    ours = {os.getpid(), os.getppid()}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in ours:
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
            if b"pvserve-agent" in arguments and place.encode("ascii") in arguments:
                os.kill(int(name), signal.SIGKILL)


def standard_streams() -> Wire:
    """The exec channel: guarded frames over stdin and stdout."""

    def write(buffer: Any) -> None:
        view = memoryview(buffer)
        while len(view):
            view = view[os.write(1, view) :]

    return Wire(lambda view: os.readv(0, [view]), write, guard=True)


def main(place: str) -> int:
    """Serve the client on the other side of stdin and stdout."""
    os.umask(0)
    if place:
        end_older(place)
    wire = standard_streams()
    hello = wire.expect(HELLO).json()
    if hello["version"] != VERSION:
        return 4
    touch(hello["heard"])
    if "key" in hello:
        from .listen import listen

        return listen(wire, hello)
    wire.send_json(HELLO, {"version": VERSION})
    Session(wire, hello["heard"]).run()
    return 0
