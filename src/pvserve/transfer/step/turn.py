"""Whose turn it is at a path of the volume, where no Lease says so.

Owns choosing the epoch of a load step: the next after the latest that lies there, so that a later step takes over
from an earlier one. Epochs of Lease holders are all greater: a step never overtakes one, and is overtaken by any.
"""

from __future__ import annotations

import contextlib
import os

from pvserve.errors import Refused, Temporary
from pvserve.transfer.agent.place import FIRST_LEASE, META
from pvserve.transfer.agent.volume import DIRECTORY_MODE, open_directory
from pvserve.transfer.values import Target, place_word

RACES = 20  # steps that take their turn at the same moment


def take_turn(target: Target, transfer: str) -> int:
    """The epoch of this writer; no other step was given the same one for this transfer.

    Raises:
        Refused: TransferOfOther, an unfinished transfer of a Lease holder lies there: it may be alive, and only the
            API server knows. Temporary: WriterRace.
    """
    root = os.open(target.mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        shelf = open_directory(root, f"{META}/partial", make=True)
        try:
            for _ in range(RACES):
                latest = max(_epochs(shelf, place_word(target)), default=0)
                if latest >= FIRST_LEASE:
                    raise _of_other(target)
                if _taken(shelf, transfer, latest + 1):
                    return latest + 1
        finally:
            os.close(shelf)
    finally:
        os.close(root)
    raise Temporary("WriterRace", f"other load steps take {target} at the same moment", subject=str(target))


def _epochs(shelf: int, place: str) -> list[int]:
    """Of all transfers to the place, of whatever content."""
    found: list[int] = []
    for name in os.listdir(shelf):
        if name.startswith(f"{place}-"):
            with contextlib.suppress(FileNotFoundError):
                found += _numbers(shelf, name)
    return found


def _numbers(shelf: int, transfer: str) -> list[int]:
    home = open_directory(shelf, transfer)
    try:
        return sorted(int(name) for name in os.listdir(home) if name.isdigit())
    finally:
        os.close(home)


def _taken(shelf: int, transfer: str, epoch: int) -> bool:
    """Make the epoch's directory, alone, and move there what an earlier step of the same transfer has."""
    home = open_directory(shelf, transfer, make=True)
    try:
        os.mkdir(f"{epoch:012d}", DIRECTORY_MODE, dir_fd=home)
        earlier = [number for number in _numbers(shelf, transfer) if number < epoch]
        if earlier:
            os.rename(f"{earlier[-1]:012d}", f"{epoch:012d}", src_dir_fd=home, dst_dir_fd=home)
        os.fsync(home)
    except (FileExistsError, FileNotFoundError):  # another step came first
        return False
    finally:
        os.close(home)
    return True


def _of_other(target: Target) -> Refused:
    return Refused(
        "TransferOfOther",
        f"a load with a client is under way to {target}, or was stopped there: a step without one does not take over",
        subject=str(target),
        remedy=("finish that load: run its `pvserve load` or `pvserve deploy` again", "or load to another path"),
    )
