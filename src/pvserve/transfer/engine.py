"""A load from start to end: decide what is needed, send, publish; begin again where a stream broke.

Owns the order and the retries. Must not print, nor know how streams are made.
"""

from __future__ import annotations

import threading
import time

from pvserve.errors import Interrupted, PvserveError, Temporary
from pvserve.events import Listener, silent
from pvserve.model import DigestCache, Listing, Manifest, full_manifest, known_manifest, manifest_digest, shown
from pvserve.model.digests import manifest_of
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import BYE, DONE, FAIL, PING, Broken, Wire
from pvserve.transfer.channels import Channel, NoAgent, open_channel
from pvserve.transfer.looking import Look, Row, look
from pvserve.transfer.progress import INTERVAL, Progress
from pvserve.transfer.session import Ask, Session, send_manifest, transfer_of
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
        self._channel: Channel | None = None
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
        channel = self._channel
        if channel is not None:
            channel.close()
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
        """One channel, from opening to closing it."""
        self._progress.phase = "connect"
        place = self._ask.transfer.partition("-")[0]
        try:
            channel = self._channel = open_channel(self._reach, self._via, place)
        except NoAgent as error:
            raise PvserveError("NoAgent", f"the loader pod cannot run the agent: {error}") from error
        self._progress.channel, self._progress.waiting_for = channel.name, ""
        channel.keep_alive()
        try:
            there = self._there_already(channel.control)
            return self._loaded(there) if there else self._send(channel)
        finally:
            channel.close()

    def _there_already(self, control: Wire) -> Manifest | None:
        """The manifest, if the path holds the very files already. Refuses what may not be replaced."""
        ask = self._ask
        seen = look(control, ask.target, rows=False, digests=False)
        if seen.kind == "nothing":
            return None
        rows = look(control, ask.target, rows=True, digests=False).rows if seen.kind == "directory" else None
        if rows == ():
            return None  # an empty directory is in nobody's way
        source = known_manifest(ask.listing, ask.cache)
        if rows is not None and self._same_names(rows) and not (ask.replace and source is None):
            source = source or self._digest_source()
            if seen.current == manifest_digest(source).removeprefix("sha256:"):
                return source
            if seen.manifest is None and self._same_digests(control, source):
                self._adopt(control, source)
                return source
        if ask.replace or self._is_damaged(seen, source):
            return None  # equal files are found by digest, or by name and size
        raise causes.occupied(ask.target)

    def _same_names(self, rows: tuple[Row, ...]) -> bool:
        """Whether names, sizes and executable bits are the source's."""
        there = sorted((row.path, row.size, row.executable) for row in rows if not row.fault)
        return there == sorted((found.path, found.size, found.executable) for found in self._ask.listing.entries)

    def _same_digests(self, control: Wire, source: Manifest) -> bool:
        """Whether the files at the path, which somebody else put there, are the source's."""
        self._progress.phase = "verify"
        rows = look(control, self._ask.target, rows=True, digests=True).rows
        return {row.path: row.sha256 for row in rows} == {entry.path: entry.sha256 for entry in source.entries}

    def _is_damaged(self, seen: Look, source: Manifest | None) -> bool:
        """Whether the path should hold these files and does not: putting them right replaces nothing."""
        return bool(seen.manifest and source and manifest_digest(seen.manifest) == manifest_digest(source))

    def _digest_source(self) -> Manifest:
        def heard(event: object) -> None:
            if self._cancelled.is_set():
                raise Broken("stopped")
            self._progress.hashing(event)

        source = full_manifest(self._ask.listing, self._ask.cache, listener=heard)
        self._ask.known[:] = [entry.sha256 for entry in source.entries]
        return source

    def _adopt(self, control: Wire, source: Manifest) -> None:
        """Write the manifest beside files that are right already."""
        send_manifest(control, self._ask.target, source, replace=False, adopt=True)
        while (frame := control.receive()).kind != DONE:
            if frame.kind == FAIL:
                raise causes.failure(frame.json(), self._ask.target)
            if frame.kind != PING:
                raise Broken(f"frame {frame.kind} came out of turn")

    def _send(self, channel: Channel) -> Loaded:
        session = Session(self._ask, channel, self._progress)
        try:
            session.run()
            digests = {f.path: d for f, d in zip(self._ask.listing.entries, self._ask.known, strict=True)}
            manifest = manifest_of(self._ask.listing, digests)
            session.publish(manifest)
            channel.control.send(BYE)
        finally:
            self._sent += session.sent
            session.stop()
            self._progress.restart()
        return self._loaded(manifest)

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
