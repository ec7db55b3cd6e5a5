"""Whether a path holds the source's files already, may be given them, and has room for them.

Owns the decision before the first byte. Must not know how an end is reached.
"""

from __future__ import annotations

from collections.abc import Callable

from pvserve.model import Manifest, full_manifest, manifest_digest
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import Broken
from pvserve.transfer.ask import Ask
from pvserve.transfer.ends import End, manifest_from
from pvserve.transfer.looking import Look, Row
from pvserve.transfer.progress import Progress


def there_already(end: End, ask: Ask, progress: Progress, stopped: Callable[[], bool]) -> Manifest | None:
    """The manifest, if the path holds the very files; equal files that somebody else put there get one.

    Raises:
        Refused: PathOccupied, where other content is there and was not to be replaced.
    """
    seen = end.look(rows=False, digests=False)
    if seen.kind == "nothing":
        return None
    rows = end.look(rows=True, digests=False).rows if seen.kind == "directory" else None
    if rows == ():
        return None  # an empty directory is in nobody's way
    source = manifest_from(ask) if all(ask.known) else None
    if source is None and _names_fit(seen, ask):
        source = _digest_source(end, ask, progress, stopped)
    if rows is not None and _same_names(rows, ask) and not (ask.replace and source is None):
        source = source or _digest_source(end, ask, progress, stopped)
        if seen.current == manifest_digest(source).removeprefix("sha256:"):
            end.settle(seen)
            return source
        if seen.manifest is None and _same_digests(end, source, progress):
            end.adopt(source)
            return source
    if ask.replace or _is_damaged(seen, source):
        return None  # equal files are found by digest, or by name and size
    raise causes.occupied(ask.target)


def _same_names(rows: tuple[Row, ...], ask: Ask) -> bool:
    """Whether names, sizes and executable bits are the source's, and everything is a readable file."""
    there = sorted((row.path, row.size, row.executable, row.fault) for row in rows)
    return there == sorted((found.path, found.size, found.executable, "") for found in ask.listing.entries)


def _names_fit(seen: Look, ask: Ask) -> bool:
    """Whether the path's manifest may be the source's: then a damaged directory is put right, not replaced."""
    if seen.manifest is None:
        return False
    wanted = sorted((entry.path, entry.size, entry.executable) for entry in seen.manifest.entries)
    return wanted == sorted((found.path, found.size, found.executable) for found in ask.listing.entries)


def _same_digests(end: End, source: Manifest, progress: Progress) -> bool:
    """Whether the files at the path, which somebody else put there, are the source's."""
    progress.phase = "verify"
    rows = end.look(rows=True, digests=True).rows
    return {row.path: row.sha256 for row in rows} == {entry.path: entry.sha256 for entry in source.entries}


def _is_damaged(seen: Look, source: Manifest | None) -> bool:
    """Whether the path should hold these files and does not: putting them right replaces nothing."""
    return bool(seen.manifest and source and manifest_digest(seen.manifest) == manifest_digest(source))


def _digest_source(end: End, ask: Ask, progress: Progress, stopped: Callable[[], bool]) -> Manifest:
    if ask.source is not None:
        progress.phase = "hash"
        end.digest_source()
        return manifest_from(ask)

    def heard(event: object) -> None:
        if stopped():
            raise Broken("stopped")
        progress.hashing(event)

    source = full_manifest(ask.listing, ask.cache, checksum=ask.checksum, listener=heard)
    ask.known[:] = [entry.sha256 for entry in source.entries]
    return source
