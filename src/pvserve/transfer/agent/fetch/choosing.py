"""Which files of a source are taken, under the rules that a directory of the user's machine is under.

Owns the choice between formats, and pickles. Must not read files.
"""

from __future__ import annotations

import dataclasses
import hashlib
from fnmatch import fnmatchcase
from typing import Sequence

from pvserve.errors import Refused
from pvserve.model.contain import shown
from pvserve.model.elsewhere import Told, told_listing
from pvserve.model.listing import Listing
from pvserve.model.walk import Found

from .reading import Item, Rows

# What Python unpickles on loading, which runs whatever its author wrote into it
# (https://docs.python.org/3/library/pickle.html; `torch.load` before 2.6 by default).
PICKLES = (
    "*.pt", "*.pth", "*.pkl", "*.pickle", "*.joblib", "*.ckpt", "pytorch_model*.bin", "*adapter_model.bin",
    "*diffusion_pytorch_model*.bin", "training_args.bin", "optimizer.bin", "scheduler.bin",
)  # fmt: skip
# The same weights for other frameworks, which repositories keep beside their safetensors.
DOUBLES = ("tf_model*.h5", "flax_model*.msgpack", "rust_model.ot")
PUBLIC = ("hf", "https", "http", "oci")  # sources that strangers write to
NAMED = 20


def chosen(
    rows: Rows,
    scheme: str,
    include: Sequence[str],
    exclude: Sequence[str],
    allow_pickle: bool,
    everything: bool = False,
) -> Listing:
    """What is to be loaded; with `everything` no format is left out for another.

    Raises as `pvserve.model.listing`, and Refused `PickleRefused`.
    """
    if rows.mover is not None:
        return _unopened(rows, include, exclude, allow_pickle)
    told = [Told(found(item), item.fault) for item in rows.items]
    listing = _listed(told, rows, include, exclude)
    if scheme not in PUBLIC:
        return listing
    doubles, note = left_out_doubles([entry.path for entry in listing.entries], include)
    if doubles and not allow_pickle and not everything:
        listing = _listed(told, rows, include, (*exclude, *doubles))
        listing = with_notes(listing, note)
    pickles = [entry.path for entry in listing.entries if is_one_of(entry.path, PICKLES)]
    if pickles and not allow_pickle:
        raise pickles_refused(pickles, rows.words)
    return listing


def pickles_refused(pickles: Sequence[str], words: str) -> Refused:
    """The error that names them."""
    rest = f", and {len(pickles) - 1} more are" if pickles[1:] else ""
    return Refused(
        "PickleRefused",
        f"{shown(pickles[0])} is a pickle{rest}: loading one "
        "runs whatever its author wrote into it; nothing was loaded",
        subject=words,
        detail="\n".join(shown(path) for path in pickles[:NAMED]),
        remedy=(
            "leave them out with --exclude 'PATTERN'",
            "or take them with --allow-pickle, if you trust the author",
        ),
    )


def _unopened(rows: Rows, include: Sequence[str], exclude: Sequence[str], allow_pickle: bool) -> Listing:
    """What holds the files, whole: which of them are taken is known when they come. Its fingerprint tells the rules."""
    rules = f" {list(include)} {list(exclude)} {allow_pickle}"
    told = [Told(found(item._replace(tag=item.tag + rules))) for item in rows.items]
    listing = told_listing(told, rows.words)
    listing = dataclasses.replace(listing, include=tuple(include), exclude=tuple(exclude))
    return with_name(with_notes(listing, rows.notes), rows.name)


def found(item: Item) -> Found:
    """A file of a source as listings have it; its tag stands where a directory has the inode."""
    number = int.from_bytes(hashlib.sha256(item.tag.encode("utf-8", "surrogateescape")).digest()[:7], "big")
    promised = item.sha256 if len(item.sha256) == 64 else ""
    return Found(item.path, item.size, 0, 0, number, 0, item.program, item.path, promised)


def _listed(told: list[Told], rows: Rows, include: Sequence[str], exclude: Sequence[str]) -> Listing:
    listing = told_listing(told, rows.words, include=include, exclude=exclude)
    return with_name(with_notes(listing, rows.notes), rows.name)


def with_notes(listing: Listing, notes: Sequence[str]) -> Listing:
    """The listing with more to say."""
    return dataclasses.replace(listing, notes=(*listing.notes, *notes))


def with_name(listing: Listing, name: str) -> Listing:
    """The listing of a model of this name."""
    return dataclasses.replace(listing, name=name)


def left_out_doubles(paths: Sequence[str], include: Sequence[str]) -> tuple[list[str], list[str]]:
    """Patterns of weights that lie there as safetensors too, unless they were asked for by name; and a note."""
    if include or not any(path.endswith(".safetensors") for path in paths):
        return [], []
    patterns = [pattern for pattern in (*PICKLES, *DOUBLES) if any(is_one_of(path, (pattern,)) for path in paths)]
    return patterns, [f"left out, since the weights are there as safetensors: {' '.join(patterns)}"] if patterns else []


def is_one_of(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file's name is of one of these forms."""
    return any(fnmatchcase(path.rpartition("/")[2], pattern) for pattern in patterns)
