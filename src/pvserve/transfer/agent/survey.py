"""What lies at a path: names, sizes, digests, as this pod's user can read them.

Owns reading a directory without changing it. Must not judge.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from typing import Any, Callable, Iterator, List

from .expected import digest_of
from .place import MANIFEST, Place, space
from .volume import open_directory, open_plain, walk

BATCH = 500
MANIFEST_LIMIT = 256 << 20

Row = List[Any]  # path, size, executable, sha256 or "", error text or ""


def rows(place: Place, digests: bool, progress: Callable[[int], None]) -> Iterator[Row]:
    """One row per entry that is no directory; a link, a special file and an unreadable one say so."""
    top = open_directory(place.root, place.path)
    try:
        found = [_row(path, here, entry) for path, here, entry in walk(top) if _counts(entry)]
        if digests:
            _digest_all(top, found, progress)
        yield from found
    finally:
        os.close(top)


def _counts(entry: Any) -> bool:
    return not entry.is_dir(follow_symlinks=False)


def _row(path: str, here: int, entry: Any) -> Row:
    info = os.stat(entry.name, dir_fd=here, follow_symlinks=False)
    if not stat.S_ISREG(info.st_mode):
        return [path, 0, False, "", "is a link" if stat.S_ISLNK(info.st_mode) else "is no regular file"]
    readable = os.access(entry.name, os.R_OK, dir_fd=here, effective_ids=True)
    return [path, info.st_size, bool(info.st_mode & stat.S_IXUSR), "", "" if readable else "Permission denied"]


def _digest_all(top: int, found: list[Row], progress: Callable[[int], None]) -> None:
    """Digest in as many threads as there are processors: hashing lets go of the interpreter."""
    work: queue.Queue[Row] = queue.Queue()
    for row in found:
        if not row[4]:
            work.put(row)

    def serve() -> None:
        while True:
            try:
                row = work.get_nowait()
            except queue.Empty:
                return
            try:
                row[3] = _digest(top, row[0], row[1])
            except OSError as error:
                row[4] = os.strerror(error.errno or 0)
            progress(row[1])

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(min(4, os.cpu_count() or 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _digest(top: int, path: str, size: int) -> str:
    handle = open_plain(top, path)
    try:
        return digest_of(handle, size).hex()
    finally:
        os.close(handle)


def manifest_text(place: Place, digest: str) -> bytes:
    """The manifest of a version, as it lies there."""
    handle = open_plain(place.root, place.below("models", place.key, digest, MANIFEST))
    with os.fdopen(handle, "rb") as file:
        return file.read(MANIFEST_LIMIT)


def state(place: Place) -> dict[str, Any]:
    """Who reads, what room there is, and which version lies at the path."""
    there = place.find()
    kind = "nothing"
    if there is not None:
        kind = "directory" if stat.S_ISDIR(there.st_mode) else "other"
    return {
        "kind": kind,
        "current": place.current(),
        "uid": os.geteuid(),
        "gids": sorted({os.getegid(), *os.getgroups()}),
        "space": space(place.root),
    }
