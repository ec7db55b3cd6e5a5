"""The manifest as a value: names, sizes and sha256 of a model directory.

Owns the value, its identity and the comparison of two. Must not know Kubernetes, nor how it is written down
(`pvserve.model.format`), nor read files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, order=True)
class Entry:
    """One regular file: POSIX path relative to the model directory, size in bytes, lower-case hex sha256."""

    path: str
    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """All files of a model directory, sorted by path; `include` and `exclude` are the patterns that chose them."""

    entries: tuple[Entry, ...]
    source: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    created: str = ""  # RFC 3339, UTC
    name: str = ""  # of the model, for people; never part of its identity

    @property
    def bytes(self) -> int:
        """Sum of the sizes."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def digest(self) -> str:
        """See `manifest_digest`."""
        rows = sorted([entry.path, entry.size, entry.sha256, entry.executable] for entry in self.entries)
        text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Difference:
    """How one set of files differs from another, by path."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.changed)


def compare(expected: Manifest, found: Manifest) -> Difference:
    """What `found` lacks, has besides, and has otherwise: content, size or the executable bit."""
    wanted = {entry.path: entry for entry in expected.entries}
    there = {entry.path: entry for entry in found.entries}
    return Difference(
        missing=tuple(sorted(wanted.keys() - there.keys())),
        extra=tuple(sorted(there.keys() - wanted.keys())),
        changed=tuple(sorted(path for path in wanted.keys() & there.keys() if wanted[path] != there[path])),
    )


def manifest_digest(manifest: Manifest) -> str:
    """The identity of the content: `sha256:` and the hex digest of the canonical JSON of its files.

    That JSON is the list of `[path, size, sha256, executable]` sorted by path (code points), without whitespace, in
    UTF-8, as RFC 8785 writes it. Time, source, patterns and the model's name take no part.
    """
    return manifest.digest


def signing_order(entries: tuple[Entry, ...]) -> list[Entry]:
    """The entries in the order model-signing puts them: by path components, so `a/b` comes before `a.b`."""
    return sorted(entries, key=lambda entry: entry.path.split("/"))


def root_digest(entries: tuple[Entry, ...]) -> str:
    """The hex sha256 over all digests in signing order: the subject digest of a model-signing payload."""
    digest = hashlib.sha256()
    for entry in signing_order(entries):
        digest.update(bytes.fromhex(entry.sha256))
    return digest.hexdigest()
