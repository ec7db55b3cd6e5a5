"""The files of a model directory, as they were at one moment.

Owns walking the directory and refusing what cannot be loaded. Reads names and metadata, never contents.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pvserve.errors import Refused, UsageError
from pvserve.model import huggingface
from pvserve.model.contain import shown
from pvserve.model.filters import DEFAULT_LEFT_OUT, Filter
from pvserve.model.walk import Fault, Found, Walk

_FAULTS_SHOWN = 50


@dataclass(frozen=True)
class Listing:
    """All files to load, sorted by path. `left_out` names what was not taken, a directory (`NAME/`) only once."""

    root: Path
    entries: tuple[Found, ...]
    left_out: tuple[str, ...]
    fingerprint: str  # changes when a file is added, removed, replaced, touched or changed
    name: str = ""  # of the model: the directory's name, or the repository's in a Hugging Face cache
    source: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    estimated: bool = False  # the sizes are guesses: the files come packed
    packed: bool = False  # comes as one: its files are only known as they are unpacked

    @property
    def bytes(self) -> int:
        """Sum of the sizes."""
        return sum(found.size for found in self.entries)


def listing(directory: str | os.PathLike[str], include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Listing:
    """Walk `directory`, following links that stay inside it.

    A snapshot of a Hugging Face cache may be given as itself or as its `models--ORG--NAME` directory; its links
    into `blobs` count as inside. For the patterns see `pvserve.model.filters`.

    Raises:
        UsageError: `NoSuchDirectory`, `NotADirectory`, or a cache where the user has to choose.
        Refused: `UnreadableDirectory`, `EmptyDirectory`, or `UnloadableFiles`: every link that leaves the tree,
            special file, unreadable file, impossible name and clash of names, each by name.
    """
    root = _existing_directory(os.fspath(directory))
    snapshot = huggingface.snapshot_of(root)
    if snapshot:
        root = snapshot.directory
    chosen = Filter(include, exclude)
    walk = Walk(root, (root, snapshot.blobs) if snapshot else (root,), chosen)
    walk.run()
    if walk.faults:
        raise unloadable(root, walk.faults)
    if not walk.files:
        raise empty(root, walk.left_out)
    entries = tuple(sorted(walk.files))
    if snapshot:
        entries = tuple(
            found._replace(promised_sha256=huggingface.promised_sha256(found.real, snapshot)) for found in entries
        )
    return Listing(
        root=Path(root),
        entries=entries,
        left_out=tuple(sorted(walk.left_out)),
        fingerprint=fingerprint(entries),
        name=snapshot.name if snapshot else os.path.basename(root),
        source=snapshot.source if snapshot else root,
        include=tuple(include),
        exclude=tuple(exclude),
        notes=(*idle_patterns(chosen, entries, walk.left_out), *_notes(snapshot)),
    )


def _existing_directory(directory: str) -> str:
    """`directory` without links."""
    if not directory:
        raise UsageError("NoSuchDirectory", "no model directory was given", remedy=("name the directory to load",))
    try:
        root = os.path.realpath(os.path.expanduser(directory), strict=True)
        mode = os.stat(root).st_mode
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            "NoSuchDirectory",
            f"the model directory {shown(directory)} cannot be opened: {why}",
            subject=directory,
            remedy=(f"ls -ld {os.path.dirname(os.path.abspath(directory.replace(chr(0), ''))) or '/'}",),
        ) from error
    if not stat.S_ISDIR(mode):
        raise UsageError(
            "NotADirectory",
            f"{shown(directory)} is a file; a model is loaded as a directory",
            subject=directory,
            remedy=(f"name the directory it lies in, with --include {shown(os.path.basename(root))}",),
        )
    return root


def unloadable(root: str, faults: list[Fault]) -> Refused:
    """The error that names what cannot be loaded."""
    faults = sorted(faults)
    if len(faults) == 1 and faults[0].path == "":
        return Refused(
            "UnreadableDirectory",
            f"the model directory {shown(root)} {faults[0].why}",
            subject=root,
            remedy=(f"ls -ld {root}",),
        )
    first = faults[0]
    rest = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return Refused(
        "UnloadableFiles",
        f"{shown(first.path)} {first.why}{rest}; nothing was sent",
        subject=shown(os.path.join(root, first.path)),
        detail="\n".join(f"{shown(fault.path)} {fault.why}" for fault in faults[:_FAULTS_SHOWN]),
        remedy=("repair or remove what is named, or leave it out with --exclude 'PATTERN'",),
    )


def empty(root: str, left_out: list[str]) -> Refused:
    """The error for a directory of which nothing is left to load."""
    if not left_out:
        return Refused(
            "EmptyDirectory",
            f"the model directory {shown(root)} holds no files",
            subject=root,
            remedy=("download or copy the model there first",),
        )
    return Refused(
        "EmptyDirectory",
        f"no file of {shown(root)} is left to load: {len(left_out)} were left out by --include, --exclude or default",
        subject=root,
        detail="\n".join(shown(path) for path in left_out[:_FAULTS_SHOWN]),
        remedy=(f"left out by default: {' '.join(DEFAULT_LEFT_OUT)}; change --include or --exclude",),
    )


def fingerprint(entries: tuple[Found, ...]) -> str:
    """Of names, sizes, times and inodes."""
    digest = hashlib.sha256()
    for found in entries:
        digest.update(repr(found[:7]).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def idle_patterns(chosen: Filter, entries: tuple[Found, ...], left_out: list[str]) -> tuple[str, ...]:
    """What the user should hear of patterns that did nothing."""
    idle = chosen.idle((found.path for found in entries), left_out)
    return tuple(f"the pattern {shown(pattern)} matches no file" for pattern in idle)


def _notes(snapshot: huggingface.Snapshot | None) -> tuple[str, ...]:
    """What the user should hear and may go on with."""
    if not snapshot or not (begun := huggingface.unfinished(snapshot)):
        return ()
    return (
        f"{len(begun)} downloads into the Hugging Face cache of {snapshot.repository} are unfinished; "
        f"`hf download {snapshot.repository} --revision {snapshot.revision}` completes them",
    )
