"""Whether a model directory holds whole weights, before anything is sent.

Owns the checks that need no model framework: headers, indexes, numbered shards, and files that are not what their
name says. Reads headers and small files only; a truncated shard is found here, not at serving time.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from pvserve.errors import Refused
from pvserve.model import gguf, safetensors
from pvserve.model.contain import shown
from pvserve.model.listing import Listing
from pvserve.model.walk import Found

T = TypeVar("T")

_WEIGHTS = (
    ".safetensors",
    ".gguf",
    ".bin",
    ".pt",
    ".pth",
    ".onnx",
    ".npz",
    ".h5",
    ".keras",
    ".joblib",
    ".pkl",
    ".model",
)
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_MAX = 1024  # bytes; Git LFS itself takes nothing larger for a pointer
_HTML = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_ZIP, _ZIP_END, _ZIP_TAIL = b"PK\x03\x04", b"PK\x05\x06", 65_557  # the end record and the longest comment
_SHARD = re.compile(r"(?P<stem>.*-)(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.[A-Za-z.]+)")
_INDEX_MAX = 256 << 20
_SHARDS_MAX = 10_000


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with one file. `fatal` is False where the model may still be served."""

    path: str
    reason: str
    message: str
    remedy: str = ""
    fatal: bool = True


Opener = Callable[[Found], BinaryIO]


def _here(found: Found) -> BinaryIO:
    return open(found.real, "rb")


def check_weights(listed: Listing, opener: Opener = _here) -> tuple[Problem, ...]:
    """Everything that is wrong, sorted by path. At most 1 s for 100 shards (benchmarked in the tests).

    `opener` opens a file that is not of this machine.
    """
    problems: list[Problem] = []
    tensors: dict[str, frozenset[str]] = {}
    for found in filter(tells_something, listed.entries):
        try:
            with opener(found) as file:
                _check_file(found, file, tensors)
        except _Wrong as wrong:
            problems.append(Problem(found.path, wrong.reason, f"{shown(found.path)} {wrong}", wrong.remedy))
        except OSError as error:
            message = f"{shown(found.path)} cannot be read: {error.strerror}"
            problems.append(Problem(found.path, "SourceUnreadable", message))
    known_bad = {problem.path for problem in problems}
    missing: dict[str, Problem] = {}
    for found in listed.entries:
        if found.path.endswith(".index.json") and found.path not in known_bad:
            problems.extend(_check_index(found, opener, {f.path for f in listed.entries}, tensors, missing))
    _check_numbering(listed.entries, missing)
    return tuple(sorted([*problems, *missing.values()], key=lambda problem: (problem.path, problem.reason)))


def refusal(problems: Iterable[Problem]) -> Refused | None:
    """The error that stops a load for the fatal problems; None where there is none."""
    fatal = [problem for problem in problems if problem.fatal]
    if not fatal:
        return None
    rest = f", and {len(fatal) - 1} more" if len(fatal) > 1 else ""
    remedies = dict.fromkeys(problem.remedy for problem in fatal if problem.remedy)
    return Refused(
        fatal[0].reason,
        f"{fatal[0].message}{rest}; nothing was sent",
        subject=fatal[0].path,
        detail="\n".join(problem.message for problem in fatal[:50]),
        remedy=tuple(remedies) or ("download the model again",),
    )


class _Wrong(Exception):
    """What is wrong with a file, as a clause that follows its name."""

    def __init__(self, reason: str, clause: str, remedy: str = "download the file again") -> None:
        super().__init__(clause)
        self.reason = reason
        self.remedy = remedy


def tells_something(found: Found) -> bool:
    """Whether a look into the file can find anything: 20 000 other files need not be opened."""
    return found.size <= _LFS_MAX or found.path.lower().endswith((*_WEIGHTS, ".json"))


def _check_file(found: Found, file: BinaryIO, tensors: dict[str, frozenset[str]]) -> None:
    """Raise `_Wrong` where the content is not what the name says."""
    name = found.path.lower()
    weights = name.endswith(_WEIGHTS)
    _check_disguise(found, file.read(_LFS_MAX), weights or name.endswith(".json"))
    file.seek(0)
    if name.endswith(".safetensors"):
        tensors[found.path] = _checked("SafetensorsDamaged", lambda: safetensors.tensors(file, found.size))
    elif name.endswith(".gguf"):
        _checked("GgufDamaged", lambda: gguf.check(file, found.size))
    elif weights and file.read(4) == _ZIP:  # PyTorch, NumPy and Keras files are ZIP archives: they end with an index
        file.seek(max(0, found.size - _ZIP_TAIL))
        if _ZIP_END not in file.read(_ZIP_TAIL):
            raise _Wrong("ArchiveDamaged", "is cut off: the index at the end of the archive is missing")


def _checked(reason: str, check: Callable[[], T]) -> T:
    try:
        return check()
    except ValueError as error:
        raise _Wrong(reason, str(error)) from None


def _check_disguise(found: Found, head: bytes, data: bool) -> None:
    """Refuse what downloads leave behind instead of the file."""
    if found.size <= _LFS_MAX and head.startswith(_LFS):
        size = re.search(rb"\nsize (\d{1,18})\n", head)
        real = f" of {int(size[1])} bytes" if size else ""
        raise _Wrong("GitLfsPointer", f"is a Git LFS pointer; the real file{real} was not fetched", "git lfs pull")
    if data and _HTML.match(head):
        raise _Wrong("HtmlInsteadOfData", "is an HTML page, an error or login page that was saved under its name")


def _check_index(
    index: Found,
    opener: Opener,
    present: set[str],
    tensors: dict[str, frozenset[str]],
    missing: dict[str, Problem],
) -> list[Problem]:
    """Whether every shard and tensor that an index names is there; missing shards are put into `missing`."""
    directory = os.path.dirname(index.path)
    try:
        by_file = _weight_map(index, opener)
    except (ValueError, OSError) as error:
        message = f"{shown(index.path)} is no valid index of weights: {error}"
        return [Problem(index.path, "IndexDamaged", message, "download the file again")]
    paths = {name: f"{directory}/{name}" if directory else name for name in by_file}
    absent = [path for path in paths.values() if path not in present]
    if absent and len(absent) == len(paths):
        # Repositories carry the same weights in several formats; fetching one of them leaves the other's index.
        message = f"{shown(index.path)} names {len(absent)} files and none is here: taken for another format's index"
        return [Problem(index.path, "IndexWithoutWeights", message, fatal=False)]
    for path in absent:
        message = f"{shown(path)} is missing; {shown(index.path)} names it"
        missing[path] = Problem(path, "ShardMissing", message, "download the model again, or leave out the index too")
    problems = []
    for name, path in paths.items():
        lost = by_file[name] - tensors[path] if path in tensors else None
        if lost:
            first = f"{min(lost)!r:.120}"
            message = f"{shown(path)} lacks {len(lost)} tensors that {shown(index.path)} names, {first} first"
            problems.append(Problem(path, "TensorMissing", message, "download index and shards again, of one revision"))
    return problems


def _weight_map(index: Found, opener: Opener) -> dict[str, set[str]]:
    """The tensors of each file that an index names."""
    if index.size > _INDEX_MAX:
        raise ValueError(f"it is larger than {_INDEX_MAX} bytes")
    with opener(index) as file:
        try:
            content = json.loads(file.read(_INDEX_MAX))
        except RecursionError:
            raise ValueError("it is nested too deep") from None
    if not isinstance(content, dict) or not isinstance(content.get("weight_map", {}), dict):
        raise ValueError("it has no weight_map")
    by_file: dict[str, set[str]] = defaultdict(set)
    for tensor, name in content.get("weight_map", {}).items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"{tensor!r:.120} is in no file")
        by_file[name].add(tensor)
    return dict(by_file)


def _check_numbering(entries: tuple[Found, ...], missing: dict[str, Problem]) -> None:
    """Numbered shards (`x-00001-of-00004.y`) must be there up to the last."""
    groups: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    for found in entries:
        if match := _SHARD.fullmatch(found.path):
            groups[match["stem"], match["total"], match["suffix"]].add(int(match["number"]))
    for (stem, total, suffix), numbers in groups.items():
        first = 0 if 0 in numbers else 1
        for number in range(first, min(int(total), _SHARDS_MAX) + first):
            path = f"{stem}{number:05}-of-{total}{suffix}"
            if number not in numbers and path not in missing:
                message = f"{shown(path)} is missing; {len(numbers)} of {int(total)} shards are here"
                missing[path] = Problem(path, "ShardMissing", message, "download the model again")
