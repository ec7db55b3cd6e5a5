"""What one load is asked to do: a JSON object (docs/sources.md).

Owns the order's form, and which source and which files it means. Must not load anything.
"""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

from pvserve.errors import UsageError
from pvserve.model.listing import Listing
from pvserve.transfer.values import Target

from .choosing import chosen
from .errand import MakeMover
from .https import Https
from .hub import Hub
from .initializer import Initializer
from .oci import Oci
from .reading import Item, Rows
from .s3 import S3
from .secrets import Mounted
from .shards import share_of
from .web import Web

VERSION = 1
KINDS = {"s3": S3, "https": Https, "http": Https, "hf": Hub, "oci": Oci, "initializer": Initializer}


class Listed(NamedTuple):
    """A source's files that are to be loaded, and what the source says of each."""

    listing: Listing
    items: list[Item]
    mover: MakeMover | None = None
    estimated: bool = False


class Order:
    """What one load is asked to do: a JSON object (docs/sources.md)."""

    def __init__(self, value: Any, secret: str) -> None:
        if not isinstance(value, dict) or value.get("version") != VERSION:
            raise UsageError("NoOrder", "this is no order that this agent understands")
        self.value: dict[str, Any] = value
        self.scheme = str(value["source"]["scheme"])
        self.include, self.exclude = list(value["include"]), list(value["exclude"])
        self.fingerprint = str(value.get("fingerprint") or "")
        self.replace = bool(value.get("replace"))
        self.share = share_of(int(value.get("shards") or 1), os.environ)
        self._secret = secret

    @property
    def target(self) -> Target:
        """Where the files go."""
        place = self.value["place"]
        return Target(str(place["path"]), str(self.value["claim"]), str(place["mount"]))

    def source(self, tell: Callable[[str], None]) -> Any:
        """The source, ready to be listed."""
        asked = self.value["source"]
        if self.scheme not in KINDS:
            raise UsageError("UnknownSource", f"this agent knows no source {self.scheme!r:.40}")
        given: dict[str, Any] = self.value.get("given") or {}  # of the client's machine
        web = Web(
            list(self.value.get("ca") or ()),
            str(self.value.get("proxy") or ""),
            str(self.value.get("noProxy") or given.get("noProxy") or ""),
            str(given.get("ca") or ""),
            {str(scheme): str(proxy) for scheme, proxy in (given.get("proxies") or {}).items()},
        )
        return KINDS[self.scheme](asked, Mounted(self._secret), web, tell)

    def listed(self, rows: Rows) -> Listed:
        """What is to be loaded of these files."""
        if rows.mover is not None and self.share:
            raise UsageError(
                "ShardsNeedFiles",
                f"{rows.words} comes as one: its files are only known as they are unpacked",
                subject=rows.words,
                remedy=("leave out --shards",),
            )
        allow, everything = bool(self.value.get("allowPickle")), bool(self.value.get("everything"))
        listing = chosen(rows, self.scheme, self.include, self.exclude, allow, everything)
        items = {item.path: item for item in rows.items}
        return Listed(listing, [items[entry.path] for entry in listing.entries], rows.mover, rows.estimated)
