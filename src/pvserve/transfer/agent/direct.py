"""Reading and writing large files past the page cache, where the file system can: O_DIRECT.

What is read so, the storage has given back, whatever the cache holds; and nothing is copied on the way. Owns the second
descriptor that this takes, memory that it can use, and its comparison. Must not decide what is read or written.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os

from .frames import CELL

BLOCK = 4096  # bytes; no device in use has larger ones
PIECE = 4 * CELL  # bytes read or written by one call, so that a storage with a queue has something in it
HUGE = 2 << 20  # bytes of a huge page where they are smallest; on others the advice is of no use, nor harm


class Past:
    """An open file, read or written past the cache; through it where that fails."""

    def __init__(self, handle: int, flags: int) -> None:
        """`flags` are O_RDONLY or O_WRONLY; `handle` must stay open."""
        self.handle = handle
        self._flags = flags
        self._direct: Again | None = None
        self._tried = False

    def read(self, buffer: memoryview, offset: int, size: int) -> memoryview:
        """`size` bytes, fewer only at the file's end; `buffer` is of `room`, the offset a multiple of BLOCK."""
        done = 0
        while done < size:
            direct = self._past()
            try:
                if direct:
                    count = os.preadv(direct.number, [buffer[done : -(-size // BLOCK) * BLOCK]], offset + done)
                else:
                    count = os.preadv(self.handle, [buffer[done:size]], offset + done)
            except OSError as error:
                if error.errno != errno.EINVAL or not direct:
                    raise
                self._direct = None
                continue
            if not count:
                break
            done += count
            if done % BLOCK:  # the end of the file, or a file system that goes its own way
                self._direct = None
        return buffer[: min(done, size)]

    def write(self, data: memoryview, offset: int) -> None:
        """All of `data`, which lies in `room`; the offset is a multiple of BLOCK."""
        while len(data):
            whole = len(data) // BLOCK * BLOCK
            direct = self._past() if whole else None
            try:
                count = (
                    os.pwrite(direct.number, data[:whole], offset) if direct else os.pwrite(self.handle, data, offset)
                )
            except OSError as error:
                if error.errno != errno.EINVAL or not direct:
                    raise
                self._direct = None
                continue
            data, offset = data[count:], offset + count

    def let_go(self, end: int, start: int = 0) -> None:
        """What lies between is read from the storage next time, and takes no memory till then."""
        if not self._past():
            os.posix_fadvise(self.handle, start, end - start, os.POSIX_FADV_DONTNEED)

    def _past(self) -> Again | None:
        """The descriptor past the cache, while that works."""
        if not self._tried:
            self._direct, self._tried = _past_cache(self.handle, self._flags), True
        return self._direct


def room(size: int = PIECE) -> memoryview:
    """So many bytes that begin at a page of memory, as O_DIRECT wants them; of huge pages where the kernel has those.

    A device is then told few long stretches of memory instead of every page: half the processors' work for 2.1 GB that
    are read, written and read back (benchmarks/README.md, claim to claim).
    """
    memory = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # a kernel or a Python without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    view = memoryview(memory)
    start = -_address(view) % HUGE
    return view[start : start + size]


def equal(left: memoryview, right: memoryview) -> bool:
    """Whether the bytes are the same; by the C library's memcmp, which Python does not use for two memoryviews."""
    if len(left) != len(right):
        return False
    return not len(left) or _memcmp(_address(left), _address(right), len(left)) == 0


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


_memcmp = ctypes.CDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Again:
    """The very file behind a descriptor, opened once more whatever its name is by now; closed when it is let go."""

    def __init__(self, handle: int, flags: int) -> None:
        self.number = os.open(f"/proc/self/fd/{handle}", flags | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def _past_cache(handle: int, flags: int) -> Again | None:
    try:
        return Again(handle, flags | os.O_DIRECT)
    except (OSError, AttributeError):
        return None
