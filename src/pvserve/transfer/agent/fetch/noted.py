"""Of which listing the version at a path was made: noted beside its markers, for the same load again.

Owns that file on the volume (docs/on-volume-format.md). Must not ask a source.
"""

from __future__ import annotations

import json
import os
from typing import Any

from pvserve.model.listing import Listing
from pvserve.transfer.agent.place import Place
from pvserve.transfer.agent.volume import open_directory, read_small, write_durably

FETCHED = "fetched"  # beside the markers of a path
FETCHED_LIMIT = 1 << 16  # bytes


def already(place: Place, listing: Listing) -> dict[str, Any]:
    """What `_note` noted, if what lies at the path was made of this very listing; else nothing."""
    current = place.current()
    if not current:
        return {}
    try:
        here = open_directory(place.root, place.below("models", place.key))
        try:
            noted = json.loads(read_small(here, FETCHED, FETCHED_LIMIT))
        finally:
            os.close(here)
        same = noted["listing"] == listing.fingerprint and noted["manifest"] == f"sha256:{current}"
        return dict(noted) if same and not place.unsettled() else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def note(place: Place, value: dict[str, Any]) -> None:
    """Say beforehand what the version to be is made of; believed only once that version lies at the path."""
    here = open_directory(place.root, place.below("models", place.key), make=True)
    try:
        write_durably(here, FETCHED, json.dumps(value).encode())
    finally:
        os.close(here)
