"""AWS Signature Version 4 for requests without a body.

Owns the signature. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple
from urllib.parse import quote, urlsplit

EMPTY = hashlib.sha256(b"").hexdigest()


class Key(NamedTuple):
    """Credentials; `token` of a session, or ""."""

    user: str
    secret: str
    token: str = ""


def signed(
    method: str, url: str, headers: dict[str, str], key: Key, region: str, now: float | None = None
) -> dict[str, str]:
    """The headers with which the request is authentic: those given, and what the signature adds.

    The URL's path and query must be encoded already, the query sorted by name.
    """
    moment = time.gmtime(time.time() if now is None else now)
    date, stamp = time.strftime("%Y%m%d", moment), time.strftime("%Y%m%dT%H%M%SZ", moment)
    parts = urlsplit(url)
    all_headers = {**headers, "x-amz-content-sha256": EMPTY, "x-amz-date": stamp}
    if key.token:
        all_headers["x-amz-security-token"] = key.token
    covered = {name.lower(): " ".join(value.split()) for name, value in all_headers.items()}
    covered["host"] = parts.netloc
    names = ";".join(sorted(covered))
    lines = "".join(f"{name}:{covered[name]}\n" for name in sorted(covered))
    canonical = "\n".join((method, parts.path or "/", parts.query, lines, names, EMPTY))
    scope = f"{date}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    secret = ("AWS4" + key.secret).encode()
    for word in (date, region, "s3", "aws4_request"):
        secret = hmac.new(secret, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
    all_headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.user}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return all_headers


def encoded(path: str) -> str:
    """A key as it stands in a URL: everything but unreserved characters and `/` escaped, as the signature wants it."""
    return quote(path, safe="/-_.~")


def query(fields: dict[str, str]) -> str:
    """A query string in the signature's canonical form."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(fields[name], safe='-_.~')}" for name in sorted(fields))
