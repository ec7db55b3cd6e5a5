"""The other models on a claim, and whether one of them lies above or below a path.

Owns that no model lies inside another: the outer one would hold files that its manifest does not know, and the inner
one would go with it. Must not change anything.
"""

from __future__ import annotations

import os

from .place import PATH, Place
from .volume import Told, Unsafe, open_directory, read_small

PATH_LIMIT = 1 << 16


class Entangled(Told):
    """Another model lies above or below the path: the one at the path that this says."""


def check_alone(place: Place, inside: bool = False) -> None:
    """Raise Entangled where another model on the claim lies below the path or, unless `inside` may be, above it."""
    for other in other_paths(place):
        if other.startswith(place.path + "/") or (not inside and place.path.startswith(other + "/")):
            raise Entangled(other)


def other_paths(place: Place) -> list[str]:
    """The paths of all other models that lie on the claim. What somebody else planted below `models` is none."""
    try:
        shelf = open_directory(place.root, place.below("models"))
    except FileNotFoundError:
        return []
    found = []
    try:
        for key in os.listdir(shelf):
            try:
                path = path_of(shelf, key)
            except (OSError, Unsafe):
                continue
            if path and key != place.key and _is_there(place, path):
                found.append(path)
    finally:
        os.close(shelf)
    return found


def path_of(shelf: int, key: str) -> str:
    """The path that a record below `models` is about, "" where it does not say."""
    try:
        here = open_directory(shelf, key)
    except OSError:
        return ""
    try:
        return read_small(here, PATH, PATH_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    finally:
        os.close(here)


def _is_there(place: Place, path: str) -> bool:
    try:
        os.close(open_directory(place.root, path))
    except (OSError, Unsafe):
        return False
    return True
