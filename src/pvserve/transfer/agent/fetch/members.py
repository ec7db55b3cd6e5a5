"""What lies in a tar archive, member by member as it comes.

Owns the tar format as far as Python's tarfile leaves it open: limits on headers, and that an archive is whole.
"""

from __future__ import annotations

import tarfile
from typing import Callable, Iterator, NamedTuple

from .stream import MOUTHFUL, Stream, damaged_archive

HEADER_LIMIT = 1 << 20  # bytes of a long name or of extended headers, which are held in memory
FILE, DIRECTORY, HARD, SOFT, OTHER = "file", "directory", "hard", "soft", "other"
_LONG = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
Read = Callable[[memoryview], int]


class Member(NamedTuple):
    """One name; `target` is where a link points, `fault` why it could not be loaded. `read` gives a file's bytes."""

    path: str
    kind: str
    size: int = 0
    program: bool = False
    target: str = ""
    fault: str = ""
    read: Read = lambda _view: 0


class _Header(tarfile.TarInfo):
    """A header whose long names are of sensible length."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """As tarfile has it. Raises HeaderError."""
        try:
            info = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError):  # type: ignore[attr-defined] # quiet ends
            raise tarfile.ReadError("a header in it makes no sense") from None
        if info.size < 0 or (info.type in _LONG and info.size > HEADER_LIMIT):
            raise tarfile.ReadError("a header in it is of no sensible size")
        return info  # type: ignore[return-value,unused-ignore]


def tar_members(stream: Stream, what: str) -> Iterator[Member]:
    """Every member. The bytes of a file that were not read are skipped. Raises DataDiffers `ArchiveBroken`."""
    try:
        archive = tarfile.TarFile(
            fileobj=stream,  # type: ignore[arg-type]
            tarinfo=_Header,
            encoding="utf-8",
            errors="surrogateescape",
        )
        while True:
            info = archive.next()
            if info is None:
                break
            if info.size < 0:
                raise tarfile.ReadError("a file in it has no sensible size")
            archive.members = []  # type: ignore[attr-defined,unused-ignore] # a million names need no memory
            yield _member(info, _reader(stream, info, what))
            _skip(stream, info.size if info.isreg() else 0, info, what)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise damaged_archive(what, str(error)) from error
    _check_end(stream, what)


def _member(info: tarfile.TarInfo, read: Read) -> Member:
    path = info.name[2:] if info.name.startswith("./") else info.name
    program = bool(info.mode & 0o100)
    if info.isreg() and not info.issparse():
        return Member(path, FILE, info.size, program, read=read)
    if info.isdir():
        return Member("" if path == "." else path, DIRECTORY)
    if info.islnk():
        target = info.linkname[2:] if info.linkname.startswith("./") else info.linkname
        return Member(path, HARD, target=target)
    if info.issym():
        return Member(path, SOFT, target=info.linkname)
    why = "is a sparse file" if info.isreg() else "is a FIFO or a device"
    return Member(path, OTHER, fault=why + ", which cannot be loaded")


def _reader(stream: Stream, info: tarfile.TarInfo, what: str) -> Read:
    def read(view: memoryview) -> int:
        left = info.offset_data + info.size - stream.tell()
        count = stream.read_into(view[: max(0, left)])
        if count < min(left, len(view)):
            raise damaged_archive(what, "it ends in the middle of a file")
        return count

    return read


def _skip(stream: Stream, size: int, info: tarfile.TarInfo, what: str) -> None:
    end = info.offset_data + size
    if stream.tell() < end and stream.seek(end) < end:
        raise damaged_archive(what, "it ends in the middle of a file")


def _check_end(stream: Stream, what: str) -> None:
    """Behind the end of an archive are only zeros."""
    while True:
        some = stream.skim(MOUTHFUL)
        if not some:
            return
        if bytes(some).strip(b"\0"):
            raise damaged_archive(what, "there is more behind its end")
