"""What lies in a zip archive, in the order in which its bytes come.

Owns the format as far as Python's zipfile, which reads the directory at its end, leaves it open.
Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT 4.3.7
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from typing import Any, Callable, Iterator

from pvserve.errors import Refused
from pvserve.model.contain import shown

from .members import DIRECTORY, FILE, OTHER, Member
from .reading import Item, NoRanges
from .stream import BITE, Stream, damaged_archive

LOCAL = struct.Struct("<4s22xHH")
ENCRYPTED = 0x1
METHODS = {zipfile.ZIP_STORED: False, zipfile.ZIP_DEFLATED: True}


class Directory:
    """The names in a zip, as its end lists them; `size` is of all files together."""

    def __init__(self, names: list[zipfile.ZipInfo]) -> None:
        self.names = sorted(names, key=lambda info: info.header_offset)
        self.size = sum(info.file_size for info in names)

    @classmethod
    def read(cls, source: Any, item: Item, tell: Callable[[str], None]) -> Directory:
        """Raises Refused `ArchiveNeedsRanges`, DataDiffers `ArchiveBroken`."""
        reader = source.reader(tell)
        try:
            with zipfile.ZipFile(io.BufferedReader(_Ranged(reader, item), 1 << 18)) as archive:
                return cls(archive.infolist())
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
            raise damaged_archive(item.path, str(error)) from error
        except NoRanges:
            raise Refused(
                "ArchiveNeedsRanges",
                f"{shown(item.path)} is a zip, whose list of files is at its end, and its server gives no ranges",
                subject=item.path,
                remedy=("pack the model as .tar or .tar.gz, which are read from their beginning",),
            ) from None
        finally:
            reader.close()


class _Ranged(io.RawIOBase):
    """A remote file that can be read anywhere."""

    def __init__(self, reader: Any, item: Item) -> None:
        super().__init__()
        self._reader, self._item, self._at = reader, item, 0
        if not item.ranged:
            raise NoRanges(item.path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, self._item.size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._item.size - self._at)]
        if view:
            self._reader.fill(self._item, self._at, view)
            self._at += len(view)
        return len(view)


def zip_members(directory: Directory, stream: Stream, what: str) -> Iterator[Member]:
    """Every member; raises DataDiffers `ArchiveBroken`."""
    for info in directory.names:
        kind = stat.S_IFMT(info.external_attr >> 16)
        path, program = info.filename, bool((info.external_attr >> 16) & 0o100)
        if info.is_dir():
            yield Member(path.rstrip("/"), DIRECTORY)
        elif kind not in (0, stat.S_IFREG):
            name = "a link" if kind == stat.S_IFLNK else "no regular file"
            yield Member(path, OTHER, fault=f"is {name}, which is not taken from a zip")
        elif info.flag_bits & ENCRYPTED or info.compress_type not in METHODS:
            why = "is encrypted" if info.flag_bits & ENCRYPTED else f"is packed by method {info.compress_type}"
            yield Member(path, OTHER, fault=f"{why}, which cannot be loaded")
        else:
            yield Member(path, FILE, info.file_size, program, read=_Bytes(stream, info, what).read)


class _Bytes:
    """A file's bytes; the archive is read up to them with the first one."""

    def __init__(self, stream: Stream, info: zipfile.ZipInfo, what: str) -> None:
        self._stream, self._info, self._what = stream, info, what
        self._inflate = zlib.decompressobj(-15) if METHODS[info.compress_type] else None
        self._left, self._given, self._crc = info.compress_size, 0, 0
        self._tail: Any = b""
        self._begun = False

    def read(self, view: memoryview) -> int:
        """Fill some of `view`. Raises what says that the archive is not whole."""
        if not self._begun:
            self._begin()
        out = self._plain(len(view)) if self._inflate is None else self._inflated(len(view))
        view[: len(out)] = out
        self._given += len(out)
        self._crc = zlib.crc32(out, self._crc)
        if self._given == self._info.file_size and self._crc != self._info.CRC:
            raise damaged_archive(self._what, f"{self._info.filename} has another checksum than is noted")
        return len(out)

    def _begin(self) -> None:
        self._begun = True
        try:
            self._stream.seek(self._info.header_offset)
        except ValueError:
            raise damaged_archive(self._what, "files in it lie in one another") from None
        head = self._stream.read(LOCAL.size)
        if len(head) < LOCAL.size or head[:4] != b"PK\3\4":
            raise damaged_archive(self._what, f"{self._info.filename} is not where it should be")
        _, name, extra = LOCAL.unpack(head)
        self._stream.seek(self._stream.tell() + name + extra)

    def _plain(self, limit: int) -> memoryview:
        some = self._stream.skim(min(limit, self._left))
        self._left -= len(some)
        return some

    def _inflated(self, limit: int) -> bytes:
        assert self._inflate is not None
        while True:
            if not self._tail and not self._inflate.eof:
                self._tail = self._stream.skim(min(BITE, self._left))
                self._left -= len(self._tail)
            ended = not self._tail
            try:
                out = self._inflate.decompress(self._tail, limit)
            except zlib.error as error:
                raise damaged_archive(self._what, str(error)) from error
            self._tail = self._inflate.unconsumed_tail
            if out or ended:
                return out
