"""Reading a listed file by ranges, whatever breaks on the way; never a mix of two versions of it.

Owns the files of a source as values, and what an answer to a ranged request may be. Must not know a protocol beyond
HTTP ranges: a source says what to ask for.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple

from pvserve.errors import PvserveError

from .errand import MakeMover
from .patience import CUT, Busy, changed, check_busy, refused, to_fetch
from .web import Answer, Line, Request, place

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
SKIP = 1 << 20
RENEWALS = 5  # of credentials or addresses, one after the other
ASKED_FOR = "?"  # a sha256 that the source has, and gives only when it is asked for that file


class Item(NamedTuple):
    """One file of a source; digests are hex, "" where the source publishes none.

    `where` is the source's own name for it; `tag` changes when the file does, as an ETag with its quotes.
    """

    path: str
    size: int
    where: str
    tag: str = ""
    sha256: str = ""
    md5: str = ""
    git: str = ""  # sha1 of a git blob
    ranged: bool = True
    program: bool = False
    fault: str = ""  # why it cannot be loaded, where it would be


class Rows(NamedTuple):
    """A whole source: what it is called, pinned to what was read, and its files.

    With `mover` the items are what holds the files (archives, layers), each of the size that the files may have.
    """

    words: str
    name: str
    items: list[Item]
    notes: list[str] = []  # noqa: RUF012 - read only
    mover: MakeMover | None = None
    estimated: bool = False  # the items' sizes are guesses


class NoRanges(Exception):
    """The server sends whole files only."""


class Reader:
    """One thread's view of a source. Subclasses say what to ask for, and what a refusal means."""

    def __init__(self, line: Line, tell: Callable[[str], None]) -> None:
        self.line = line
        self._tell = tell
        self._open: tuple[str, int, Answer] | None = None  # a file that comes in one piece, and how far

    def request(self, item: Item, headers: dict[str, str]) -> Request:
        """The request for a file."""
        raise NotImplementedError

    def refusal(self, _item: Item, answer: Answer) -> PvserveError | None:
        """What a refused request means; None: something was renewed, ask again."""
        return refused(answer, place(answer.url), "")

    def promises(self, item: Item) -> Item:
        """The item with the digests that only a question of its own brings up."""
        return item

    def led_to(self, item: Item, url: str) -> None:
        """An answer came from there, after the redirects."""

    def heard(self, item: Item, answer: Answer) -> None:
        """A good answer came."""

    def fill(self, item: Item, start: int, view: memoryview) -> None:
        """The bytes at `start`, exactly as many as fit in `view`.

        Raises what cannot be mended by asking again; NoRanges where the server has none and `item` says otherwise.
        """
        done, patience = 0, to_fetch(self._tell)
        while done < len(view):
            try:
                answer = self._answer(item, start + done, start + len(view))
                while done < len(view):
                    count = answer.some(view[done:])
                    if not count:
                        raise ConnectionError("the answer ended early")
                    done += count
                    patience.moved()
                self._keep(item, start + done, answer)
            except (*CUT, Busy) as error:  # noqa: PERF203 - each try may be the last
                self._drop()
                patience.wait(self.request(item, {}).url, error)

    def whole(self, item: Item) -> bytearray:
        """A small file."""
        data = bytearray(item.size)
        if item.size:
            self.fill(item, 0, memoryview(data))
        return data

    def _answer(self, item: Item, start: int, stop: int) -> Answer:
        """An answer whose next byte is the one at `start`."""
        if self._open is not None and self._open[:2] == (item.path, start):
            return self._open[2]
        self._drop()
        headers = {"Range": f"bytes={start}-{stop - 1}"} if item.ranged else {}
        for _ in range(RENEWALS):
            answer = self.line.ask(self.request(item, headers))
            self.led_to(item, answer.url)
            check_busy(answer)
            if answer.status in (200, 206):
                self.heard(item, answer)
                self._check(item, answer, start, stop)
                self._skip(item, answer, start)
                return answer
            error = self._refused(item, answer)
            answer.close()
            if error is not None:
                raise error
        raise ConnectionError("it refuses again and again")

    def _refused(self, item: Item, answer: Answer) -> PvserveError | None:
        if answer.status == 412:
            return changed(item.path, "changed")
        if answer.status == 416:
            return changed(item.path, "became shorter")
        if answer.status in (404, 410):
            error = self.refusal(item, answer)
            return changed(item.path, "is gone") if error is not None else None
        return self.refusal(item, answer)

    def _check(self, item: Item, answer: Answer, start: int, stop: int) -> None:
        """That these are the bytes of the file that was listed."""
        tag = answer.header("ETag") or answer.header("Last-Modified")
        if item.tag and tag and not _same(item.tag, tag):
            answer.close()
            raise changed(item.path, "changed")
        if answer.header("Content-Encoding") not in ("", "identity"):
            answer.close()
            raise PvserveError(
                "SourceEncoded",
                f"{place(answer.url)} comes {answer.header('Content-Encoding')!r:.40}, and was asked for as it is",
            )
        if answer.status == 206:
            match = _RANGE.fullmatch(answer.header("Content-Range").strip())
            if not match or int(match[1]) != start or int(match[2]) > stop - 1:
                answer.close()
                raise ConnectionError("it sends another range than was asked for")
            if match[3] != "*" and int(match[3]) != item.size:
                answer.close()
                raise changed(item.path, "has another size")
            return
        length = answer.header("Content-Length")
        if length.isdigit() and int(length) != item.size:
            answer.close()
            raise changed(item.path, "has another size")
        if item.ranged and (start, stop) != (0, item.size):
            answer.close()
            raise NoRanges(item.path)

    def _skip(self, item: Item, answer: Answer, start: int) -> None:
        """Read over what is there already, of a server that begins every file at its beginning."""
        if item.ranged or not start:
            return
        waste = memoryview(bytearray(SKIP))
        left = start
        while left:
            count = answer.fill(waste[: min(SKIP, left)])
            if not count:
                raise ConnectionError("the answer ended early")
            left -= count

    def _keep(self, item: Item, position: int, answer: Answer) -> None:
        if not item.ranged and position < item.size:
            self._open = (item.path, position, answer)
        else:
            self._open = None
            answer.close()

    def _drop(self) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None

    def close(self) -> None:
        """End the connections."""
        self._drop()
        self.line.close()


def _same(listed: str, seen: str) -> bool:
    """Whether two validators name one content; a weak ETag is compared as if it were strong, for want of better."""
    return _bare(listed) == _bare(seen) or (_is_date(listed) != _is_date(seen))


def _bare(tag: str) -> str:
    return tag[2:] if tag.startswith("W/") else tag


def _is_date(tag: str) -> bool:
    return not tag.startswith(('"', "W/"))
