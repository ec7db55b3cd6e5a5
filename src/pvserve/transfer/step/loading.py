"""One load by the agent of this process: list, decide, copy, judge, publish.

Owns the order. All decisions are those of a load with a client.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from pvserve.events import Listener
from pvserve.model import DigestCache, Manifest
from pvserve.transfer.ask import Ask, transfer_of
from pvserve.transfer.causes import DISTURBED_TRIES, Disturbed
from pvserve.transfer.channel import Channel
from pvserve.transfer.claim_source import list_source
from pvserve.transfer.deciding import there_already
from pvserve.transfer.ends import AgentEnd
from pvserve.transfer.far_weights import check_far_weights
from pvserve.transfer.looking import Look
from pvserve.transfer.progress import Progress
from pvserve.transfer.step.pair import agent_here
from pvserve.transfer.step.turn import take_turn
from pvserve.transfer.values import Target

TELL_SECONDS = 30.0


@dataclass(frozen=True)
class Directory(Target):
    """A directory that this pod mounts; `words` names it in the manifest and in errors."""

    words: str = ""

    def __str__(self) -> str:
        return self.words or self.path


@dataclass(frozen=True)
class Order:
    """What a step is to do. `epoch` 0: no Lease is held. `expect` is the manifest's digest, "" for any."""

    source: Directory
    target: Target
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    replace: bool = False
    epoch: int = 0
    expect: str = ""


@dataclass(frozen=True)
class Done:
    """The path holds the model; `copied` bytes were written for it, 0 where it was there."""

    manifest: Manifest
    copied: int


def load(order: Order, listen: Listener) -> Done:
    """Bring the files to their place; nothing is visible there until complete.

    Raises:
        As `transfer.copy`; Refused, Temporary: as `take_turn`; DataDiffers: UnexpectedContent, nothing was published.
    """
    for _ in range(DISTURBED_TRIES):  # by a step that was overtaken and did not know it yet
        with contextlib.suppress(Disturbed):
            return _load(order, listen)
    return _load(order, listen)


def _load(order: Order, listen: Listener) -> Done:
    channel = agent_here()
    progress = Progress(0, 0, order.target.claim, listen)
    over = threading.Event()
    threading.Thread(target=_tell, args=(progress, over), daemon=True).start()
    try:
        ask = _ask(order, channel, progress)
        end = _End(ask, channel, progress)
        manifest = there_already(end, ask, progress, over.is_set) or end.send()
        progress.finish(unchanged=not end.sent)
        progress.tell()
        return Done(manifest, end.sent)
    finally:
        over.set()
        channel.close()


def _ask(order: Order, channel: Channel, progress: Progress) -> Ask:
    listing, stamped = list_source(channel.control, order.source, order.include, order.exclude)
    progress.expect(len(listing.entries), listing.bytes)
    ask = Ask(
        listing,
        order.target,
        transfer_of(order.target, listing),
        order.epoch,
        order.replace,
        list(stamped),
        DigestCache(),
        {},
        order.source,
        order.expect,
        stamped=stamped,
    )
    if not all(stamped):  # what has stamps was checked when it was loaded
        check_far_weights(channel.control, ask, order.source)
    return ask


class _End(AgentEnd):
    """The agent, which is told an epoch only when something is to be written."""

    def __init__(self, ask: Ask, channel: Channel, progress: Progress) -> None:
        super().__init__(ask, channel, progress)
        self._order = ask

    def adopt(self, manifest: Manifest) -> None:
        """Write the manifest beside files that are right already."""
        self._take_turn()
        super().adopt(manifest)

    def settle(self, seen: Look) -> None:
        """Bring to an end what the publisher of the files at the path was stopped in."""
        if seen.unsettled:
            self._take_turn()
        super().settle(seen)

    def send(self) -> Manifest:
        """Copy what is missing and publish."""
        self._take_turn()
        return super().send()

    def _take_turn(self) -> None:
        ask = self._order
        ask.epoch = ask.epoch or take_turn(ask.target, ask.transfer)


def _tell(progress: Progress, over: threading.Event) -> None:
    while not over.wait(TELL_SECONDS):
        progress.tell()
