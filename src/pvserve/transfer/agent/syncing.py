"""What kind of file system a directory is on: what can be believed of it, and who copies on it.

Owns making all that was written durable at once, and how often that is asked. Must not know what was written.
"""

from __future__ import annotations

import ctypes
import os
import re
import time
from typing import Any

# statfs(2) of ext4 and xfs, on which the power-cut tests run. FUSE and others answer without asking their storage.
BELIEVED = (0xEF53, 0x58465342)
# NFS, SMB and its predecessor, CephFS, FUSE: their servers may copy what no client has to read.
NETWORK = (0x6969, 0xFE534D42, 0xFF534D42, 0x00C36400, 0x65735546)
REPORTS = (5, 8)  # Linux before this has syncfs(2) succeed whatever became of the data
SLOW_SECONDS = 1.0  # somebody else writes to the same volume, and each call would wait for that too
STATFS_BYTES = 256  # more than any struct statfs; its first field is the type


class FileSystem:
    """The one that holds `directory`."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._type = _type(directory)
        self._call = _syncfs() if self._type in BELIEVED else None
        self._believed = self._call is not None

    @property
    def believed(self) -> bool:
        """Whether it is one of those that the power-cut tests run on."""
        return self._believed

    @property
    def network(self) -> bool:
        """Whether a copy in the kernel may be one by a server; elsewhere it is one through this machine's memory."""
        return self._type in NETWORK

    def mark(self) -> int:
        """A descriptor for `sync`, taken before the first byte is written: it hears of all errors since.

        -1 where files must be fsynced one by one.
        """
        if self._call is None:
            return -1
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._directory)

    def sync(self, mark: int) -> bool:
        """Make durable what was written since the mark; False, and nothing done, where files must be fsynced.

        After an OSError nothing of it is to be believed, and there is no second try. An error of the log alone is told
        by Linux 5.17 and later; on any, the journal's fdatasync fails then, and nothing is acknowledged before that.
        """
        call = self._call
        if call is None or mark < 0:
            return False
        began = time.monotonic()
        try:
            if call(mark) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        except OSError:
            self._call = None  # which file it was, only fsync can say
            raise
        if time.monotonic() - began > SLOW_SECONDS:
            self._call = None
        return True


def _type(directory: int) -> int:
    """As statfs(2) tells it; 0 where the C library cannot be asked."""
    try:
        ask = ctypes.CDLL(None, use_errno=True).fstatfs
    except (AttributeError, OSError):
        return 0
    answer = ctypes.create_string_buffer(STATFS_BYTES)
    return ctypes.c_long.from_buffer(answer).value if ask(directory, answer) == 0 else 0


def _syncfs() -> Any:
    """The C library's function, or None where it is not there or cannot be believed."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < REPORTS:
        return None
    try:
        return ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return None
