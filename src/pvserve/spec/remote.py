"""A source that the cluster reads itself: `s3://`, `https://`, `hf://`.

Owns these forms and what of them the fetching program is asked (docs/sources.md). Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

SCHEMES = ("s3://", "https://", "http://", "hf://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")
_REVISION = re.compile(r"[\w][\w./-]{0,127}")


@dataclass(frozen=True)
class Remote:
    """Where the model is; `asked` are the program's words for it, `name` is what the model is called."""

    uri: str
    scheme: str
    name: str
    asked: dict[str, str] = field(default_factory=dict)


def is_remote(model: str | None) -> bool:
    """Whether a spec's `model` is read by the cluster, and not by this machine."""
    return bool(model and model.startswith(SCHEMES))


def parse_remote(uri: str) -> Remote:
    """The source that `uri` names. Raises ValueError, a clause, where it names none."""
    scheme, _, rest = uri.partition("://")
    if any(letter.isspace() or not letter.isprintable() for letter in uri):
        raise ValueError("must not contain blanks or control characters")
    if scheme == "s3":
        return _s3(uri, rest)
    return _hub(uri, rest) if scheme == "hf" else _web(uri, scheme)


def _s3(uri: str, rest: str) -> Remote:
    bucket, _, prefix = rest.partition("/")
    if bucket and not _BUCKET.fullmatch(bucket):
        raise ValueError("names no possible bucket; it is s3://BUCKET/PREFIX, or s3:///PREFIX for the connection's")
    prefix = prefix.strip("/")
    return Remote(uri, "s3", prefix.rpartition("/")[2] or bucket, {"bucket": bucket, "prefix": prefix})


def _hub(uri: str, rest: str) -> Remote:
    repository, _, revision = rest.partition("@")
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise ValueError("names no repository; it is hf://ORG/MODEL or hf://ORG/MODEL@REVISION")
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ValueError(f"names no possible revision: {revision!r:.100}")
    return Remote(uri, "hf", repository.rpartition("/")[2], {"repository": repository, "revision": revision})


def _web(uri: str, scheme: str) -> Remote:
    parts = urlsplit(uri)
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.username or parts.password:
        raise ValueError("must not contain a user or password: put them into a Secret and name it as the connection")
    name = unquote(parts.path.rpartition("/")[2])
    if not name:
        raise ValueError("names no file: it ends with a slash")
    return Remote(uri, scheme, name.partition(".")[0] or name, {})
