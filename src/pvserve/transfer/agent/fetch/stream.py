"""A blob's pieces as one stream of bytes: digested as they are published, unpacked, read forward only.

Owns gzip and zstd. Must not know archives.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Callable, Iterable, Iterator

from pvserve.errors import DataDiffers, Refused
from pvserve.model.contain import shown

GZIP, ZSTD, PLAIN = "gzip", "zstd", ""
BITE = 256 << 10  # compressed bytes that are taken apart at a time
MOUTHFUL = 1 << 20  # bytes that come out of them at a time


class Stream:
    """Forward-only; `what` names the blob in errors. `digest()` is of what came, which is not what is read."""

    def __init__(self, pieces: Iterable[memoryview], form: str, what: str, came: Callable[[int], None]) -> None:
        self._what = what
        self._came = came
        self._hash = hashlib.sha256()
        raw = self._digested(pieces)
        self._source = raw if form == PLAIN else _inflated(raw, _decoder(form, what), what)
        self._rest = memoryview(b"")
        self._position = 0

    def read_into(self, view: memoryview) -> int:
        """Fill `view`; fewer bytes at the end only."""
        done = 0
        while done < len(view):
            if not self._rest:
                self._rest = memoryview(next(self._source, b""))
                if not self._rest:
                    break
            count = min(len(self._rest), len(view) - done)
            view[done : done + count] = self._rest[:count]
            self._rest = self._rest[count:]
            done += count
        self._position += done
        return done

    def read(self, size: int = -1) -> bytes:
        """As files have it; `size` must be given."""
        data = bytearray(max(0, size))
        return bytes(data[: self.read_into(memoryview(data))])

    def tell(self) -> int:
        """Where the next byte is from."""
        return self._position

    def seek(self, position: int, whence: int = 0) -> int:
        """Forward to a place; to the end if that comes first."""
        if whence or position < self._position:
            raise ValueError("it can be read forward only")
        while self._position < position and self.skim(min(MOUTHFUL, position - self._position)):
            pass
        return self._position

    def skim(self, limit: int) -> memoryview:
        """Some of the next bytes, at most `limit`; none at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._source, b""))
        some, self._rest = self._rest[:limit], self._rest[limit:]
        self._position += len(some)
        return some

    def digest(self) -> str:
        """The sha256 of the whole blob; what was not read is read."""
        while self.skim(MOUTHFUL):
            pass
        return self._hash.hexdigest()

    def _digested(self, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
        for piece in pieces:
            self._hash.update(piece)
            self._came(len(piece))
            yield piece


def _decoder(form: str, what: str) -> Callable[[], Any]:
    if form == GZIP:
        return lambda: _Gzip()
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # Python >= 3.14
    except ImportError:
        raise Refused(
            "FetchNeedsZstd",
            f"{shown(what)} is packed with zstd, which Python has from 3.14 on, and the Job's image has an older one",
            subject=what,
            remedy=("name an image with Python 3.14 or newer: --image", "or push it with gzip, or uncompressed"),
        ) from None
    return lambda: _Zstd(zstd.ZstdDecompressor())


class _Gzip:
    """One member of a gzip file."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)
        self._tail: Any = b""

    def feed(self, data: Any) -> bytes:
        """What comes out, at most MOUTHFUL; feed b"" until nothing does."""
        out = self._inflate.decompress(data or self._tail, MOUTHFUL)
        self._tail = self._inflate.unconsumed_tail
        return out

    @property
    def eof(self) -> bool:
        """Whether the member is whole."""
        return self._inflate.eof

    @property
    def unused(self) -> bytes:
        """What came behind it."""
        return self._inflate.unused_data


class _Zstd:
    """One frame of zstd."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def feed(self, data: Any) -> bytes:
        """What comes out, at most MOUTHFUL; feed b"" until nothing does."""
        return bytes(self._inner.decompress(bytes(data), MOUTHFUL)) if not self._inner.eof else b""

    @property
    def eof(self) -> bool:
        """Whether the frame is whole."""
        return bool(self._inner.eof)

    @property
    def unused(self) -> bytes:
        """What came behind it."""
        return bytes(self._inner.unused_data)


def _inflated(pieces: Iterator[memoryview], make: Callable[[], Any], what: str) -> Iterator[memoryview]:
    """The bytes that are packed in `pieces`: any number of members, and zeros behind the last one."""
    member: Any = None
    begun = False
    for piece in pieces:
        for start in range(0, len(piece), BITE):
            data: Any = piece[start : start + BITE]
            while data:
                if member is None:
                    data = bytes(data).lstrip(b"\0") if begun else data
                    if not data:
                        break
                    member, begun = make(), True
                yield from _fed(member, data, what)
                data = b""
                if member.eof:
                    data, member = member.unused, None
    if member is not None or not begun:
        raise damaged_archive(what, "it ends in the middle")


def _fed(member: Any, data: Any, what: str) -> Iterator[memoryview]:
    while True:
        try:
            out = member.feed(data)
        except Exception as error:
            if isinstance(error, (zlib.error, EOFError)) or type(error).__name__ == "ZstdError":
                raise damaged_archive(what, str(error)) from error
            raise
        if not out:
            return
        yield memoryview(out)
        if member.eof:
            return
        data = b""


def damaged_archive(what: str, why: str) -> DataDiffers:
    """What came cannot be unpacked."""
    return DataDiffers(
        "ArchiveBroken",
        f"{shown(what)} cannot be unpacked: {shown(why[:200])}; nothing was published",
        subject=what,
        remedy=("ask who keeps the source to write it again",),
    )
