"""Sources whose files nobody knows before they are brought: archives and the layers of images.

Owns what such a source is asked for and gives back. Must not bring anything.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from pvserve.model.listing import Listing
from pvserve.transfer.agent.expected import Expected
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.values import Target


class Errand(NamedTuple):
    """What one load wants of such a source, and where it goes; `words` is the source's name, pinned."""

    words: str
    name: str
    include: list[str]
    exclude: list[str]
    refuse_pickles: bool
    place: Place
    partial: Partial
    target: Target


class Mover:
    """Brings the files. After `run`, `listing` and `expected` say what they are, under the same numbers."""

    listing: Listing
    expected: dict[int, Expected]
    waiting_for = ""
    fetched = found = 0  # bytes of the source that came, and that need not come
    total = 0  # bytes that `progress` ends with

    def run(self) -> dict[int, str]:
        """The sha256 of every file as the volume gives it back. Raises the first error that ends it."""
        raise NotImplementedError

    def progress(self) -> tuple[int, int]:
        """Bytes of the source and files that are done."""
        raise NotImplementedError


MakeMover = Callable[[Errand], Mover]
