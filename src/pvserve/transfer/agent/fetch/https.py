"""Files of an HTTP(S) server: one URL is one file.

Owns what is asked of a plain web server: none of HEAD, ranges and lengths is taken for granted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import partial
from typing import Any, Callable
from urllib.parse import unquote, urldefrag, urlsplit

from pvserve.errors import PvserveError, Refused
from pvserve.model.contain import fault

from .archive import archive_rows, form_of
from .asking import answered
from .moving import damaged
from .patience import refused, to_list
from .reading import Item, Reader, Rows
from .secrets import Mounted
from .web import Answer, Line, Request, Web, place

COUNT = 1 << 20
_TOTAL = re.compile(r"bytes 0-0/(\d+)")
_PROMISE = re.compile(r"sha256[=:]([0-9a-f]{64})")


class Https:
    """One file at one URL, or an archive of files. `#sha256=HEX` behind it promises its digest."""

    def __init__(self, asked: dict[str, Any], mounted: Mounted, web: Web, tell: Callable[[str], None]) -> None:
        self._url, fragment = urldefrag(str(asked["uri"]))
        self._tell = tell
        self._web = web
        self._mounted = mounted
        match = _PROMISE.fullmatch(fragment)
        self._sha256 = match[1] if match else ""

    def rows(self) -> Rows:
        """The file, after a look at what the server can do."""
        name = unquote(urlsplit(self._url).path.rpartition("/")[2])
        if why := fault(name):
            raise Refused("UnloadableFiles", f"{place(self._url)} names no file: its name {why}; nothing was loaded")
        line = self._web.line()
        try:
            item = self._item(line, name)
        finally:
            line.close()
        if (form := form_of(name)) is not None:
            return archive_rows(self, item, place(self._url), form, self._tell)
        return Rows(place(self._url), name.partition(".")[0] or name, [item])

    def reader(self, tell: Callable[[str], None]) -> Reader:
        """A thread's own."""
        return _HttpsReader(self, self._web.line(), tell)

    def request(self, headers: dict[str, str]) -> Request:
        """The request for the file, with the connection's password where there is one."""
        return Request("GET", self._url, headers, authorization(self._mounted))

    def _item(self, line: Line, name: str) -> Item:
        """Asked by a GET of the first byte: HEAD is often forbidden, and answered otherwise than GET."""
        request = partial(self.request, {"Range": "bytes=0-0"})
        return answered(line, self._url, request, to_list(self._tell), lambda answer: self._judged(answer, name))

    def _judged(self, answer: Answer, name: str) -> Item:
        tag = answer.header("ETag") or answer.header("Last-Modified")
        match = _TOTAL.fullmatch(answer.header("Content-Range").strip())
        length = answer.header("Content-Length")
        if answer.status == 206 and match:
            answer.close()
            return Item(name, int(match[1]), self._url, tag, self._sha256)
        if answer.status == 416 and answer.header("Content-Range").endswith("/0"):
            answer.close()
            return Item(name, 0, self._url, tag, self._sha256)
        if answer.status not in (200, 206):
            answer.close()
            raise refused(answer, place(self._url))
        if answer.status == 200 and length.isdigit() and not answer.header("Content-Encoding"):
            answer.close()
            return Item(name, int(length), self._url, tag, self._sha256, ranged=False)
        return self._counted(answer, name, tag)

    def _counted(self, answer: Answer, name: str, tag: str) -> Item:
        """A server that tells no length: read once to count and digest, a second time to keep."""
        digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(COUNT))
        if answer.header("Content-Encoding") not in ("", "identity"):
            answer.close()
            raise PvserveError("SourceEncoded", f"{place(self._url)} comes encoded though it was asked for as it is")
        while True:
            count = answer.some(buffer)
            if not count:
                break
            digest.update(buffer[:count])
            size += count
        answer.close()
        if self._sha256 and digest.hexdigest() != self._sha256:
            raise damaged(name, digest.hexdigest(), self._sha256)
        return Item(name, size, self._url, tag, digest.hexdigest(), ranged=False)


class _HttpsReader(Reader):
    def __init__(self, source: Https, line: Line, tell: Callable[[str], None]) -> None:
        super().__init__(line, tell)
        self._source = source

    def request(self, item: Item, headers: dict[str, str]) -> Request:
        strong = item.tag.startswith('"')
        return self._source.request({**headers, **({"If-Match": item.tag} if strong and headers else {})})


def authorization(mounted: Mounted) -> dict[str, str]:
    """A bearer token, or a user and password, from the connection's Secret."""
    token = mounted.value("token", "TOKEN")
    if token:
        return {"Authorization": f"Bearer {token}"}
    user = mounted.value("username", "USERNAME")
    if not user:
        return {}
    word = f"{user}:{mounted.value('password', 'PASSWORD')}".encode()
    return {"Authorization": "Basic " + base64.b64encode(word).decode("ascii")}
