"""All shares of a load are there: what several pods wrote is digested as a whole, and compared with what is published.

Owns the step from shares to files that can be published. Must not know how a file was divided.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Sequence

from pvserve.errors import PvserveError
from pvserve.transfer.agent.expected import Expected, digest_of
from pvserve.transfer.agent.place import Partial
from pvserve.transfer.agent.volume import PLAIN, open_directory

from .moving import Moving, damaged
from .reading import ASKED_FOR, Item
from .shards import Ranges, Share, all_noted, note, publishes, split, step_back, void


def done_by_others(partial: Partial, share: Share, sizes: Sequence[int]) -> bool:
    """Whether there is nothing left for this pod: all is there, and another one publishes. Else its note is void."""
    if all_noted(partial, share, sizes) is not None and not publishes(partial, share):
        return True
    step_back(partial, share)
    return False


def joined(
    partial: Partial,
    share: Share,
    taken: Ranges,
    mine: Mapping[int, Expected],
    files: Mapping[int, Expected],
    source: Any,
    items: Sequence[Item],
) -> bool:
    """Note this pod's share; whether all are there and this pod publishes: then each of `files` is verified."""
    note(partial, share, taken, mine)
    rows = all_noted(partial, share, [item.size for item in items])
    if rows is None or not publishes(partial, share):
        return False
    reader = source.reader(lambda _text: None)
    try:
        for file in split(rows, files):
            item = items[file.number]
            asks = item.sha256 == ASKED_FOR or bool(item.md5)
            error = _verified(partial, file, reader.promises(item) if asks else item)
            if error is not None:
                void(partial, share)
                raise error
    finally:
        reader.close()
    return True


def _verified(partial: Partial, file: Expected, item: Item) -> PvserveError | None:
    """Digest the file as the volume gives it back; where it is not what is published it goes, to come again."""
    parent, _, name = file.path.rpartition("/")
    directory = open_directory(partial.files, parent)
    try:
        handle = os.open(name, os.O_RDONLY | PLAIN, dir_fd=directory)
        try:
            file.verified = digest_of(handle, file.size).hex()
            moving = Moving(item, True)
            moving.skip()
            wanted = moving.differs(file.verified)
            wrong = (file.verified, wanted) if wanted else moving.came_damaged(handle)
        finally:
            os.close(handle)
        if wrong is None:
            return None
        os.unlink(name, dir_fd=directory)
        return damaged(file.path, *wrong)
    finally:
        os.close(directory)
