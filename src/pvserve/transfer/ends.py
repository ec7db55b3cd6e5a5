"""The other end of a load, as its decisions need it: the agent on a channel, or a mere shell (`shell.py`).

Owns that border and the agent's side of it. Must not decide what is loaded, nor retry.
"""

from __future__ import annotations

from typing import Protocol

from pvserve.model import Manifest, manifest_digest
from pvserve.model.digests import manifest_of
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import BYE, DONE
from pvserve.transfer.answers import answer
from pvserve.transfer.ask import Ask, finish, send_texts, written
from pvserve.transfer.channel import Channel
from pvserve.transfer.claim_source import digest_source
from pvserve.transfer.judging import check_source
from pvserve.transfer.looking import Look, look
from pvserve.transfer.progress import Progress
from pvserve.transfer.session import Session


class End(Protocol):
    """Looks at a path and puts files there; `sent` counts bytes of file contents that left."""

    sent: int
    channel: str

    def look(self, *, rows: bool, digests: bool) -> Look: ...
    def adopt(self, manifest: Manifest) -> None: ...
    def settle(self, seen: Look) -> None:
        """The path holds the files: bring to an end what their publisher was stopped in."""

    def digest_source(self) -> None:
        """Fill in what is not known of `Ask.known`; only where the source lies in the pod."""

    def send(self) -> Manifest: ...
    def close(self) -> None: ...


def manifest_from(ask: Ask) -> Manifest:
    """The manifest of a load whose digests are all known.

    Raises DataDiffers where it is not the content that was wanted.
    """
    digests = {found.path: digest for found, digest in zip(ask.listing.entries, ask.known, strict=True)}
    manifest = manifest_of(ask.listing, digests)
    if ask.wanted and manifest_digest(manifest) != ask.wanted:
        raise causes.unexpected(ask.listing.source, ask.wanted, manifest_digest(manifest))
    return manifest


class AgentEnd:
    """The agent, over an open channel."""

    def __init__(self, ask: Ask, channel: Channel, progress: Progress) -> None:
        self.sent = 0
        self.channel = "claim" if ask.source is not None else channel.name
        self._ask = ask
        self._channel = channel
        self._progress = progress
        channel.keep_alive()

    def look(self, *, rows: bool, digests: bool) -> Look:
        """What lies at the path."""
        seen, self._ask.seen = self._ask.seen, None
        if seen is not None and not rows:
            return seen
        return look(self._channel.control, self._ask.target, rows=rows, digests=digests)

    def adopt(self, manifest: Manifest) -> None:
        """Write the manifest beside files that are right already."""
        what = written(manifest)
        send_texts(self._channel.control, what)
        finish(self._channel.control, self._ask, "adopt", what)
        answer(self._channel.control, DONE, self._ask.target)

    def settle(self, seen: Look) -> None:
        """Bring to an end what the publisher of the files at the path was stopped in."""
        if seen.unsettled:
            finish(self._channel.control, self._ask, "settle")
            answer(self._channel.control, DONE, self._ask.target)

    def digest_source(self) -> None:
        """Fill in what is not known of `Ask.known`; only where the source lies in the pod."""
        ask = self._ask
        assert ask.source is not None
        for number, digest, began in digest_source(self._channel.control, ask, ask.source):
            check_source(ask, number, digest)
            ask.known[number] = digest
            ask.cache.put(ask.listing.entries[number], digest, read_at_ns=began)

    def send(self) -> Manifest:
        """Send what is missing and publish."""
        session = Session(self._ask, self._channel, self._progress)
        try:
            session.run()
            # While the last files are read back. Of a source in the pod a digest may turn out wrong till then.
            known = list(self._ask.known)
            early = None if self._ask.source and self._ask.wanted else written(manifest_from(self._ask))
            if early and self._ask.source is None:
                session.tell(early)
            session.finish()
            what = early if early and known == self._ask.known else written(manifest_from(self._ask))
            if self._ask.source is not None:
                session.tell(what)
            session.publish(what)
            self._channel.control.send(BYE)
            return what.manifest
        finally:
            self.sent += session.sent
            session.stop()
            self._progress.restart()

    def close(self) -> None:
        """End all streams at once."""
        self._channel.close()
