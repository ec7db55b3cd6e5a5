"""A source that the cluster reads itself: `s3://`, `https://`, `hf://`, `oci://`.

Owns these forms and what of them the fetching program is asked (docs/sources.md). Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

SCHEMES = ("s3://", "https://", "http://", "hf://", "oci://", "gs://", "hdfs://", "webhdfs://")
INITIALIZER = "initializer"  # the scheme of what KServe's own storage initializer downloads
_OF_INITIALIZER = ("gs", "hdfs", "webhdfs")
# Azure's, as KServe tells them from other web servers (python/storage/kserve_storage/kserve_storage.py). With a query
# it is a signed address of one file, which needs no more than HTTP.
_AZURE = re.compile(
    r"https://[^/]+\.(?:(?:blob|file)\.core\.windows|z\d{1,2}\.(?:blob|file)\.storage\.azure)\.net/[^?#]+"
)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?")
_REVISION = re.compile(r"[\w][\w./-]{0,127}")

# https://github.com/distribution/reference, with a registry that is always named
_IMAGE = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?)"
    r"/([a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(\w[\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?"
)


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


def parse_remote(uri: str, through_initializer: bool = False) -> Remote:
    """The source that `uri` names; `through_initializer`: KServe's storage initializer downloads it, whatever it is.

    Raises ValueError, a clause, where it names none.
    """
    scheme, _, rest = uri.partition("://")
    if any(letter.isspace() or not letter.isprintable() for letter in uri):
        raise ValueError("must not contain blanks or control characters")
    if through_initializer or scheme in _OF_INITIALIZER or _AZURE.fullmatch(uri):
        return _of_initializer(uri, rest)
    if scheme == "s3":
        return _s3(uri, rest)
    if scheme == "oci":
        return _oci(uri, rest)
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


def _oci(uri: str, rest: str) -> Remote:
    match = _IMAGE.fullmatch(rest)
    if not match:
        raise ValueError("names no image; it is oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:…")
    host, repository, tag, digest = match.groups()
    asked = {"registry": host, "repository": repository, "reference": digest or tag or "latest"}
    return Remote(uri, "oci", repository.rpartition("/")[2], asked)


def _of_initializer(uri: str, rest: str) -> Remote:
    host, _, path = rest.partition("/")
    if not rest.strip("/") or "@" in host:
        raise ValueError("names no bucket or host, or a user in front of it, who belongs into a Secret")
    return Remote(uri, INITIALIZER, path.rstrip("/").rpartition("/")[2] or host, {})


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
