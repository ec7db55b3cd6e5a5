"""A load from start to end: decide what is needed, send, publish; begin again where a stream broke.

Owns the order and the retries. Must not print, nor know how streams are made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypedDict, Unpack

from pvserve.errors import Interrupted, PvserveError, Refused, Temporary
from pvserve.events import Listener, silent
from pvserve.model import DigestCache, Listing, manifest_digest, shown
from pvserve.transfer.agent.frames import Broken
from pvserve.transfer.ask import Ask, transfer_of
from pvserve.transfer.causes import DISTURBED_TRIES, Disturbed
from pvserve.transfer.channel import Channel
from pvserve.transfer.channels import NoAgent, open_channel
from pvserve.transfer.claim_source import Source, ask_list, check_same, copy_needs_python, elsewhere, listed
from pvserve.transfer.deciding import there_already
from pvserve.transfer.ends import AgentEnd, End
from pvserve.transfer.far_weights import check_far_weights
from pvserve.transfer.looking import ask_look, looked
from pvserve.transfer.progress import INTERVAL, Progress
from pvserve.transfer.shell_load import ShellEnd
from pvserve.transfer.values import Loaded, Reach, Target, Via, place_word

GIVE_UP_SECONDS = 180.0  # without any progress; a network or API server that is away for a minute is waited for
STOP_SECONDS = 1.0
NOT_COPIED = ("SourceElsewhere", "CopyNeedsPython")
FINAL = ("SourceChanged", "Overtaken")  # temporary, yet trying again at once is of no use
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)


class Terms(TypedDict, total=False):
    """What every load may be told.

    `replace` allows other content at the path. `epoch` grows with every new writer of the path: a writer that was
    overtaken cannot publish. `checksum` reads every byte again instead of trusting digests of earlier times.
    """

    replace: bool
    epoch: int
    checksum: bool
    cancel: threading.Event | None
    listen: Listener
    cache: DigestCache | None


def load(listing: Listing, reach: Reach, target: Target, *, via: Via = "auto", **terms: Unpack[Terms]) -> Loaded:
    """Bring the files of `listing` to `target` through the pod at `reach`; nothing is visible there until complete.

    What an earlier load of the same files left is not sent again.

    Raises:
        Refused: PathOccupied, ClaimTooSmall, ClaimOutOfInodes, ChannelUnavailable; nothing was changed.
        Interrupted: `cancel` was set. Temporary: streams kept breaking. Both: the same call goes on.
        DataDiffers: the volume damages data, or the source is not what its publisher promises.
        PvserveError: the volume is full or read-only, or the source cannot be read.
    """
    progress = Progress(len(listing.entries), listing.bytes, target.claim, terms.get("listen", silent))
    digests = terms.get("cache") or DigestCache()
    return _carried_out(_Load(_ask(listing, target, digests, terms), reach, via, target, progress), digests, terms)


def copy(
    source: Target,
    reach: Reach,
    target: Target,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    same_as: Listing | None = None,
    **terms: Unpack[Terms],
) -> Loaded:
    """As `load`, of a directory on a claim that the pod at `reach` mounts too: no byte crosses the network.

    `include` and `exclude` are `pvserve.model.filters`. `same_as`, a directory of this machine, is what the source
    should be, with weights that were checked; what then refuses the copy for the way it is made is NOT_COPIED. What
    pvserve loaded there and nobody touched since is known by its stamps (on-volume-format.md) and not read where
    blocks can be shared.

    Raises:
        Refused: also NoSuchSource, CopyNeedsPython, SourceElsewhere (the source is not `same_as`), what
            `pvserve.model.listing` refuses, and broken weights; nothing was changed.
        UsageError: WhichSnapshot, for a repository of a Hugging Face cache.
    """
    digests = terms.get("cache") or DigestCache()

    def begin(channel: Channel) -> Ask:
        ask_look(channel.control, target, rows=False, digests=False)
        ask_list(channel.control, source)  # in one breath: each answer that is waited for costs the way there and back
        seen = looked(channel.control, target)
        found = _listed(channel, source, include, exclude, same_as)
        ask = _ask(found.listing, target, digests, terms)
        ask.source, ask.stamped, ask.seen = source, found.stamped, seen
        if not ask.checksum:
            ask.known = [mine or stamp for mine, stamp in zip(ask.known, found.stamped, strict=True)]
            if same_as is not None:
                ask.known = [
                    mine or digests.get(one) or "" for mine, one in zip(ask.known, same_as.entries, strict=True)
                ]
        if same_as is None and not all(found.stamped):  # what has stamps was checked when it was loaded
            check_far_weights(channel.control, ask, source)
        return ask

    work = _Load(begin, reach, "exec", target, Progress(0, 0, target.claim, terms.get("listen", silent)))
    return _carried_out(work, digests, terms)


def _listed(
    channel: Channel, source: Target, include: Sequence[str], exclude: Sequence[str], same_as: Listing | None
) -> Source:
    """What lies at the source, which was asked. Raises SourceElsewhere where that is not shown to be `same_as`."""
    if same_as is None:
        return listed(channel.control, source, include, exclude)
    try:
        found = listed(channel.control, source, include, exclude)
    except Refused as error:
        raise elsewhere(same_as, source, error.message) from error
    check_same(found.listing, same_as, source)
    return found


def _ask(listing: Listing, target: Target, digests: DigestCache, terms: Terms) -> Ask:
    checksum = terms.get("checksum", False)
    return Ask(
        listing,
        target,
        transfer_of(target, listing),
        terms.get("epoch", 1),
        terms.get("replace", False),
        ["" if checksum else digests.get(found) or "" for found in listing.entries],
        digests,
        {},
        checksum=checksum,
    )


def _carried_out(work: _Load, digests: DigestCache, terms: Terms) -> Loaded:
    try:
        return work.watched(terms.get("cancel") or threading.Event())
    finally:
        digests.save()


class _Load:
    """The work runs in a thread of its own: whatever call it hangs in, the user's wish to stop is heard.

    `ask` may be made only when the agent can be asked what there is.
    """

    def __init__(
        self, ask: Ask | Callable[[Channel], Ask], reach: Reach, via: Via, target: Target, progress: Progress
    ) -> None:
        self._asked = ask
        self._reach = reach
        self._via = via
        self._target = target
        self._progress = progress
        self._sent = 0
        self._passed_over = ""
        self._opened = False
        self._end: End | Channel | None = None
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
                "Interrupted", f"stopped while loading {self._target}", remedy=("the same command goes on",)
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
                return self._undisturbed()
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

    def _undisturbed(self) -> Loaded:
        """A session, again where an overtaken writer that did not know it yet touched the same files."""
        for _ in range(DISTURBED_TRIES):
            try:
                return self._session()
            except Disturbed:
                if self._cancelled.is_set():
                    raise
        return self._session()

    def _session(self) -> Loaded:
        """One end, from opening to closing it."""
        self._progress.phase = "connect"
        ask, end = self._open()
        self._end = end
        self._progress.channel, self._progress.waiting_for = end.channel, ""
        try:
            manifest = there_already(end, ask, self._progress, self._cancelled.is_set) or end.send()
        finally:
            self._sent += end.sent
            end.close()
        self._progress.finish(unchanged=not self._sent)
        return Loaded(
            manifest=manifest,
            manifest_digest=manifest_digest(manifest),
            sent_bytes=self._sent,
            reused_bytes=max(0, ask.listing.bytes - self._sent),
            channel=self._progress.channel,
            seconds=self._progress.seconds,
        )

    def _open(self) -> tuple[Ask, End]:
        """The agent by the best channel; where the pod cannot run it, its shell."""
        asked = self._asked
        try:
            channel = self._end = open_channel(self._reach, self._via, place_word(self._target))
        except (NoAgent, Refused) as error:
            if isinstance(error, Refused) and not (self._opened and error.reason == "ChannelUnavailable"):
                raise
            if self._opened:  # what has worked in this pod before is there, only not now
                raise Broken(str(error)) from error
            if not isinstance(asked, Ask):
                raise copy_needs_python(self._target, str(error)) from error
            return asked, ShellEnd(asked, self._reach, self._progress)
        self._opened = True
        if not isinstance(asked, Ask):
            try:
                asked = self._asked = asked(channel)
            except BaseException:
                channel.close()
                raise
            self._progress.expect(len(asked.listing.entries), asked.listing.bytes)
        if channel.passed_over and channel.passed_over != self._passed_over:
            self._passed_over = channel.passed_over
            self._progress.note(f"by {channel.name}, since no better channel works: {_clause(channel.passed_over)}")
        return asked, AgentEnd(asked, channel, self._progress)

    def _given_up(self, error: BaseException) -> PvserveError:
        return Temporary(
            "TransferCut",
            f"the connection to the loader pod broke again and again: {_clause(error)}",
            subject=str(self._target),
            remedy=("run the same command again; it goes on where this one stopped",),
        )


def _clause(error: BaseException | str) -> str:
    return shown(str(error) or type(error).__name__)[:300]
