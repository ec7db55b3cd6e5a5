"""What of a partial transfer is durable, as text that survives a crash at any byte (docs/on-volume-format.md).

Owns the file's lines. Must not know what they are used for.
"""

from __future__ import annotations

import os
import zlib
from typing import Iterable

from .volume import FILE_MODE, PLAIN, write_all

JOURNAL = "journal"


class Journal:
    """What is durable, one line each with a crc32 behind it; docs/on-volume-format.md.

    `f INODE` the files directory all else speaks of; `d NUMBER FIRST COUNT` cells; `v NUMBER SIZE INODE SHA256 NAME`
    a verified file, its name as JSON; `x NUMBER` forget the file. A line is written only after the fsync that it
    speaks of, so a lost line costs a resend and nothing else.
    """

    def __init__(self, directory: int, files: int, share: str = "") -> None:
        name = f"{JOURNAL}-{share}" if share else JOURNAL
        self._handle = os.open(name, os.O_RDWR | os.O_CREAT | PLAIN, FILE_MODE, dir_fd=directory)
        self.lines, self._end = journal_lines(self._handle)
        head = ["f", str(os.fstat(files).st_ino)]
        if self.lines[:1] != [head]:  # of another directory, as after a publish that was stopped: believe nothing
            self.lines, self._end = [], 0
        os.ftruncate(self._handle, self._end)
        if not self.lines:
            self.write([" ".join(head)])

    def write(self, lines: Iterable[str]) -> None:
        """Append durably. One thread at a time."""
        texts = [line.encode("ascii") for line in lines]
        block = b"".join(b"%s %08x\n" % (text, zlib.crc32(text)) for text in texts)
        write_all(self._handle, block, self._end)
        os.fdatasync(self._handle)
        self._end += len(block)


def journal_lines(handle: int) -> tuple[list[list[str]], int]:
    """The fields of the lines up to the first torn one, and where that begins."""
    found: list[list[str]] = []
    end, rest = 0, b""
    while True:
        block = os.pread(handle, 1 << 20, end + len(rest))
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            text, _, check = line.rpartition(b" ")
            if check != b"%08x" % zlib.crc32(text):
                return found, end
            end += len(line) + 1
            found.append(text.decode("ascii").split(" ", 5))
        if not block:
            return found, end
