"""One load from start to end, with nobody at the other end: list, fetch, publish, and say how it went.

Owns the order of these. Must not know protocols.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import Any

from pvserve.errors import StalePlan
from pvserve.model.contain import shown
from pvserve.model.format import to_json, to_sha256sums
from pvserve.model.listing import Listing
from pvserve.model.manifest import Entry, Manifest, manifest_digest
from pvserve.transfer import causes
from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import CELL, SMALL
from pvserve.transfer.agent.neighbours import Entangled, check_alone
from pvserve.transfer.agent.place import MANIFEST, SUMS, Partial, Place, space
from pvserve.transfer.agent.publish import publish, recover
from pvserve.transfer.agent.receiver import Receiver
from pvserve.transfer.agent.reuse import candidates, copy_file
from pvserve.transfer.agent.volume import open_directory
from pvserve.transfer.step.turn import take_turn
from pvserve.transfer.values import Target, place_word

from .choosing import PUBLIC
from .errand import Errand, Mover
from .fetching import Fetching
from .joining import done_by_others, joined
from .noted import already, note
from .order import Listed, Order
from .shards import Ranges, ranges


class Progress:
    """Where the load stands, for whoever tells it."""

    def __init__(self) -> None:
        self.phase = "list"
        self.waiting_for = ""
        self.bytes_total = self.files_total = 0
        self.fetching: Fetching | Mover | None = None

    def wait_for(self, text: str) -> None:
        """What is waited for, "" for nothing."""
        self.waiting_for = text

    def value(self) -> dict[str, Any]:
        """As one JSON object."""
        fetching = self.fetching
        done, files = fetching.progress() if fetching else (0, 0)
        return {
            "phase": self.phase,
            "bytes": done,
            "reused": fetching.found if fetching else 0,
            "bytesTotal": self.bytes_total,
            "files": files,
            "filesTotal": self.files_total,
            "waitingFor": (fetching.waiting_for if fetching else "") or self.waiting_for,
        }


def carry_out(order: Order, progress: Progress) -> dict[str, Any]:
    """The whole load; what it did. Raises PvserveError and what the volume raises."""
    began = time.monotonic()
    source = order.source(progress.wait_for)
    listed = order.listed(source.rows())
    listing = listed.listing
    if order.fingerprint and listing.fingerprint != order.fingerprint:
        raise StalePlan(
            "SourceChanged",
            f"{listing.source} changed since the plan was made",
            subject=listing.source,
            remedy=("run the same command again",),
        )
    progress.bytes_total, progress.files_total = listing.bytes, len(listing.entries)
    at = order.value["place"]
    place = Place(str(at["mount"]), str(at["path"]), str(at["key"]))
    noted = already(place, listing)
    done = {"bytes": listing.bytes, "files": len(listing.entries), "uri": str(order.target), "source": listing.source}
    if noted and not (order.scheme == "initializer" and order.replace):  # which is the same listing for all it knows
        done.update({name: noted[name] for name in ("bytes", "files") if name in noted})
        again = {"fetched": 0, "reused": done["bytes"], "seconds": 0, "unchanged": True}
        return {**done, "manifest": str(noted["manifest"]), **again}
    _check_free(place, order)
    fetched, listing, digest = _fetched(order, place, source, listed, progress)
    return {
        **done,
        "bytes": listing.bytes,
        "files": len(listing.entries),
        "manifest": digest,
        "fetched": fetched,
        "reused": max(0, progress.bytes_total - fetched),
        "seconds": round(time.monotonic() - began, 1),
        "unchanged": False,
        **({"shareBytes": progress.bytes_total, "shareFiles": progress.files_total} if order.share else {}),
    }


def _fetched(order: Order, place: Place, source: Any, listed: Listed, progress: Progress) -> tuple[int, Listing, str]:
    """Bring the files and publish them: bytes that came, what the files are, and the manifest's digest.

    That is "" where another pod publishes.
    """
    listing = listed.listing
    share, sizes = order.share, [entry.size for entry in listed.listing.entries]
    transfer = f"{place_word(order.target)}-{hashlib.sha256(listed.listing.fingerprint.encode()).hexdigest()[:16]}"
    epoch = order.value.get("epoch")
    partial = Partial(place, transfer, int(epoch) if epoch else take_turn(order.target, transfer))
    recover(place, partial)
    partial.open(share.name if share else "")
    if listed.mover is not None:
        return _moved(order, place, partial, listed, progress)
    if share and done_by_others(partial, share, sizes):
        return 0, listing, ""
    taken = ranges(sizes, share) if share else {number: (0, size) for number, size in enumerate(sizes)}
    expected = _expected(listed.listing, taken)
    progress.bytes_total, progress.files_total = sum(stop - start for start, stop in taken.values()), len(taken)
    fetching = Fetching(source, listed.items, partial, expected)
    progress.phase, progress.fetching = "fetch", fetching
    fetching.run(lambda receiver: _reused(place, partial, expected, receiver, order.target))
    if share:
        files = _expected(listed.listing, {number: (0, size) for number, size in enumerate(sizes)})
        if not joined(partial, share, taken, expected, files, source, listed.items):
            return fetching.fetched, listing, ""
        expected = files
    progress.phase = "publish"
    return fetching.fetched, listing, _published(order, place, partial, listing, expected, listing.fingerprint)


def _expected(listing: Listing, taken: Ranges) -> dict[int, Expected]:
    """The files of which something is to come, or the parts of them."""
    found: dict[int, Expected] = {}
    for number, (start, stop) in taken.items():
        entry = listing.entries[number]
        if entry.size <= SMALL:
            found[number] = Expected(number, entry.path, entry.size, entry.executable, entry.promised_sha256)
        elif (start, stop) == (0, entry.size):
            found[number] = Large(number, entry.path, entry.size, entry.executable, entry.promised_sha256)
        else:
            found[number] = Large(number, entry.path, stop - start, entry.executable, "", start)
    return found


def _published(
    order: Order, place: Place, partial: Partial, listing: Listing, files: dict[int, Expected], fingerprint: str
) -> str:
    """The manifest's digest, once the files are the version at their path."""
    manifest = Manifest(
        entries=tuple(Entry(e.path, e.size, files[n].verified, e.executable) for n, e in enumerate(listing.entries)),
        source=listing.source,
        include=listing.include,
        exclude=listing.exclude,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        name=listing.name,
    )
    texts = {MANIFEST: to_json(manifest).encode(), SUMS: to_sha256sums(manifest).encode()}
    digest = manifest_digest(manifest)
    note(place, {"listing": fingerprint, "manifest": digest, "bytes": listing.bytes, "files": len(listing.entries)})
    publish(place, partial, files, texts, digest.partition(":")[2], order.replace)
    return digest


def _moved(
    order: Order, place: Place, partial: Partial, listed: Listed, progress: Progress
) -> tuple[int, Listing, str]:
    """The same of a source whose files are known as they come."""
    assert listed.mover is not None
    mover = listed.mover(_errand(order, place, partial, listed.listing))
    progress.phase, progress.fetching, progress.bytes_total, progress.files_total = "fetch", mover, mover.total, 0
    mover.run()
    progress.phase = "publish"
    digest = _published(order, place, partial, mover.listing, mover.expected, listed.listing.fingerprint)
    return mover.fetched, mover.listing, digest


def _errand(order: Order, place: Place, partial: Partial, listing: Listing) -> Errand:
    whose = str(order.value["source"]["uri"]).partition("://")[0]
    strict = whose in PUBLIC and not order.value.get("allowPickle")
    target = order.target
    return Errand(listing.source, listing.name, order.include, order.exclude, strict, place, partial, target)


def _reused(
    place: Place, partial: Partial, expected: dict[int, Expected], receiver: Receiver, target: Target
) -> set[int]:
    """Copy what lies on the volume under the digest that the source publishes; room for the rest is checked first."""
    wanted = [file for file in expected.values() if file.digest]
    copies = list(candidates(place, partial, wanted))
    there = {number: _there(file) for number, file in expected.items()}
    sizes = [file.size for file in expected.values()]
    info = space(place.root)
    causes.check_room(target, sizes, there, info)
    causes.check_inodes(target, [file.path for file in expected.values() if not there[file.number]], info["inodes"])
    for file, where in copies:
        parent, _, name = file.path.rpartition("/")
        directory = open_directory(partial.files, parent, make=True)
        try:
            receiver.take_copy(file, lambda: copy_file(place.root, where, directory, name, file.size, file.mode))  # noqa: B023 - called at once
        finally:
            os.close(directory)
    return {file.number for file, _ in copies}


def _there(file: Expected) -> int:
    if file.verified:
        return file.size
    return min(file.size, file.durable_count * CELL) if isinstance(file, Large) else 0


def _check_free(place: Place, order: Order) -> None:
    """Refuse before the first byte what `publish` would refuse after the last."""
    try:
        check_alone(place)
    except Entangled as error:
        raise causes.entangled(shown(str(error)), order.target) from error
    there = place.find()
    if there is None or order.replace:
        return
    here = open_directory(place.root, place.path)
    try:
        occupied = bool(os.listdir(here))
    finally:
        os.close(here)
    if occupied:
        raise causes.occupied(order.target)
