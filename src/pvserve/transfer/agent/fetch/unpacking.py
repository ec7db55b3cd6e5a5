"""Unpacks layers and archives onto a partial transfer while they come.

Owns the order of layers, and where an interrupted one goes on. Must not know protocols or archives' formats.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Callable, Iterator, NamedTuple

from pvserve.errors import DataDiffers, Refused
from pvserve.model.elsewhere import Told, told_listing
from pvserve.model.filters import Filter
from pvserve.transfer.agent.volume import read_small, write_durably

from .ahead import Ahead
from .choosing import DOUBLES, PICKLES, found, is_one_of, left_out_doubles, pickles_refused
from .errand import Errand, Mover
from .landing import Damaged, Landed, Landing
from .layers import Root, Tree
from .members import FILE, Member, tar_members
from .moving import damaged
from .reading import Item
from .stream import PLAIN, Stream

TRIES = 3  # times that one layer may come damaged
NOTED_LIMIT = 1 << 30


class Pack(NamedTuple):
    """One blob: how it is packed, and where in it the model lies. `members` None: it is one file, `root.into`."""

    blob: Item
    form: str = PLAIN
    root: Root = Root()
    members: Callable[[Stream, str], Iterator[Member]] | None = tar_members


class Unpacking(Mover):
    """`packs` in the order in which they are to be read: of an image the topmost layer first."""

    def __init__(self, source: Any, packs: list[Pack], errand: Errand) -> None:
        self._source, self._packs, self._errand = source, packs, errand
        self._tree = Tree(errand.words, Filter(errand.include, errand.exclude))
        self._landing = Landing(errand)
        self.total = sum(pack.blob.size for pack in packs)
        self._pickles: list[str] = []
        self._at = self._bytes = 0
        self._before = (0, 0, 0)  # of the layer that comes: first file, bytes before it, pickles before it

    def run(self) -> dict[int, str]:
        """As `Mover.run`: all layers, then what are links to their files."""
        try:
            self._landing.check_room(self.total)
            first = self._resumed()
            for attempt in range(TRIES):
                try:
                    self._layers(first)
                    break
                except Damaged as again:
                    if attempt == TRIES - 1:
                        raise again.error from None
                    first = self._forget_layer()
            self._landing.settle()
            self._make_links()
            self._landing.check_digests()
            return self._concluded()
        finally:
            self._landing.close()

    def progress(self) -> tuple[int, int]:
        """Bytes of the blobs that came, and files that the volume gave back."""
        return self._bytes, len(self._landing.good)

    def _layers(self, first: int) -> None:
        ahead = Ahead(self._source, [pack.blob for pack in self._packs[first:]], self._tell)
        try:
            for number in range(first, len(self._packs)):
                self._layer(number, ahead.blob(number - first))
        except DataDiffers as error:  # damaged on its way, where something better is published
            if self._packs[self._at].blob.sha256:
                raise Damaged(error) from error
            raise
        finally:
            ahead.close()

    def _layer(self, number: int, pieces: Iterator[memoryview]) -> None:
        pack = self._packs[number]
        self._at, self._before = number, (self._landing.next, self._bytes, len(self._pickles))
        self._tree.begin(number)
        stream = Stream(pieces, pack.form, pack.blob.path, self._came)
        if pack.members is None:
            whole = Member(pack.root.into, FILE, pack.blob.size, read=stream.read_into)
            self._member(whole, pack.root._replace(into=""))
        else:
            for member in pack.members(stream, pack.blob.path):
                self._member(member, pack.root)
        self._landing.flush()
        digest = stream.digest()
        if pack.blob.sha256 and digest != pack.blob.sha256:
            raise Damaged(damaged(pack.blob.path, digest, pack.blob.sha256))
        self._note(number)

    def _came(self, count: int) -> None:
        self._bytes += count
        self.fetched += count
        self._landing.check()

    def _member(self, member: Member, root: Root) -> None:
        path = self._tree.takes(member, root)
        if path and self._errand.refuse_pickles and is_one_of(path, PICKLES):
            self._pickles.append(path)
        elif path:
            self._landing.land(path, member)

    def _note(self, number: int) -> None:
        """Say of a layer what it held, so that it need not come again."""
        files = [file for file in self._landing.files.values() if file.number >= self._before[0]]
        value = {"next": self._landing.next, "tree": self._tree.noted(), "files": files, "pickles": self._pickles}
        write_durably(self._errand.partial.directory, f"layer-{number}", json.dumps(value).encode())

    def _resumed(self) -> int:
        """The first layer that must come; of those before it every file is on the volume."""
        for number, pack in enumerate(self._packs):
            try:
                text = read_small(self._errand.partial.directory, f"layer-{number}", NOTED_LIMIT)
                value = json.loads(text)
            except (FileNotFoundError, ValueError):
                return number
            if not self._landing.believe([Landed(*row) for row in value["files"]]):
                return number
            self._tree.begin(number)
            self._tree.take_noted(value["tree"])
            self._landing.next, self._pickles = int(value["next"]), list(value["pickles"])
            self._bytes += pack.blob.size
            self.found = self._bytes
        return len(self._packs)

    def _forget_layer(self) -> int:
        """Nothing of the layer that came damaged is believed."""
        first, self._bytes, pickles = self._before
        self._landing.forget(first)
        self._tree.forget()
        del self._pickles[pickles:]
        return self._at

    def _make_links(self) -> None:
        """Copies of the files that links lead to, made on the volume."""
        by_path = {file.path: file for file in self._landing.files.values()}
        for path, target in self._tree.resolved():
            if target in by_path:
                self._landing.copy(path, by_path[target])
            else:  # a pickle that is left out
                self._pickles.append(path)
        self._landing.settle()

    def _concluded(self) -> dict[int, str]:
        """The listing of what is there, and its digests."""
        errand, root = self._errand, self._packs[0].root
        files = {file.path: file for file in self._landing.files.values()}
        if root.below and not (files or self._tree.left_out or self._pickles):
            raise Refused(
                "NotAModel",
                f"{errand.words} holds no file below /{root.below}; nothing was loaded",
                subject=errand.words,
            )
        notes = self._without_doubles(files)
        rows = [Told(found(Item(file.path, file.size, "", program=file.program))) for file in files.values()]
        rows += [Told(found(Item(path, 0, ""))) for path in self._tree.left_out if not path.endswith("/")]
        listing = told_listing(rows, errand.words, include=errand.include, exclude=errand.exclude)
        out = tuple(sorted(self._tree.left_out))
        self.listing = dataclasses.replace(listing, name=errand.name, left_out=out, notes=(*listing.notes, *notes))
        order = [files[entry.path].number for entry in self.listing.entries]
        self.expected = {place: self._landing.expected[number] for place, number in enumerate(order)}
        return {place: self._landing.good[number] for place, number in enumerate(order)}

    def _without_doubles(self, files: dict[str, Landed]) -> list[str]:
        """Leave out what is there as safetensors too. Raises Refused for pickles that are not."""
        errand = self._errand
        if not errand.refuse_pickles:
            return []
        patterns, notes = left_out_doubles([*files, *self._pickles], errand.include)
        if self._pickles and not patterns:
            raise pickles_refused(self._pickles, errand.words)
        for path in [path for path in files if patterns and is_one_of(path, DOUBLES)]:
            del files[path]
        return notes

    def _tell(self, text: str) -> None:
        self.waiting_for = text
