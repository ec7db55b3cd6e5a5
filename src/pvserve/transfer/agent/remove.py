"""Takes a model away from its path, so that a crash at any point leaves all of it there or nothing of it visible.

Owns the order: out of PATH by one rename into our partial transfer, then its records, then all is deleted there.
Must not know frames, nor who may still use the model.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from .neighbours import check_alone
from .place import Partial, Place
from .publish import recover
from .volume import Told, look, open_directory, walk

GONE, RECORD, REPLACED = "gone", "record", "replaced"  # names below the partial transfer


class NotOurs(Told):
    """What lies at the path was not put there by pvserve."""


def check_removable(place: Place, named: bool) -> dict[str, Any]:
    """What lies at the path; raises NotOurs where no manifest speaks of it and its name was not typed, Entangled."""
    there, current = place.find(), place.current()
    # A model that came to lie inside another one may leave it, and so may the record of one that went with the other.
    check_alone(place, inside=bool(current) or there is None)
    if there is not None and not current and not named:
        raise NotOurs(place.path)
    return {"found": there is not None, "current": current}


def remove(place: Place, partial: Partial, named: bool, everything: bool) -> dict[str, Any]:
    """Remove what lies at the path, its records, partial transfers to it, and with `everything` what was replaced.

    `partial` took all others to this path over: a writer that was overtaken finds its own gone, and cannot publish.
    The renames are by our epoch's path, so that they fail once a later writer has taken over.
    """
    recover(place, partial)
    answer = check_removable(place, named)
    _out(place, partial, place.parent, place.name, GONE)
    _out(place, partial, place.below("models"), place.key, RECORD)
    if everything:
        _out(place, partial, place.below("replaced"), place.key, REPLACED)
    os.fsync(partial.directory)
    freed = {"bytes": 0, "files": 0}
    for name in [*partial.stale(), partial.transfer]:
        count(partial.shelf, name, freed)
    partial.drop()
    return {**answer, **freed}


def _out(place: Place, partial: Partial, directory: str, name: str, into: str) -> None:
    """Rename one name of the volume into the partial transfer, durably; nothing where it is not there."""
    try:
        parent = open_directory(place.root, directory)
    except FileNotFoundError:
        return
    try:
        if look(parent, name) is None:
            return
        partial.check_ours()
        number = 0  # an earlier run may have left its own
        while look(partial.directory, f"{into}{number}") is not None:
            number += 1
        os.rename(name, f"{partial.path}/{into}{number}", src_dir_fd=parent, dst_dir_fd=partial.shelf)
        os.fsync(parent)
    finally:
        os.close(parent)


def count(base: int, top: str, freed: dict[str, int]) -> None:
    """Add what the tree takes on the volume: what is linked elsewhere too stays and does not count."""
    info = look(base, top)
    if info is None:
        return
    if not stat.S_ISDIR(info.st_mode):
        freed["files"] += 1
        freed["bytes"] += info.st_blocks * 512 if info.st_nlink == 1 else 0
        return
    for _, here, entry in walk(base, top):
        if not entry.is_dir(follow_symlinks=False):
            inner = os.stat(entry.name, dir_fd=here, follow_symlinks=False)
            freed["files"] += 1
            freed["bytes"] += inner.st_blocks * 512 if inner.st_nlink == 1 else 0
