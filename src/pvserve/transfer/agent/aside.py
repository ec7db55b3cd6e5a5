"""Small files, read back and digested by a process of its own: in one interpreter this would wait for what receives.

Owns that process and what is said to it. Must not know which files they are, nor what their digests are good for.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import struct
import threading
from typing import Any, ContextManager, List, Sequence, Tuple

from .expected import digest_of_small
from .frames import SMALL

FILES = 200  # in one question; the kernel hands on 253 descriptors at most (SCM_MAX_FD)
_SIZE = struct.Struct("=I")
_ANSWER = struct.Struct("=QI32s")

Answers = List[Tuple[int, int, bytes]]  # of each file its inode, errno (0: none), sha256


def read_back(handles: Sequence[int], sizes: Sequence[int]) -> Answers:
    """What the volume gives back of files of at most SMALL bytes. All are asked for before the first is waited for."""
    for handle in handles:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    for handle in handles:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)
    buffer = memoryview(bytearray(SMALL + 1))
    answers = []
    for handle, size in zip(handles, sizes):
        try:
            answers.append((os.fstat(handle).st_ino, 0, digest_of_small(handle, size, buffer)))
        except OSError as error:  # noqa: PERF203 - each file has its own fate
            answers.append((0, error.errno or errno.EIO, b""))
    return answers


class Aside:
    """Reads back, in the other process while that lives, else itself. Many threads may ask."""

    def __init__(self, talk: socket.socket | None = None) -> None:
        self._talk = talk
        self._lock = threading.Lock()

    def read_back(self, handles: Sequence[int], sizes: Sequence[int], turn: ContextManager[Any]) -> Answers:
        """As the function of this name, of at most FILES; within `turn` where this process does it."""
        with self._lock:
            if self._talk:
                answer = _asked(self._talk, handles, sizes)
                if len(answer) == len(handles) * _ANSWER.size:
                    return list(_ANSWER.iter_unpack(answer))
                self._talk.close()  # the other was killed, or may not take descriptors here
                self._talk = None
        with turn:
            return read_back(handles, sizes)


def start(server: socket.socket) -> Aside:
    """Fork; before there are threads, whose locks nobody would open in the new process. It ends when this one does.

    `server` is the caller's alone.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        theirs.close()
        return Aside(ours)
    try:
        ours.close()
        server.close()
        while _answered(theirs):
            pass
    finally:
        os._exit(0)


def _asked(talk: socket.socket, handles: Sequence[int], sizes: Sequence[int]) -> bytes:
    try:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", handles))
        talk.sendmsg([b"".join(map(_SIZE.pack, sizes))], [rights])
        return talk.recv(FILES * _ANSWER.size)
    except OSError:
        return b""


def _answered(talk: socket.socket) -> bool:
    """Answer one question; False at the end, or where not all descriptors arrived."""
    handles = array.array("i")
    data, controls, _, _ = talk.recvmsg(FILES * _SIZE.size, socket.CMSG_SPACE(FILES * handles.itemsize))
    for _, _, rights in controls:
        handles.frombytes(rights)
    sizes = [size for (size,) in _SIZE.iter_unpack(data)]
    if not sizes or len(sizes) != len(handles):
        return False
    talk.send(b"".join([_ANSWER.pack(*answer) for answer in read_back(handles, sizes)]))
    for handle in handles:
        os.close(handle)
    return True
