"""What pvserve's own files were when they were published: an equal stat later means equal bytes (on-volume-format.md).

Owns the file of stamps beside a manifest, and the rule by which a stamp is written and believed. Must not read models.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import zlib
from typing import Dict, Iterable, Iterator, Tuple

from .place import CURRENT, META, PATH
from .volume import Unsafe, open_directory, read_small

STAMPS = "stamps"
HEAD = b"pvserve-stamps 1"
LIMIT = 64 << 20
TICK_NS = 20_000_000  # no kernel's clock of file times ticks slower (CONFIG_HZ is 100 or more)
COARSE = 5  # CLOCK_REALTIME_COARSE of clock_gettime(2), which ext4 and xfs take file times from
_SECOND = 1_000_000_000
_DIGEST = re.compile(r"[0-9a-f]{64}")

Identity = Tuple[int, int, int, int]  # inode, size, mtime_ns, ctime_ns
Known = Dict[Identity, str]  # the sha256 of what had this identity


def identity_of(info: os.stat_result) -> Identity:
    """What changes whenever a file's bytes do, whoever writes them."""
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def tick_ns(local: bool) -> int:
    """How long a file may change without its times moving; of a `local` file system this kernel's clock tells it."""
    if not local:
        return TICK_NS
    return min(TICK_NS, 2 * int(time.clock_getres(COARSE) * _SECOND))


def stamped(files: Known, now_ns: int, tick: int = TICK_NS) -> bytes:
    """The stamps of files that were at rest, as text; `now_ns` by the clock of the volume itself.

    A file that changed within the clock's present tick could change again without its times moving: the youngest ones
    are waited for, and file systems that count whole seconds get no stamps (git's "racy" rule).
    """
    lack = max((_changed(identity) + tick - now_ns for identity in files), default=0)
    if 0 < lack <= tick:
        time.sleep(lack / _SECOND)
        now_ns += lack
    lines = [HEAD]
    for identity, digest in files.items():
        at = _changed(identity)
        if at + tick <= now_ns and at % _SECOND:
            text = b"%d %d %d %d %s" % (*identity, digest.encode("ascii"))
            lines.append(b"%s %08x" % (text, zlib.crc32(text)))
    return b"\n".join(lines) + b"\n"


def _changed(identity: Identity) -> int:
    return max(identity[2], identity[3])


def stamps_below(root: int, path: str) -> Known:
    """What is known by the stamps of models at, above or below `path` of the claim `root`; failures cost only time."""
    known: Known = {}
    with contextlib.suppress(OSError):
        models = open_directory(root, f"{META}/models")
        try:
            for key in os.listdir(models):
                with contextlib.suppress(OSError, Unsafe, ValueError):
                    known.update(_of_model(models, key, path))
        finally:
            os.close(models)
    return known


def _of_model(models: int, key: str, wanted: str) -> Iterable[tuple[Identity, str]]:
    home = open_directory(models, key)
    try:
        path = read_small(home, PATH, 1 << 16).decode("utf-8")
        if not (f"{path}/".startswith(f"{wanted}/") or f"{wanted}/".startswith(f"{path}/") or not wanted):
            return ()
        version = open_directory(home, read_small(home, CURRENT, 1 << 16).decode("ascii").strip())
        try:
            text = read_small(version, STAMPS, LIMIT)
        finally:
            os.close(version)
    finally:
        os.close(home)
    return list(_parsed(text))


def _parsed(text: bytes) -> Iterator[tuple[Identity, str]]:
    head, *lines = text.split(b"\n")
    if head != HEAD:
        return
    for line in lines:
        words, _, check = line.rpartition(b" ")
        fields = words.decode("ascii").split(" ")
        if check == b"%08x" % zlib.crc32(words) and len(fields) == 5 and _DIGEST.fullmatch(fields[4]):
            inode, size, mtime, ctime = map(int, fields[:4])
            yield (inode, size, mtime, ctime), fields[4]
