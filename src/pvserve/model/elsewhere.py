"""A listing of files that somebody else has walked, under the same rules as a directory of this machine.

Owns which of the names told are taken and which are refused. Must not know who told them, nor read files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pvserve.errors import UsageError
from pvserve.model.contain import fault as name_fault
from pvserve.model.contain import shown
from pvserve.model.filters import Filter
from pvserve.model.listing import Listing, empty, fingerprint, idle_patterns, unloadable
from pvserve.model.walk import Fault, Found, clash

_SNAPSHOT = re.compile(r"snapshots/([^/]+)/.+")


class Told(NamedTuple):
    """One file, or a name that cannot be loaded and why."""

    found: Found
    fault: str = ""


def told_listing(
    rows: Iterable[Told], place: str, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Listing:
    """What is to be loaded of the files at `place`.

    Raises as `pvserve.model.listing`; UsageError `WhichSnapshot` for a repository of a Hugging Face cache.
    """
    name = place.rstrip("/").rpartition("/")[2]
    rows = list(rows)
    _check_no_repository(place, name, rows)
    sieve = _Sieve(Filter(include, exclude))
    taken = tuple(sorted(row.found for row in rows if sieve.takes(row)))
    if sieve.faults:
        raise unloadable(place, sieve.faults)
    if not taken:
        raise empty(place, sieve.left_out)
    return Listing(
        root=Path(place),
        entries=taken,
        left_out=tuple(sorted(sieve.left_out)),
        fingerprint=fingerprint(taken),
        name=name,
        source=place,
        include=tuple(include),
        exclude=tuple(exclude),
        notes=idle_patterns(sieve.chosen, taken, sieve.left_out),
    )


class _Sieve:
    """Asks the filter for directories before what lies below them, as a walk does."""

    def __init__(self, chosen: Filter) -> None:
        self.chosen = chosen
        self.faults: list[Fault] = []
        self._out: dict[str, None] = {}
        self._directories: dict[str, bool] = {}
        self._names: dict[str, dict[str, str]] = {}

    @property
    def left_out(self) -> list[str]:
        """What was not taken, a directory (`NAME/`) only once."""
        return list(self._out)

    def takes(self, row: Told) -> bool:
        """Whether the file is to be loaded; its faults are noted where it would be."""
        path = row.found.path
        parent, _, name = path.rpartition("/")
        if not self._enters(parent):
            return False
        if self.chosen.leaves_out(path) or not self.chosen.takes(path):
            self._out[path] = None
            return False
        why = row.fault or name_fault(path) or self._clash(parent, name)
        if why:
            self.faults.append(Fault(path, why))
        return not why

    def _enters(self, directory: str) -> bool:
        known, here = True, ""
        for name in directory.split("/") if directory else ():
            parent, here = here, f"{here}/{name}" if here else name
            if here not in self._directories:
                self._directories[here] = known and self._admits(parent, here, name)
            known = self._directories[here]
        return known

    def _admits(self, parent: str, directory: str, name: str) -> bool:
        if self.chosen.leaves_out(directory):
            self._out[directory + "/"] = None
            return False
        if why := self._clash(parent, name):
            self.faults.append(Fault(directory, why))
        return True

    def _clash(self, parent: str, name: str) -> str:
        return clash(name, self._names.setdefault(parent, {}))


def _check_no_repository(place: str, name: str, rows: list[Told]) -> None:
    """The cache's own layout is no model directory; its snapshots are."""
    revisions = sorted({match[1] for row in rows if (match := _SNAPSHOT.match(row.found.path))})
    if name.startswith("models--") and revisions:
        raise UsageError(
            "WhichSnapshot",
            f"{shown(place)} is a Hugging Face cache of {len(revisions)} revisions, not a model directory",
            subject=place,
            remedy=("give one of them:", *(f"  {place}/snapshots/{shown(revision)}" for revision in revisions[:20])),
        )
