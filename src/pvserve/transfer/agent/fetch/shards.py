"""One load by several pods at once: which bytes are whose, and who publishes when all are there.

Owns the division, and what a pod notes of its share beside the files. Must not fetch, nor publish.
All write into one partial transfer under one epoch, each with a journal of its own (docs/on-volume-format.md).
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, Dict, Mapping, NamedTuple, Sequence, Tuple

from pvserve.errors import UsageError
from pvserve.transfer.agent.expected import Expected
from pvserve.transfer.agent.frames import SMALL
from pvserve.transfer.agent.place import Partial
from pvserve.transfer.agent.volume import FILE_MODE, PLAIN, read_small, write_all, write_durably

from .work import PIECE

INDEX = "JOB_COMPLETION_INDEX"  # what an Indexed Job gives its pods
NOTE_LIMIT = 256 << 20  # bytes; 100 for each file

Ranges = Dict[
    int, Tuple[int, int]
]  # of each file that is at least in part of a share: the first byte, and the one behind


class Share(NamedTuple):
    """The pod's: number `which`, from 0, of `of`."""

    which: int
    of: int

    @property
    def name(self) -> str:
        """For files of its own."""
        return f"{self.which}of{self.of}"


class Row(NamedTuple):
    """What of a file is durable, as the volume gave it back; a digest of the part is no digest of the file."""

    number: int
    start: int
    stop: int
    inode: int
    sha256: str


def share_of(count: int, environment: Mapping[str, str]) -> Share | None:
    """The share of this pod; None where one pod does it all. Raises UsageError where it is in no Indexed Job."""
    if count < 2:
        return None
    index = environment.get(INDEX, "")
    if not index.isdigit() or int(index) >= count:
        raise UsageError("NoOrder", f"this pod is one of {count} and does not know which: {INDEX} is {index!r:.20}")
    return Share(int(index), count)


def ranges(sizes: Sequence[int], share: Share) -> Ranges:
    """Which bytes of which files: small files in turn, of the large ones, laid end to end, one stretch for each pod.

    So at most `count - 1` files are of more than one pod. Depends on nothing but the sizes and the share.
    """
    found: Ranges = {}
    total = sum(size for size in sizes if size > SMALL)
    first = _cut(sizes, total * share.which // share.of)
    last = _cut(sizes, total * (share.which + 1) // share.of) if share.which + 1 < share.of else total
    begin = 0
    for number, size in enumerate(sizes):
        if size <= SMALL:
            if number % share.of == share.which:
                found[number] = (0, size)
            continue
        start, stop = max(begin, first), min(begin + size, last)
        if start < stop:
            found[number] = (start - begin, stop - begin)
        begin += size
    return found


def _cut(sizes: Sequence[int], position: int) -> int:
    """A place near `position` where large files laid end to end may be cut: between two, else at a whole piece."""
    begin = 0
    for size in sizes:
        if size <= SMALL:
            continue
        if position < begin + size:
            inside = (position - begin) // PIECE * PIECE
            return begin if not inside else begin + size if size - inside <= PIECE else begin + inside
        begin += size
    return begin


def step_back(partial: Partial, share: Share) -> None:
    """This pod begins (again): what it noted is void, and if it was to publish, whoever is last does."""
    with contextlib.suppress(FileNotFoundError):
        if _publisher(partial, share) in (share.name, ""):
            os.unlink(_publisher_name(partial, share), dir_fd=partial.directory)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"share-{share.name}", dir_fd=partial.directory)
    os.fsync(partial.directory)


def void(partial: Partial, share: Share) -> None:
    """What was noted of all shares is not to be believed."""
    names = [f"share-{Share(index, share.of).name}" for index in range(share.of)]
    for name in [_publisher_name(partial, share), *names]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=partial.directory)
    os.fsync(partial.directory)


def note(partial: Partial, share: Share, taken: Ranges, expected: Mapping[int, Expected]) -> None:
    """Say durably what of this pod's share lies there."""
    rows = [Row(number, *bounds, expected[number].inode, expected[number].verified) for number, bounds in taken.items()]
    text = json.dumps({"files": os.fstat(partial.files).st_ino, "rows": rows})
    write_durably(partial.directory, f"share-{share.name}", text.encode("ascii"))


def all_noted(partial: Partial, share: Share, sizes: Sequence[int]) -> list[Row] | None:
    """What all pods noted, None while some have not. Raises UsageError where that is not every byte of every file."""
    rows: list[Row] = []
    for index in range(share.of):
        try:
            text = read_small(partial.directory, f"share-{Share(index, share.of).name}", NOTE_LIMIT)
        except FileNotFoundError:
            return None
        value: dict[str, Any] = json.loads(text)
        if value["files"] != os.fstat(partial.files).st_ino:  # of an earlier transfer
            return None
        rows += [Row(*row) for row in value["rows"]]
    rows.sort()
    reached = dict.fromkeys(range(len(sizes)), 0)
    for row in rows:
        if reached[row.number] != row.start:
            raise UsageError("NoOrder", f"the shares do not fit: file {row.number} from byte {reached[row.number]} on")
        reached[row.number] = row.stop
    if any(reached[number] != size for number, size in enumerate(sizes)):
        raise UsageError("NoOrder", "the shares do not fit: they are not all of the model")
    return rows


def publishes(partial: Partial, share: Share) -> bool:
    """Whether it is this pod that publishes: the first to ask, after all have noted their shares.

    The last to note its share sees all, also on NFS, whose client forgets what it knew of a directory after a rename in
    it. One that was killed before it could say who it is has not been the first.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN
    try:
        handle = os.open(_publisher_name(partial, share), flags, FILE_MODE, dir_fd=partial.directory)
    except FileExistsError:
        return _publisher(partial, share) in (share.name, "")
    try:
        write_all(handle, share.name.encode("ascii"), 0)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.fsync(partial.directory)
    return True


def _publisher(partial: Partial, share: Share) -> str:
    return read_small(partial.directory, _publisher_name(partial, share), NOTE_LIMIT).decode("ascii")


def _publisher_name(partial: Partial, share: Share) -> str:
    return f"publisher-{share.of}-{os.fstat(partial.files).st_ino}"


def split(rows: Sequence[Row], expected: Mapping[int, Expected]) -> list[Expected]:
    """The files that several pods wrote; the others are taken as their pod read them back."""
    several = []
    for row in rows:
        file = expected[row.number]
        file.inode = row.inode
        if (row.start, row.stop) == (0, file.size):
            file.verified = row.sha256
        elif file not in several:
            several.append(file)
    return several
