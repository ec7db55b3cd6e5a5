"""The sha256 of the files of a listing, and a cache that spares reading unchanged ones again.

Owns hashing and the cache file in the user's cache directory. A cached digest counts only while device, inode, size,
mtime and ctime are what they were, and only if the file was at rest when it was read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from pvserve.errors import DataDiffers, PvserveError, Temporary
from pvserve.events import Listener, Transfer, silent
from pvserve.model.contain import shown
from pvserve.model.listing import Listing
from pvserve.model.manifest import Entry, Manifest
from pvserve.model.walk import Found

_Key = tuple[int, int, int, int, int]
_MAX_LINES = 400_000  # about 60 MiB; then the older half is forgotten
_BATCH = 500  # lines per write
_BLOCK = 1 << 20


class DigestCache:
    """Digests of files by identity, kept in one append-only text file.

    One line is `device inode size mtime_ns ctime_ns sha256 crc32`. Every writer appends whole lines; a line that
    a crash or another machine's write has torn fails its crc32 and is ignored. There is no lock, because locks lie
    on the network file systems that home directories live on. Whatever fails here only costs time: no error.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or cache_directory() / "digests-1.txt"
        self._known: dict[_Key, str] | None = None
        self._new: list[str] = []

    def __enter__(self) -> DigestCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()

    def get(self, found: Found) -> str | None:
        """The digest of the file as it was listed, if known."""
        return self._read().get(_key(found))

    def put(self, found: Found, sha256: str, *, read_at_ns: int) -> None:
        """Remember a digest; `read_at_ns` is the wall clock when reading began.

        A file that changed just before it was read could change again without its times moving (they advance with
        the kernel's tick, or in whole seconds on some file systems), so that digest is not kept: git's "racy" rule.
        """
        changed = max(found.mtime_ns, found.ctime_ns)
        grain = 2_100_000_000 if changed % 1_000_000_000 == 0 else 50_000_000
        key, known = _key(found), self._read()
        if read_at_ns - changed < grain or known.get(key) == sha256:
            return
        known[key] = sha256
        self._new.append(_line(key, sha256))
        if len(self._new) >= _BATCH:
            self.save()

    def save(self) -> None:
        """Append what is new."""
        if not self._new:
            return
        # The newline in front ends a line that somebody else's crash may have left open.
        block = ("\n" + "".join(self._new)).encode("ascii")
        self._new.clear()
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, block)
            finally:
                os.close(handle)

    def _read(self) -> dict[_Key, str]:
        if self._known is None:
            try:
                lines = self._file.read_text("ascii", errors="replace").split("\n")
            except OSError:
                lines = []
            self._known = dict(pair for line in lines if (pair := _parsed(line)))
            if len(lines) > _MAX_LINES:
                self._forget_older_half()
        return self._known

    def _forget_older_half(self) -> None:
        """Rewrite the file; lines that others append meanwhile are lost, which costs them time only."""
        assert self._known is not None
        kept = list(self._known.items())[-_MAX_LINES // 2 :]
        self._known = dict(kept)
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            temporary.write_text("".join(_line(key, digest) for key, digest in kept), "ascii")
            temporary.chmod(0o600)
            temporary.replace(self._file)


def cache_directory() -> Path:
    """Where pvserve may keep what it can do without: PVSERVE_CACHE_DIR, else the platform's place for caches."""
    if chosen := os.environ.get("PVSERVE_CACHE_DIR"):
        return Path(chosen)
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "pvserve"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "pvserve" / "Cache"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(chosen) if os.path.isabs(chosen) else home / ".cache") / "pvserve"


def hash_file(found: Found, progress: Callable[[int], None] | None = None) -> str:
    """The sha256 of the file as it was listed; `progress` is told the bytes read.

    Raises:
        Temporary: `SourceChanged`, the file is not what was listed, or changes while it is read.
        PvserveError: `SourceUnreadable`, with the offset where reading failed.
    """
    digest = hashlib.sha256()
    offset = 0
    try:
        with open(found.real, "rb", buffering=0, opener=open_plain) as file:
            check_unchanged(found, os.fstat(file.fileno()))
            while offset <= found.size and (block := file.read(_BLOCK)):  # a file that grows must not be read for ever
                digest.update(block)
                offset += len(block)
                if progress:
                    progress(len(block))
            check_unchanged(found, os.fstat(file.fileno()))
    except FileNotFoundError:
        raise _source_changed(found) from None
    except OSError as error:
        raise PvserveError(
            "SourceUnreadable",
            f"reading {shown(found.path)} failed at byte {offset}: {error.strerror}",
            subject=str(found.real),
            remedy=("check the disk or network share that the file lies on, then run the same command again",),
        ) from error
    return digest.hexdigest()


def known_manifest(listed: Listing, cache: DigestCache | None = None, *, checksum: bool = False) -> Manifest | None:
    """The manifest, when every digest is known without reading a file; `checksum` ignores what is known."""
    if checksum:
        return None
    cache = cache or DigestCache()
    digests: dict[str, str] = {}
    for found in listed.entries:
        digest = cache.get(found)
        if digest is None:
            return None
        digests[found.path] = digest
    return manifest_of(listed, digests)


def full_manifest(
    listed: Listing, cache: DigestCache | None = None, *, checksum: bool = False, listener: Listener = silent
) -> Manifest:
    """The manifest, reading every file whose digest is not known; with `checksum` every file.

    Raises:
        Temporary, PvserveError: as `hash_file`.
        DataDiffers: as `manifest_of`.
    """
    digests: dict[str, str] = {}
    started, done, total = time.monotonic(), 0, listed.bytes

    def progress(count: int) -> None:
        nonlocal done
        done += count
        listener(Transfer("hash", done, total, len(digests), len(listed.entries), seconds=time.monotonic() - started))

    with cache or DigestCache() as known:
        for found in listed.entries:
            digest = None if checksum else known.get(found)
            if digest is None:
                read_at = time.time_ns()
                digest = hash_file(found, progress)
                known.put(found, digest, read_at_ns=read_at)
            else:
                progress(found.size)
            digests[found.path] = digest
    return manifest_of(listed, digests)


def manifest_of(listed: Listing, digests: Mapping[str, str]) -> Manifest:
    """The manifest of a listing from the digest of every path.

    Raises:
        DataDiffers: `SourceDamaged`, a digest is not the one that the source itself promises.
    """
    for found in listed.entries:
        if found.promised_sha256 and digests[found.path] != found.promised_sha256:
            raise DataDiffers(
                "SourceDamaged",
                f"{shown(found.path)} is not what Hugging Face published: its sha256 is {digests[found.path]}, "
                f"and should be {found.promised_sha256}",
                subject=str(found.real),
                remedy=(f"rm {found.real}", "download the model again"),
            )
    return Manifest(
        entries=tuple(Entry(f.path, f.size, digests[f.path], f.executable) for f in listed.entries),
        source=listed.source,
        include=listed.include,
        exclude=listed.exclude,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        name=listed.name,
    )


# Without following a link put there since, and without waiting for a FIFO.
PLAIN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_plain(path: str, flags: int) -> int:
    """An opener for `open` that adds PLAIN."""
    return os.open(path, flags | PLAIN)


def check_unchanged(found: Found, info: os.stat_result) -> None:
    now = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
    if now != _key(found):
        raise _source_changed(found)


def _source_changed(found: Found) -> Temporary:
    return Temporary(
        "SourceChanged",
        f"{shown(found.path)} changed while it was read",
        subject=str(found.real),
        remedy=("wait until nothing writes to the model directory, then run the same command again",),
    )


def _key(found: Found) -> _Key:
    return (found.device, found.inode, found.size, found.mtime_ns, found.ctime_ns)


def _line(key: _Key, sha256: str) -> str:
    text = " ".join((*map(str, key), sha256))
    return f"{text} {zlib.crc32(text.encode('ascii')):08x}\n"


def _parsed(line: str) -> tuple[_Key, str] | None:
    text, _, check = line.rpartition(" ")
    if not text or f"{zlib.crc32(text.encode('utf-8')):08x}" != check:
        return None
    try:
        device, inode, size, mtime, ctime, digest = text.split(" ")
        return (int(device), int(inode), int(size), int(mtime), int(ctime)), digest
    except ValueError:
        return None
