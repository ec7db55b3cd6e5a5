"""A bucket of the bed's S3, as far as the demo needs it: made, filled, emptied. Requests are signed (SigV4).

Owns nothing of the server. The bed has no S3 library of its own: three kinds of requests do not need one.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bed.errors import BedError

EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Bucket:
    """One bucket; `endpoint` is HOST:PORT, plain HTTP."""

    endpoint: str
    access: str
    secret: str
    name: str
    region: str = "us-east-1"

    def make(self) -> None:
        """Makes the bucket. Raises BedError."""
        self._request("PUT", "")

    def upload(self, directory: Path, prefix: str) -> list[str]:
        """Uploads every file below `directory`; returns the keys. Raises BedError."""
        keys = []
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            keys.append(f"{prefix}/{path.relative_to(directory).as_posix()}")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                self._request("PUT", keys[-1], file, path.stat().st_size, digest)
        return keys

    def remove(self, keys: list[str]) -> None:
        """Deletes these objects, then the bucket. Raises BedError."""
        for key in (*keys, ""):
            self._request("DELETE", key)

    def _request(
        self, method: str, key: str, body: IO[bytes] | None = None, size: int = 0, digest: str = EMPTY
    ) -> None:
        path = urllib.parse.quote(f"/{self.name}/{key}" if key else f"/{self.name}")
        headers = self._signed(method, path, digest) | {"Content-Length": str(size)}
        connection = http.client.HTTPConnection(self.endpoint, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except OSError as error:
            raise BedError(f"S3 at {self.endpoint} does not answer: {error}", "bed status") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise BedError(f"S3 refused {method} {path}: {answer.status} {text[:300]}", "bed status")

    def _signed(self, method: str, path: str, digest: str) -> dict[str, str]:
        """The headers of AWS Signature Version 4 (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)."""
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = {"host": self.endpoint, "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n\n{listed}\n{names}\n{digest}"
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        signed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{signed}"):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}"
        return headers | {"Authorization": f"{credential}, SignedHeaders={names}, Signature={key.hex()}"}
