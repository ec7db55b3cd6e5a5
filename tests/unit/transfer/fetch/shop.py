"""A server that gives files as S3, the Hugging Face Hub and plain web servers do, and misbehaves when told to.

Real sockets and real TLS; what a source's protocol says is written here anew, from its documentation, so that the
agent's reading of it and this one check each other. huggingface_hub 2.4's own client lists and downloads from it.
"""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
import hmac
import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

COMMIT = "c0ffee" + "0" * 34
KEY, SECRET = "AKIATEST", "very/secret+key"
PAGE = 3  # names per page of a list


class Shop(ThreadingHTTPServer):
    """Files by path. `faults` are asked in turn before each answer; one that returns True has answered itself."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        super().__init__(address, Handler)
        self.name, self.other_name = "127.0.0.1", "localhost"
        self.files: dict[str, bytes] = {}
        self.faults: list[Callable[[Handler, str], bool]] = []
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.ranges = self.lengths = self.head = True
        self.checksums = True  # S3 publishes sha256
        self.lfs: set[str] | None = None  # Hub: the paths that are in LFS; None: those above 100 bytes
        self.token = ""
        self.link_seconds = 60.0  # how long a signed address of the Hub is good
        self.tags: dict[str, str] = {}
        self.said: dict[str, str] = {}  # headers of every file
        self.unsigned_too = False  # S3: the bucket is open to all
        self.manifests: dict[str, tuple[str, bytes]] = {}  # registry: by tag or digest; else one of all files, as main
        self.login = ""  # registry: user:password that gets a token; "" for a registry that is open to all
        self.scheme = "https" if context else "http"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name}:{self.server_address[1]}"

    def tag(self, path: str) -> str:
        return self.tags.get(path) or f'"{hashlib.md5(self.files[path]).hexdigest()}"'

    def handle_error(self, request: object, client_address: object) -> None:
        """Cut connections are what these tests are about."""

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Shop
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        if not self.server.head:
            self.error(405)
        else:
            self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        with self.server.lock:
            self.server.seen.append((self.command, self.path, dict(self.headers)))
            self.server.counts[path] += 1
        for fault in list(self.server.faults):
            if fault(self, path):
                return
        if path.startswith("/s3/"):
            self.s3(path)
        elif path.startswith("/hub/"):
            self.hub(path)
        elif path.startswith("/v2/") or path == "/token":
            self.oci(path)
        elif path.startswith("/blob/"):
            self.blob()
        else:
            self.give(unquote(path).lstrip("/"))

    # Plain files

    def give(self, name: str, headers: dict[str, str] | None = None) -> None:
        """A file, or the range that is asked for."""
        shop = self.server
        if name not in shop.files:
            return self.error(404)
        tag, data = shop.tag(name), shop.files[name]
        if self.headers.get("If-Match") not in (None, tag):
            return self.error(412)
        said = {"ETag": tag, **(headers or {}), **shop.said}
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if match and shop.ranges:
            first, last = int(match[1]), min(int(match[2]), len(data) - 1)
            if first >= len(data):
                return self.error(416, {"Content-Range": f"bytes */{len(data)}"})
            said |= {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Accept-Ranges": "bytes"}
            return self.send(206, data[first : last + 1], said)
        return self.send(200, data, said)

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.server.lengths or status != 200:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.lengths or status != 200:
            self.wfile.write(body)
            return
        for start in range(0, len(body), 70_000):
            piece = body[start : start + 70_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def error(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self) -> None:
        """End the connection at once."""
        self.close_connection = True
        self.connection.close()

    # S3: one bucket, `/s3/bucket/KEY`

    def s3(self, path: str) -> None:
        if not self.server.unsigned_too and (why := self.unsigned()):
            return self.error(403, body=f"<Error><Code>{why}</Code></Error>".encode())
        bucket, _, key = path.removeprefix("/s3/").partition("/")
        if bucket != "bucket":
            return self.error(404, body=b"<Error><Code>NoSuchBucket</Code></Error>")
        if not key:
            return self.send(200, self.page(), {"Content-Type": "application/xml"})
        name = unquote(key)
        said = {}
        if self.headers.get("x-amz-checksum-mode") == "ENABLED" and self.server.checksums and name in self.server.files:
            digest = hashlib.sha256(self.server.files[name]).digest()
            said["x-amz-checksum-sha256"] = base64.b64encode(digest).decode()
        return self.give(name, said)

    def page(self) -> bytes:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        assert asked["list-type"] == "2"
        names = sorted(name for name in self.server.files if name.startswith(asked.get("prefix", "")))
        first = int(asked.get("continuation-token") or 0)
        more = first + PAGE < len(names)
        rows = "".join(self.row(name, asked) for name in names[first : first + PAGE])
        after = f"<NextContinuationToken>{first + PAGE}</NextContinuationToken>" if more else ""
        coded = "<EncodingType>url</EncodingType>" if asked.get("encoding-type") else ""
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"{coded}<IsTruncated>{str(more).lower()}</IsTruncated>{after}{rows}</ListBucketResult>"
        ).encode()

    def row(self, name: str, asked: dict[str, str]) -> str:
        key = quote(name, safe="/") if asked.get("encoding-type") else escape(name)
        kind = "<ChecksumAlgorithm>SHA256</ChecksumAlgorithm>" if self.server.checksums else ""
        tag = escape(self.server.tag(name), {'"': "&quot;"})
        size = len(self.server.files[name])
        return f"<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{size}</Size>{kind}</Contents>"

    def unsigned(self) -> str:
        """Why the request is not authentic, "" where it is: AWS's description of version 4, read anew."""
        said = self.headers.get("Authorization", "")
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            said,
        )
        if not match:
            return "AccessDenied"
        user, date, region, names, signature = match.groups()
        if user != KEY:
            return "InvalidAccessKeyId"
        when = datetime.datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        if abs((datetime.datetime.now(datetime.UTC) - when).total_seconds()) > 900:
            return "RequestTimeTooSkewed"
        parts = urlsplit(self.path)
        query = "&".join(
            sorted(
                f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
                for name, value in parse_qsl(parts.query, keep_blank_values=True)
            )
        )
        headers = "".join(f"{name}:{' '.join(self.headers[name].split())}\n" for name in names.split(";"))
        where = quote(unquote(parts.path), safe="/-_.~")
        canonical = "\n".join((self.command, where, query, headers, names, self.headers["x-amz-content-sha256"]))
        scope = f"{date}/{region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self.headers['x-amz-date']}\n{scope}\n{digest}"
        key = f"AWS4{SECRET}".encode()
        for word in (date, region, "s3", "aws4_request"):
            key = hmac.digest(key, word.encode(), "sha256")
        good = hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)
        return "" if good and "host" in names.split(";") else "SignatureDoesNotMatch"

    # A registry: `org/model`, whose blobs lie elsewhere, as those of registries in a cloud do

    def oci(self, path: str) -> None:
        shop = self.server
        if path == "/token":
            basic = "Basic " + base64.b64encode(shop.login.encode()).decode()
            asked = dict(parse_qsl(urlsplit(self.path).query))
            good = self.headers.get("Authorization") == basic and asked["scope"] == "repository:org/model:pull"
            return self.answer({"token": "pass"}) if good else self.error(401)
        if shop.login and self.headers.get("Authorization") != "Bearer pass":
            where = f'Bearer realm="{shop.url}/token",service="shop",scope="repository:org/model:pull"'
            return self.error(401, {"WWW-Authenticate": where}, b'{"errors":[{"code":"UNAUTHORIZED"}]}')
        if match := re.fullmatch(r"/v2/org/model/manifests/(.+)", path):
            found = shop.manifests.get(match[1]) or (self.artifact() if match[1] == "main" else None)
            if found is None:
                return self.error(404, body=b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
            return self.send(200, found[1], {"Content-Type": found[0]})
        if match := re.fullmatch(r"/v2/org/model/blobs/sha256:([0-9a-f]{64})", path):
            names = (name for name in shop.files if hashlib.sha256(shop.files[name]).hexdigest() == match[1])
            if name := next(names, ""):
                there = shop.url.replace(shop.name, shop.other_name)
                until = datetime.datetime.now().timestamp() + shop.link_seconds
                return self.error(307, {"Location": f"{there}/blob/{quote(name)}?until={until}"})
        return self.error(404, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}')

    def artifact(self) -> tuple[str, bytes]:
        """What `oras push` makes of the files."""
        layers = [
            {
                "mediaType": "application/octet-stream",
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
                "size": len(data),
                "annotations": {"org.opencontainers.image.title": name},
            }
            for name, data in self.server.files.items()
        ]
        kind = "application/vnd.oci.image.manifest.v1+json"
        return kind, json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": layers}).encode()

    # The Hub: `/hub` is HF_ENDPOINT

    def hub(self, path: str) -> None:
        shop = self.server
        if shop.token and self.headers.get("Authorization") != f"Bearer {shop.token}":
            return self.error(
                401, {"X-Error-Code": "GatedRepo" if self.headers.get("Authorization") else "RepoNotFound"}
            )
        rest = path.removeprefix("/hub/")
        if match := re.fullmatch(r"api/models/org/model(?:/revision/(.+))?", rest):
            if unquote(match[1] or "main") not in ("main", "v1", COMMIT):
                return self.error(404, {"X-Error-Code": "RevisionNotFound"})
            siblings = [{"rfilename": name} for name in sorted(shop.files)]
            value = {
                "id": "org/model",
                "modelId": "org/model",
                "sha": COMMIT,
                "siblings": siblings,
                "private": False,
                "tags": [],
                "downloads": 0,
            }
            return self.answer(value)
        if rest == f"api/models/org/model/tree/{COMMIT}" or rest == "api/models/org/model/tree/main":
            return self.tree()
        if match := re.fullmatch(r"org/model/resolve/([^/]+)/(.+)", rest):
            return self.resolve(unquote(match[2]))
        return self.error(404, {"X-Error-Code": "RepoNotFound"})

    def answer(self, value: object, headers: dict[str, str] | None = None) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def tree(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query))
        names = sorted(self.server.files)
        first = int(asked.get("cursor") or 0)
        rows: list[dict[str, object]] = [{"type": "directory", "path": "sub", "oid": "0" * 40, "size": 0}]
        for name in names[first : first + PAGE]:
            data = self.server.files[name]
            row: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": git_oid(data)}
            if self.in_lfs(name):
                row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            rows.append(row)
        more = f"{self.server.url}/hub/api/models/org/model/tree/{COMMIT}?recursive=true&cursor={first + PAGE}"
        link = f'<{more}>; rel="next"'
        self.answer(rows, {"Link": link} if first + PAGE < len(names) else {})

    def in_lfs(self, name: str) -> bool:
        lfs = self.server.lfs
        return name in lfs if lfs is not None else len(self.server.files[name]) > 100

    def resolve(self, name: str) -> None:
        if name not in self.server.files:
            return self.error(404, {"X-Error-Code": "EntryNotFound"})
        data = self.server.files[name]
        said = {"X-Repo-Commit": COMMIT}
        if not self.in_lfs(name):
            return self.give(name, {**said, "ETag": f'"{git_oid(data)}"'})
        said |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"'}
        until = datetime.datetime.now().timestamp() + self.server.link_seconds
        # Another name of the same server: to the client it is another host, which must not see the token.
        there = self.server.url.replace(self.server.name, self.server.other_name)
        return self.error(302, {**said, "Location": f"{there}/blob/{quote(name)}?until={until}&sig=x"})

    def blob(self) -> None:
        parts = urlsplit(self.path)
        if self.headers.get("Authorization"):
            return self.error(400)
        if float(dict(parse_qsl(parts.query))["until"]) < datetime.datetime.now().timestamp():
            return self.error(
                403, body=b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
            )
        return self.give(unquote(parts.path.removeprefix("/blob/")))


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def http_date() -> str:
    return email.utils.formatdate(usegmt=True)
