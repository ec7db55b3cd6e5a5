"""A load from start to end: decide what is needed, send, publish; begin again where a stream broke.

Owns the order and the retries. Must not print, nor know how streams are made.
"""

from __future__ import annotations

import threading
import time

from pvserve.errors import Interrupted, PvserveError, Temporary
from pvserve.events import Listener, silent
from pvserve.model import DigestCache, Listing, Manifest, manifest_digest, shown
from pvserve.transfer.agent.frames import Broken
from pvserve.transfer.ask import Ask, transfer_of
from pvserve.transfer.channels import NoAgent, open_channel
from pvserve.transfer.deciding import there_already
from pvserve.transfer.ends import AgentEnd, End
from pvserve.transfer.progress import INTERVAL, Progress
from pvserve.transfer.shell_load import ShellEnd
from pvserve.transfer.values import Loaded, Reach, Target, Via

GIVE_UP_SECONDS = 180.0  # without any progress; a network or API server that is away for a minute is waited for
STOP_SECONDS = 1.0
FINAL = ("SourceChanged", "Overtaken")  # temporary, yet trying again at once is of no use
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


def load(  # noqa: PLR0913 - what a load is, one value each
    listing: Listing,
    reach: Reach,
    target: Target,
    *,
    via: Via = "auto",
    replace: bool = False,
    epoch: int = 1,
    cancel: threading.Event | None = None,
    listen: Listener = silent,
    cache: DigestCache | None = None,
) -> Loaded:
    """Bring the files of `listing` to `target` through the pod at `reach`; nothing is visible there until complete.

    `epoch` grows with every new writer of the path: a writer that was overtaken cannot publish. What an earlier load
    of the same files left is not sent again.

    Raises:
        Refused: PathOccupied, ClaimTooSmall, ClaimOutOfInodes, ChannelUnavailable; nothing was changed.
        Interrupted: `cancel` was set. Temporary: streams kept breaking. Both: the same call goes on.
        DataDiffers: the volume damages data, or the source is not what its publisher promises.
        PvserveError: the volume is full or read-only, or the source cannot be read.
    """
    progress = Progress(len(listing.entries), listing.bytes, target.claim, listen)
    digests = cache or DigestCache()
    known = [digests.get(found) or "" for found in listing.entries]
    ask = Ask(listing, target, transfer_of(target, listing), epoch, replace, known, digests, {})
    work = _Load(ask, reach, via, progress)
    try:
        return work.watched(cancel or threading.Event())
    finally:
        digests.save()


class _Load:
    """The work runs in a thread of its own: whatever call it hangs in, the user's wish to stop is heard."""

    def __init__(self, ask: Ask, reach: Reach, via: Via, progress: Progress) -> None:
        self._ask = ask
        self._reach = reach
        self._via = via
        self._progress = progress
        self._sent = 0
        self._end: End | None = None
        self._cancelled = threading.Event()
        self._over = threading.Event()
        self._result: Loaded | BaseException | None = None

    def watched(self, cancel: threading.Event) -> Loaded:
        """Run, telling progress from this thread."""
        threading.Thread(target=self._run, daemon=True).start()
        try:
            while not self._over.wait(INTERVAL):
                self._progress.tell()
                if cancel.is_set():
                    break
        finally:
            self._abandon()
        if isinstance(self._result, Loaded):
            self._progress.tell()
            return self._result
        if cancel.is_set() or self._result is None:
            raise Interrupted(
                "Interrupted", f"stopped while loading {self._ask.target}", remedy=("the same command goes on",)
            )
        raise self._result

    def _abandon(self) -> None:
        self._cancelled.set()
        end = self._end
        if end is not None:
            end.close()
        self._over.wait(STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._result = self._sessions()
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            self._result = error
        finally:
            self._over.set()

    def _sessions(self) -> Loaded:
        """One session after the other until the path holds the files."""
        mark, moved, pauses = -1, time.monotonic(), 0
        while True:
            try:
                return self._session()
            except (Broken, OSError, Temporary) as error:
                if isinstance(error, Temporary) and error.reason in FINAL:
                    raise
                if self._sent > mark:
                    mark, moved, pauses = self._sent, time.monotonic(), 0
                if time.monotonic() - moved > GIVE_UP_SECONDS or self._cancelled.is_set():
                    raise self._given_up(error) from error
                self._progress.waiting_for = f"the loader pod ({_clause(error)})"
                self._cancelled.wait(PAUSES[min(pauses, len(PAUSES) - 1)])
                pauses += 1

    def _session(self) -> Loaded:
        """One end, from opening to closing it."""
        self._progress.phase = "connect"
        end = self._end = self._open()
        self._progress.channel, self._progress.waiting_for = end.channel, ""
        try:
            manifest = there_already(end, self._ask, self._progress, self._cancelled.is_set) or end.send()
        finally:
            self._sent += end.sent
            end.close()
        return self._loaded(manifest)

    def _open(self) -> End:
        """The agent by the best channel; where the pod cannot run it, its shell."""
        place = self._ask.transfer.partition("-")[0]
        try:
            return AgentEnd(self._ask, open_channel(self._reach, self._via, place), self._progress)
        except NoAgent:
            return ShellEnd(self._ask, self._reach, self._progress)

    def _loaded(self, manifest: Manifest) -> Loaded:
        self._progress.finish(unchanged=not self._sent)
        return Loaded(
            manifest=manifest,
            manifest_digest=manifest_digest(manifest),
            sent_bytes=self._sent,
            reused_bytes=max(0, self._ask.listing.bytes - self._sent),
            channel=self._progress.channel,
            seconds=self._progress.seconds,
        )

    def _given_up(self, error: BaseException) -> PvserveError:
        return Temporary(
            "TransferCut",
            f"the connection to the loader pod broke again and again: {_clause(error)}",
            subject=str(self._ask.target),
            remedy=("run the same command again; it goes on where this one stopped",),
        )


def _clause(error: BaseException) -> str:
    return shown(str(error) or type(error).__name__)[:300]
