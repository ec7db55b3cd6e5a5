"""The manifest: names, sizes, sha256 of a model directory.

Owns the value and its on-volume format (docs/on-volume-format.md). Must not know Kubernetes, nor read model files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Entry:
    """One regular file: POSIX path relative to the model directory, size in bytes, lower-case hex sha256."""

    path: str
    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True)
class Manifest:
    """All files of a model directory, sorted by path; `left_out` are the patterns that hid files."""

    entries: tuple[Entry, ...]
    source: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    created: str = ""  # RFC 3339, UTC

    @property
    def bytes(self) -> int:
        """Sum of the sizes."""
        return sum(entry.size for entry in self.entries)
