"""Files of the source, read exactly as they were listed.

Owns opening and reading; a file that is no longer what was listed fails by name. Must not digest or send.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from pvserve.errors import PvserveError
from pvserve.model import Found, shown
from pvserve.model.digests import PLAIN, check_unchanged, open_plain


@contextlib.contextmanager
def reading(found: Found) -> Iterator[int]:
    """A descriptor of the file, checked against its listing before and after.

    Raises:
        Temporary: SourceChanged. PvserveError: SourceUnreadable.
    """
    try:
        file = open(found.real, "rb", buffering=0, opener=open_plain)  # noqa: SIM115 - the error is of opening alone
    except OSError as error:
        raise _unreadable(found, 0, error) from error
    with file:
        check_unchanged(found, os.fstat(file.fileno()))
        yield file.fileno()
        check_unchanged(found, os.fstat(file.fileno()))


def read_small(found: Found, view: memoryview) -> None:
    """Fill `view` with a whole file; as few calls as that takes, for there may be many.

    It is checked behind the last byte alone: what is then as it was listed, was so before the first.
    """
    try:
        handle = os.open(found.real, PLAIN)
    except OSError as error:
        raise _unreadable(found, 0, error) from error
    try:
        read_exactly(handle, view, 0, found)
        check_unchanged(found, os.fstat(handle))
    finally:
        os.close(handle)


def read_exactly(handle: int, view: memoryview, offset: int, found: Found) -> None:
    """Fill `view` from the file at `offset`."""
    while len(view):
        try:
            count = os.preadv(handle, [view], offset)
        except OSError as error:
            if error.errno in (errno.ESPIPE, errno.EISDIR):  # a FIFO or a directory has taken its place
                check_unchanged(found, os.fstat(handle))
            raise _unreadable(found, offset, error) from error
        if not count:
            check_unchanged(found, os.fstat(handle))
            raise _unreadable(found, offset, OSError(errno.EIO, "it ends here, though it is listed as longer"))
        view = view[count:]
        offset += count


def read_whole(found: Found) -> bytes:
    """A small file."""
    data = bytearray(found.size)
    read_small(found, memoryview(data))
    return bytes(data)


def _unreadable(found: Found, offset: int, error: OSError) -> PvserveError:
    return PvserveError(
        "SourceUnreadable",
        f"reading {shown(found.path)} failed at byte {offset}: {error.strerror}",
        subject=str(found.real),
        remedy=("check the disk or network share that the file lies on, then run the same command again",),
    )
