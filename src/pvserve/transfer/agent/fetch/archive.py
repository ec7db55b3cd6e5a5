"""An archive at one URL, unpacked: tar, tar.gz, zip.

Owns which URL is an archive, and how large it may become. Must not know HTTP.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from .errand import Errand, Mover
from .layers import Root
from .members import tar_members
from .reading import Item, Rows
from .stream import GZIP, PLAIN, ZSTD
from .unpacking import Pack, Unpacking
from .zipped import Directory, zip_members

GUESS = 1.5  # as of an image's layers
ZIP = "zip"
ENDINGS = ((".tar", PLAIN), (".tar.gz", GZIP), (".tgz", GZIP), (".tar.zst", ZSTD), (".zip", ZIP))


def form_of(name: str) -> str | None:
    """How a file of this name is packed; None where it is no archive."""
    return next((form for ending, form in ENDINGS if name.lower().endswith(ending)), None)


def archive_rows(source: Any, item: Item, words: str, form: str, tell: Callable[[str], None]) -> Rows:
    """The archive as a source of files. Raises Refused for a zip of a server without ranges."""
    if form == ZIP:
        directory = Directory.read(source, item, tell)
        pack = Pack(item, PLAIN, Root(), partial(zip_members, directory))
        size = directory.size
    else:
        pack = Pack(item, form, Root(), tar_members)
        size = int(item.size * (GUESS if form != PLAIN else 1))
    guessed = form in (GZIP, ZSTD)
    notes = [f"the archive is compressed: its size on the claim is taken to be {GUESS} times that"] if guessed else []

    def mover(errand: Errand) -> Mover:
        return Unpacking(source, [pack], errand)

    name = item.path[: -max(len(ending) for ending, _ in ENDINGS if item.path.lower().endswith(ending))]
    listed = item._replace(size=size, tag=item.sha256 or item.tag or str(item.size), sha256="", md5="", git="")
    return Rows(words, name or item.path, [listed], notes, mover, guessed)
