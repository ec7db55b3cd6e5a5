"""The Hugging Face Hub, or a mirror of it: a revision of a repository, pinned to its commit.

Owns the Hub's API as far as reading goes.
Source: https://huggingface.co/docs/hub/api, huggingface_hub `HfApi.list_repo_tree`, `hf_hub_url`
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any, Callable, Iterator
from urllib.parse import quote, urljoin

from pvserve.errors import NotAllowed, PvserveError, Refused
from pvserve.model.contain import shown

from .asking import page
from .patience import refused, to_list
from .reading import Item, Reader, Rows
from .secrets import Mounted
from .web import Answer, Line, Request, Web

ENDPOINT = "https://huggingface.co"
TOKEN_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "token")
PAGES = 10_000
FRESH_TRIES = 2  # more for a signed address that is refused though it is new
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')


class Hub:
    """One revision of one model repository."""

    def __init__(self, asked: dict[str, Any], mounted: Mounted, web: Web, tell: Callable[[str], None]) -> None:
        self._endpoint = str(asked.get("endpoint") or ENDPOINT).rstrip("/")
        self._repository = str(asked["repository"])
        self._revision = str(asked.get("revision") or "main")
        self._mounted = mounted
        self._web = web
        self._tell = tell
        self._commit = ""

    def rows(self) -> Rows:
        """Every file of the commit that the revision names now."""
        line = self._web.line()
        try:
            at = f"{self._api()}/revision/{quote(self._revision, safe='')}"
            self._commit = str(self._json(line, at)[0].get("sha", ""))
            if not _COMMIT.fullmatch(self._commit):
                raise PvserveError(
                    "SourceFailed", f"{shown(self._endpoint)} does not answer as a Hub: it names no commit"
                )
            items = [item for page in self._pages(line) for item in self._items(page)]
        finally:
            line.close()
        words = f"hf://{self._repository}@{self._commit}"
        return Rows(words, self._repository.rpartition("/")[2], items)

    def reader(self, tell: Callable[[str], None]) -> Reader:
        """A thread's own."""
        return _HubReader(self, self._web.line(), tell)

    def request(self, url: str, headers: dict[str, str]) -> Request:
        """A request with the token, which goes to the Hub's own host only."""
        token = self._mounted.value(*TOKEN_KEYS)
        return Request("GET", url, headers, {"Authorization": f"Bearer {token}"} if token else {})

    def address(self, path: str) -> str:
        """Where a file of the commit is resolved."""
        return f"{self._endpoint}/{quote(self._repository)}/resolve/{self._commit}/{quote(path)}"

    def refusal(self, answer: Answer) -> PvserveError:
        """The Hub says in a header why it refuses."""
        code, what = answer.header("X-Error-Code"), f"hf://{self._repository}"
        if code == "GatedRepo":
            return NotAllowed(
                "SourceForbidden",
                f"{what} is gated: its licence must be accepted first",
                subject=what,
                remedy=(
                    f"accept it at {self._endpoint}/{self._repository}",
                    "then name the Secret with that user's HF_TOKEN: --connection NAME",
                ),
            )
        if code == "RevisionNotFound":
            return Refused(
                "NoSuchSource", f"{what} has no revision {shown(self._revision)}; nothing was loaded", subject=what
            )
        if code == "RepoNotFound":
            return Refused(
                "NoSuchSource",
                f"{what} does not exist, or is private and no token was given",
                subject=what,
                remedy=("name the Secret that holds HF_TOKEN with --connection NAME",),
            )
        return refused(answer, what, code)

    def _api(self) -> str:
        return f"{self._endpoint}/api/models/{quote(self._repository)}"

    def _pages(self, line: Line) -> Iterator[Any]:
        url = f"{self._api()}/tree/{self._commit}?recursive=true&expand=false"
        for _ in range(PAGES):
            page, link = self._json(line, url)
            yield page
            match = _NEXT.search(link)
            if not match:
                return
            url = urljoin(url, match[1])
        raise PvserveError("SourceFailed", "the Hub's list does not end")

    def _items(self, page: Any) -> Iterator[Item]:
        try:
            for row in page:
                if row["type"] != "file":
                    continue
                lfs = row.get("lfs") or {}
                sha256 = str(lfs.get("oid") or lfs.get("sha256") or "").lower()
                if sha256 and not _SHA256.fullmatch(sha256):
                    raise ValueError(sha256)
                oid = str(row.get("oid") or "")
                git = oid if not sha256 and _COMMIT.fullmatch(oid) else ""
                yield Item(str(row["path"]), int(lfs.get("size", row["size"])), str(row["path"]), oid, sha256, git=git)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PvserveError(
                "SourceFailed", f"{shown(self._endpoint)} does not answer as a Hub: its list makes no sense"
            ) from None

    def _json(self, line: Line, url: str) -> tuple[Any, str]:
        answer, text = page(line, url, partial(self.request, url, {}), to_list(self._tell))
        if answer.status != 200:
            raise self.refusal(answer)
        try:
            return json.loads(text), answer.header("Link")
        except ValueError:
            raise PvserveError("SourceFailed", f"{shown(self._endpoint)} does not answer as a Hub") from None


class _HubReader(Reader):
    """The Hub sends on to a signed address, used until it is refused: then it expired, and the Hub gives another."""

    def __init__(self, source: Hub, line: Line, tell: Callable[[str], None]) -> None:
        super().__init__(line, tell)
        self._source = source
        self._signed: dict[str, str] = {}  # of the file that is read now
        self._refusals = 0
        self._from_before = False  # whether the last request went to such an address of an earlier one

    def request(self, item: Item, headers: dict[str, str]) -> Request:
        self._from_before = item.path in self._signed
        if self._from_before:
            return Request("GET", self._signed[item.path], headers)
        return self._source.request(self._source.address(item.where), headers)

    def refusal(self, item: Item, answer: Answer) -> PvserveError | None:
        self._signed.clear()
        if self._from_before:
            return None
        signed = answer.url != self._source.address(item.where)
        if signed and self._refusals < FRESH_TRIES:  # a slow network can outlive a short signature
            self._refusals += 1
            return None
        return self._source.refusal(answer)

    def heard(self, _item: Item, _answer: Answer) -> None:
        self._refusals = 0

    def led_to(self, item: Item, url: str) -> None:
        if url != self._source.address(item.where):
            self._signed = {item.path: url}
