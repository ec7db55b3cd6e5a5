"""S3 and what speaks its protocol: a prefix of a bucket as a model directory.

Owns listing, addressing and what S3 publishes of an object's digest.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html, API_GetObject.html
"""

from __future__ import annotations

import base64
import binascii
import re
import xml.etree.ElementTree as ElementTree
from functools import partial
from typing import Any, Callable, Iterator, NamedTuple
from urllib.parse import unquote_plus, urlsplit

from pvserve.errors import NotAllowed, PvserveError, Refused, UsageError
from pvserve.model.contain import shown

from .asking import answered, page
from .patience import refused, to_list
from .reading import ASKED_FOR, Item, Reader, Rows
from .secrets import Mounted, missing
from .sigv4 import Key, encoded, query, signed
from .web import Answer, Line, Request, Web

DEFAULT_REGION = "us-east-1"
SMALL_ENOUGH = 256 << 10  # smaller objects come whole, and their digest with them
# A server's word for credentials that may be others by the time they are read again.
EXPIRED = ("ExpiredToken", "RequestExpired", "InvalidToken", "RequestTimeTooSkewed")
_MD5 = re.compile(r'"([0-9a-f]{32})"')
_REGION = re.compile(r"(?:^|\.)s3[.-]([a-z0-9-]+)\.amazonaws\.com$")


class Access(NamedTuple):
    """Where the bucket is and who asks; `key` None = anonymous."""

    endpoint: str
    bucket: str
    region: str
    key: Key | None
    virtual: bool  # the bucket stands in the host's name


class S3:
    """One prefix of one bucket."""

    def __init__(self, asked: dict[str, Any], mounted: Mounted, web: Web, tell: Callable[[str], None]) -> None:
        self._asked = asked
        self._mounted = mounted
        self._web = web
        self._tell = tell
        self.access = access_of(asked, mounted)
        self._prefix = str(asked.get("prefix", "")).strip("/")

    def rows(self) -> Rows:
        """Every object below the prefix, or the one object that it names."""
        line = self._web.line()
        try:
            found = list(self._objects(line, f"{self._prefix}/" if self._prefix else ""))
            if not found and self._prefix:
                found = [item for item in self._objects(line, self._prefix) if item.where == self._prefix]
        finally:
            line.close()
        words = f"s3://{self.access.bucket}/{self._prefix}".rstrip("/")
        if not found:
            raise Refused("NoSuchSource", f"no object lies below {shown(words)}; nothing was loaded", subject=words)
        return Rows(words, self._prefix.rpartition("/")[2] or self.access.bucket, found)

    def reader(self, tell: Callable[[str], None]) -> Reader:
        """A thread's own."""
        return _S3Reader(self, self._web.line(), tell)

    def address(self, key: str) -> str:
        """The URL of an object, or of the bucket."""
        access = self.access
        parts = urlsplit(access.endpoint)
        if access.virtual:
            return f"{parts.scheme}://{access.bucket}.{parts.netloc}/{encoded(key)}"
        return f"{access.endpoint}/{encoded(access.bucket)}" + (f"/{encoded(key)}" if key else "")

    def request(self, url: str, headers: dict[str, str], method: str = "GET") -> Request:
        """The request, signed now."""
        key = self.access.key
        secret = signed(method, url, headers, key, self.access.region) if key else headers
        return Request(method, url, {}, secret)

    def renewed(self) -> bool:
        """Read the credentials again; whether they are others now."""
        before, self.access = self.access.key, access_of(self._asked, self._mounted)
        return self.access.key != before

    def _objects(self, line: Line, prefix: str) -> Iterator[Item]:
        after, patience = "", to_list(self._tell)
        while True:
            fields = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
            if after:
                fields["continuation-token"] = after
            url = f"{self.address('')}?{query(fields)}"
            answer, text = page(line, url, partial(self.request, url, {}), patience)
            if answer.status != 200:
                raise denied(answer, f"bucket {shown(self.access.bucket)}", text)
            patience.moved()
            found = parsed(text, url)
            rows = (row for row in found.findall("Contents") if not _is_marker(row, found))
            yield from (self._item(row, found, prefix) for row in rows)
            after = found.findtext("NextContinuationToken") or ""
            if found.findtext("IsTruncated") != "true" or not after:
                return

    def _item(self, row: ElementTree.Element, page: ElementTree.Element, prefix: str) -> Item:
        key, size = _key(row, page), row.findtext("Size") or ""
        if not key.startswith(prefix) or not size.isdigit():
            raise PvserveError("SourceFailed", f"the list of bucket {shown(self.access.bucket)} makes no sense")
        tag = row.findtext("ETag") or ""
        md5 = _MD5.fullmatch(tag)
        path = key[len(prefix) :] if prefix.endswith("/") or not prefix else key.rpartition("/")[2]
        hint = ASKED_FOR if "SHA256" in [item.text for item in row.findall("ChecksumAlgorithm")] else ""
        return Item(path, int(size), key, tag, sha256=hint, md5=md5[1] if md5 else "")


class _S3Reader(Reader):
    def __init__(self, source: S3, line: Line, tell: Callable[[str], None]) -> None:
        super().__init__(line, tell)
        self._source = source
        self.promised: dict[str, Item] = {}

    def request(self, item: Item, headers: dict[str, str]) -> Request:
        wanted = {**headers, **({"If-Match": item.tag} if item.tag.startswith('"') else {})}
        if item.size <= SMALL_ENOUGH:
            wanted["x-amz-checksum-mode"] = "ENABLED"
            wanted.pop("Range", None)
        return self._source.request(self._source.address(item.where), wanted)

    def heard(self, item: Item, answer: Answer) -> None:
        self.promised = {item.path: promised(item, answer)}

    def promises(self, item: Item) -> Item:
        """What the last answer said; else a question of its own, where that can say more than the list."""
        if item.path in self.promised:
            return self.promised[item.path]
        if item.sha256 != ASKED_FOR and not item.md5:
            return item
        url = self._source.address(item.where)
        with_checksum = {"x-amz-checksum-mode": "ENABLED"}
        request = partial(self._source.request, url, with_checksum, "HEAD")
        answer = answered(self.line, url, request, to_list(self._tell), _closed)
        if answer.status != 200:
            return item._replace(sha256="", md5="")  # the GET says why
        return promised(item, answer)

    def refusal(self, item: Item, answer: Answer) -> PvserveError | None:
        text = answer.text(1 << 16)
        if answer.status in (400, 403) and _code(text) in EXPIRED and self._source.renewed():
            return None
        return denied(answer, shown(f"s3://{self._source.access.bucket}/{item.where}"), text)


def access_of(asked: dict[str, Any], mounted: Mounted) -> Access:
    """Endpoint, bucket, region and credentials from what was asked for and what the Secret says; the former wins."""
    entry = mounted.kserve()

    def said(name: str, *keys: str) -> str:
        return str(asked.get(name) or entry.get(name) or mounted.value(*keys) or "")

    endpoint = str(
        asked.get("endpoint") or entry.get("endpoint_url") or mounted.value("AWS_S3_ENDPOINT", "S3_ENDPOINT")
    )
    region = said("region", "AWS_DEFAULT_REGION", "AWS_REGION")
    if endpoint and "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    host = urlsplit(endpoint).hostname or ""
    found = _REGION.search(host)
    region = region or (found[1] if found else DEFAULT_REGION)
    endpoint = (endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
    bucket = said("bucket", "AWS_S3_BUCKET")
    if not bucket:
        raise UsageError(
            "ConnectionInvalid", "no bucket is named: s3:///PREFIX takes it from the connection's key AWS_S3_BUCKET"
        )
    virtual = endpoint.endswith(".amazonaws.com") and "." not in bucket
    return Access(endpoint, bucket, region, _credentials(asked, entry, mounted), virtual)


def _credentials(asked: dict[str, Any], entry: dict[str, Any], mounted: Mounted) -> Key | None:
    if asked.get("anonymous") or str(entry.get("anonymous", "")).lower() == "true":
        return None
    user = str(entry.get("access_key_id") or mounted.value("AWS_ACCESS_KEY_ID"))
    secret = str(entry.get("secret_access_key") or mounted.value("AWS_SECRET_ACCESS_KEY"))
    token = str(entry.get("session_token") or mounted.value("AWS_SESSION_TOKEN"))
    if user and secret:
        return Key(user, secret, token)
    if asked.get("secret"):
        raise missing(mounted, "S3", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "a storage-config entry")
    return None


def promised(item: Item, answer: Answer) -> Item:
    """The item with what an answer's headers say of the whole object's digest.

    A checksum of checksums (`-N` behind it, or COMPOSITE) is none of the object; an ETag of an object that is
    encrypted with a key of KMS or the customer's is no MD5 (API_Object.html).
    """
    sha256, md5 = "", item.md5
    said = answer.header("x-amz-checksum-sha256")
    if said and answer.header("x-amz-checksum-type") != "COMPOSITE":
        try:
            raw = base64.b64decode(said, validate=True)
            sha256 = raw.hex() if len(raw) == 32 else ""
        except binascii.Error:
            sha256 = ""
    encrypted = answer.header("x-amz-server-side-encryption")
    if encrypted not in ("", "AES256") or answer.header("x-amz-server-side-encryption-customer-algorithm"):
        md5 = ""
    return item._replace(sha256=sha256, md5=md5)


def denied(answer: Answer, what: str, text: bytes) -> PvserveError:
    """What S3 says of a request that it refuses."""
    code = _code(text)
    if code == "NoSuchBucket":
        return Refused("NoSuchSource", f"{what} does not exist; nothing was loaded", subject=what)
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return UsageError(
            "WrongRegion", f"{what} lies in another region than was asked", remedy=("name it with --region",)
        )
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return NotAllowed("SourceForbidden", f"{what} may not be read: the connection's keys are not valid ({code})")
    return refused(answer, what, code)


def parsed(text: bytes, url: str) -> ElementTree.Element:
    """An XML answer without its namespaces. A document type, which could unfold without end, is refused."""
    if b"<!DOCTYPE" in text:
        raise Refused("SourceUnsafe", "the S3 server's answer has a document type, which no S3 server sends")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except ElementTree.ParseError:
        raise PvserveError("SourceFailed", f"{urlsplit(url).hostname} does not answer as an S3 server") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _code(text: bytes) -> str:
    """The error code of an answer, "" where there is none (as to HEAD)."""
    match = re.search(rb"<Code>([A-Za-z0-9.]{1,64})</Code>", text[: 1 << 16])
    return match[1].decode("ascii") if match else ""


def _key(row: ElementTree.Element, page: ElementTree.Element) -> str:
    key = row.findtext("Key") or ""
    return unquote_plus(key) if page.findtext("EncodingType") == "url" else key


def _is_marker(row: ElementTree.Element, page: ElementTree.Element) -> bool:
    """What browsers of buckets make to show a directory."""
    return _key(row, page).endswith("/") and (row.findtext("Size") or "0") == "0"


def _closed(answer: Answer) -> Answer:
    answer.close()
    return answer
