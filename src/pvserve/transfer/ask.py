"""What one load asks for, and the names under which it is known on the volume.

Owns the value that all sessions of a load share, and its last words. Must not send files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote

from pvserve.model import DigestCache, Listing, Manifest, manifest_digest, to_json, to_sha256sums
from pvserve.transfer.agent.frames import CELL, FINISH, TEXT, Wire
from pvserve.transfer.values import Target, place_word

if TYPE_CHECKING:
    from pvserve.transfer.looking import Look

ROWS = 2000  # files per FILES frame


@dataclass
class Ask:
    """What one load wants; the same for every session of it."""

    listing: Listing
    target: Target
    transfer: str
    epoch: int
    replace: bool
    known: list[str]  # the source's digest per file, "" until it is known
    cache: DigestCache
    tries: dict[int, int]
    source: Target | None = None  # in the pod itself; None: the files are on this machine
    wanted: str = ""  # the manifest's digest where only this content will do
    checksum: bool = False  # digests of earlier times are not trusted
    seen: Look | None = None  # what lay at the path, where that was asked before the end was there
    stamped: Sequence[str] = ()  # what its stamps say of a source in the pod, "" where there is none

    def rows(self) -> list[list[object]]:
        """The files as the agent wants to hear of them."""
        rows: list[list[object]] = []
        for found, known in zip(self.listing.entries, self.known, strict=True):
            row: list[object] = [found.path, found.size, int(found.executable), known]
            if self.source is not None:
                row += [str(found.real), found.mtime_ns, found.ctime_ns, found.inode]
            rows.append(row)
        return rows


def key_of(path: str) -> str:
    """A path as one file name; one that grows too long by quoting is named by its digest."""
    quoted = quote(path, safe="")
    return quoted if len(quoted) <= 200 else "sha256-" + hashlib.sha256(path.encode()).hexdigest()


def transfer_of(target: Target, listing: Listing) -> str:
    """Names the transfer of exactly these files to this path: the same after a restart, another once one is touched."""
    return f"{place_word(target)}-{hashlib.sha256(listing.fingerprint.encode()).hexdigest()[:16]}"


def place_of(target: Target) -> dict[str, str]:
    """The fields by which the agent finds a path."""
    return {"mount": target.mount, "path": target.path, "key": key_of(target.path)}


class Written(NamedTuple):
    """A manifest and what is written of it beside the model."""

    manifest: Manifest
    texts: tuple[bytes, bytes]


def written(manifest: Manifest) -> Written:
    """The files of a manifest."""
    return Written(manifest, (to_json(manifest).encode(), to_sha256sums(manifest).encode()))


def send_texts(wire: Wire, what: Written) -> None:
    """What will be written beside the model, which `finish` decides."""
    for number, data in enumerate(what.texts):
        for start in range(0, len(data), CELL):
            wire.send(TEXT, data[start : start + CELL], number)


def finish(wire: Wire, ask: Ask, how: Literal["publish", "adopt", "settle"], what: Written | None = None) -> None:
    """The last words of a load, once what is written has been sent. `adopt`: of files that lie at the path already;
    `settle`: the path holds the files, and what an earlier publisher was stopped in is brought to its end."""
    digest = manifest_digest(what.manifest).removeprefix("sha256:") if what else ""
    who = {"transfer": ask.transfer, "epoch": ask.epoch}
    wire.send_json(FINISH, {**place_of(ask.target), **who, "digest": digest, "replace": ask.replace, "how": how})
