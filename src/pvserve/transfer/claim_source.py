"""A source that the pod itself mounts: its listing and its digests, asked of the agent and judged here.

Owns these questions. What a pod says is bounded and checked. Must not copy.
"""

from __future__ import annotations

import errno
import hashlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pvserve.errors import PvserveError, Refused
from pvserve.model import Found, Listing, shown
from pvserve.model.elsewhere import Told, told_listing
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import CHECKED, DIGEST, FILES, LIST, SEEN, SOURCED, Broken, Frame, Wire
from pvserve.transfer.answers import answers, understood
from pvserve.transfer.ask import ROWS, Ask
from pvserve.transfer.values import Target

ROWS_LIMIT = 2_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Source(NamedTuple):
    """What lies at a source, and the digests that its stamps tell of, "" where a file has none."""

    listing: Listing
    stamped: list[str]


def list_source(wire: Wire, source: Target, include: Sequence[str], exclude: Sequence[str]) -> Source:
    """The files to copy, as `pvserve.model.listing` has those of a directory of this machine.

    `Found.real` is below the source's mount; `Found.device` stands for the claim, so that digests are remembered for
    the right files whichever device number a node gives the volume.

    Raises:
        Refused: NoSuchSource, or what `pvserve.model.listing` refuses.
    """
    ask_list(wire, source)
    return listed(wire, source, include, exclude)


def ask_list(wire: Wire, source: Target) -> None:
    """The question alone, where others are asked before its answer is waited for."""
    wire.send_json(LIST, {"mount": source.mount, "path": source.path})


def listed(wire: Wire, source: Target, include: Sequence[str], exclude: Sequence[str]) -> Source:
    """The answer to `ask_list`, as of `list_source`."""
    rows: list[Told] = []
    stamps: dict[str, str] = {}
    device, blobs = _device(source), _blobs(source.path)
    for frame in of_source(wire, source):
        if frame.kind != SEEN:
            raise Broken(f"frame {frame.kind} came out of turn")
        with understood():
            for row in frame.json():
                rows.append(_row(row[:-1], device, blobs))
                stamps[rows[-1].found.path] = _stamp(row[-1])
        if len(rows) > ROWS_LIMIT:
            raise Broken("the agent sends an endless list")
    listing = told_listing(rows, str(source), include=include, exclude=exclude)
    return Source(listing, [stamps[found.path] for found in listing.entries])


def check_same(listing: Listing, wanted: Listing, source: Target) -> None:
    """Refuse a source that is not the directory of this machine which it was taken for: `SourceElsewhere`."""
    if [found[:5] for found in listing.entries] != [found[:5] for found in wanted.entries]:
        raise elsewhere(wanted, source, "its files are others")


def elsewhere(wanted: Listing, source: Target, why: str) -> Refused:
    """A source is not known to be the directory of this machine which it was taken for."""
    return Refused(
        "SourceElsewhere",
        f"{source} is not the model directory {shown(str(wanted.root))}: {why}",
        subject=str(source),
        remedy=("load the model directory itself: its files are then sent over the network",),
    )


def copy_needs_python(target: Target, why: str) -> Refused:
    """The loader pod cannot run the agent, and its shell copies from no claim."""
    return Refused(
        "CopyNeedsPython",
        f"a copy from claim to claim needs Python 3.8 or newer in the loader pod: {why}",
        subject=str(target),
        remedy=("add --image with an image that has Python 3.8 or newer",),
    )


def digest_source(wire: Wire, ask: Ask, source: Target) -> Iterator[tuple[int, str, int]]:
    """Every file's (number, sha256, wall clock in ns when reading began), where it is not known yet."""
    numbers = [number for number, known in enumerate(ask.known) if not known]
    rows = ask.rows()
    wire.send_json(DIGEST, {"mount": source.mount, "path": source.path})
    for start in range(0, len(numbers), ROWS):
        wire.send_json(FILES, [rows[number] for number in numbers[start : start + ROWS]])
    wire.send_json(FILES, [])
    left = set(numbers)
    for frame in of_source(wire, source):
        if frame.kind != SOURCED:
            raise Broken(f"frame {frame.kind} came out of turn")
        with understood():
            told = [(numbers[place], digest.hex()) for place, digest in CHECKED.iter_unpack(frame.payload)]
        for number, digest in told:
            if number not in left:
                raise Broken("the agent tells a file's digest twice")
            left.remove(number)
            yield number, digest, frame.offset
    if left:
        raise Broken("the agent does not tell every file's digest")


def of_source(wire: Wire, source: Target) -> Iterator[Frame]:
    """What the agent says to a question about a source, until it says that this was all."""
    return answers(wire, lambda told: _failure(told, source))


def _failure(told: Any, source: Target) -> PvserveError:
    number = told.get("errno") if isinstance(told, dict) else None
    if number not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM):
        return causes.failure(told, source)
    why = {errno.ENOENT: "does not exist", errno.ENOTDIR: "is no directory"}.get(number)
    return Refused(
        "NoSuchSource",
        f"the model directory {shown(str(source))} {why or 'may not be read by the loader pod'}; nothing was copied",
        subject=str(source),
        remedy=(f"pvserve ls shows which models lie on claim {source.claim}",),
    )


def _row(row: Any, device: int, blobs: str) -> Told:
    path, size, mtime, ctime, inode, executable, real, fault = row
    numbers = (size, mtime, ctime, inode)
    if not (isinstance(path, str) and path and isinstance(real, str) and all(isinstance(n, int) for n in numbers)):
        raise Broken("the agent's answer makes no sense")
    if size < 0:
        raise Broken("the agent names a file of negative size")
    home, name = posixpath.split(real)
    promised = name if blobs and home == blobs and _SHA256.fullmatch(name) else ""
    found = Found(path, size, mtime, ctime, inode, device, bool(executable), real, promised)
    return Told(found, "".join(letter if letter.isprintable() else "?" for letter in str(fault)[:200]))


def _stamp(digest: Any) -> str:
    if not (isinstance(digest, str) and (not digest or _SHA256.fullmatch(digest))):
        raise Broken("the agent sent no digest")
    return digest


def _device(source: Target) -> int:
    """No device of this machine: those are not negative."""
    return -1 - int.from_bytes(hashlib.sha256(source.claim.encode()).digest()[:7], "big")


def _blobs(path: str) -> str:
    """Where a snapshot of a Hugging Face cache has its files, named by their digest."""
    snapshots = posixpath.dirname(path)
    return posixpath.join(posixpath.dirname(snapshots), "blobs") if posixpath.basename(snapshots) == "snapshots" else ""
