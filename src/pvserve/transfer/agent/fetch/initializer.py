"""Sources that only KServe's own storage initializer knows: it downloads, and what it brought is treated like all else.

Owns starting it, what it is given of the connection's Secret, and digesting what it wrote. Must not know its protocols.
Source: https://github.com/kserve/kserve/blob/master/python/storage/kserve_storage/kserve_storage.py
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import re
import signal
import stat
import subprocess
import tempfile
from typing import Any, Callable
from urllib.parse import urlsplit

from pvserve.errors import PvserveError, Refused, Temporary
from pvserve.model.contain import shown
from pvserve.model.elsewhere import Told, told_listing
from pvserve.transfer.agent.expected import Expected, digest_of
from pvserve.transfer.agent.place import FILES, META, Partial
from pvserve.transfer.agent.volume import (
    DIRECTORY_MODE,
    FILE_MODE,
    PROGRAM_MODE,
    open_plain,
    remove_tree,
    walk,
)

from .choosing import PICKLES, found, is_one_of, pickles_refused
from .errand import Errand, Mover
from .reading import Item, Rows
from .secrets import KSERVE, Mounted
from .web import Web

PROGRAM = "/storage-initializer/scripts/initializer-entrypoint"  # python/storage-initializer.Dockerfile of KServe
GCLOUD = "gcloud-application-credentials.json"  # pkg/credentials/gcs/gcs_secret.go
ENDPOINTS = ("AWS_S3_ENDPOINT", "S3_ENDPOINT")  # an Open Data Hub connection's, which KServe gives as AWS_ENDPOINT_URL
HUB = "hf://"
LAST_LINES = 20
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Initializer:
    """One URI, whatever it is."""

    def __init__(self, asked: dict[str, Any], mounted: Mounted, web: Web, tell: Callable[[str], None]) -> None:
        self._uri = str(asked["uri"])
        self._mounted, self._web, self._tell = mounted, web, tell
        self._endpoint = str(asked.get("endpoint") or "")

    def rows(self) -> Rows:
        """Nobody can tell what there is but who downloads it. Raises Refused where the image is another."""
        if not os.access(PROGRAM, os.X_OK):
            raise Refused(
                "FetchNeedsInitializer",
                f"{shown(self._uri)} is fetched by KServe's storage initializer, and the image has no {PROGRAM}",
                subject=self._uri,
                remedy=("name KServe's storage initializer of this cluster with --image",),
            )
        name = urlsplit(self._uri).path.rstrip("/").rpartition("/")[2] or urlsplit(self._uri).netloc
        return Rows(self._uri, name, [Item("source", 0, self._uri, self._uri)], [], self._mover, True)

    def environment(self, ca: str) -> dict[str, str]:
        """What the initializer finds in its environment, as KServe gives it; of this process nobody else sees it."""
        given = {name: self._mounted.value(name) for name in self._mounted.names() if _VARIABLE.fullmatch(name)}
        endpoint = self._endpoint or next((given[name] for name in ENDPOINTS if given.get(name)), "")
        if self._endpoint and self._uri.startswith(HUB):
            given["HF_ENDPOINT"] = self._endpoint
        elif endpoint:
            given.setdefault("AWS_ENDPOINT_URL", endpoint if "://" in endpoint else f"https://{endpoint}")
        if self._mounted.value(GCLOUD):
            given["GOOGLE_APPLICATION_CREDENTIALS"] = self._mounted.path(GCLOUD)
        if entry := self._mounted.value(KSERVE):
            given["STORAGE_CONFIG"] = entry
        if self._uri.startswith(("hdfs://", "webhdfs://")):
            given["HDFS_SECRET_DIR"] = self._mounted.path("")
        trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE"), ca)
        return {**os.environ, "HOME": tempfile.gettempdir(), **trusted, **self._web.variables(), **given}

    @property
    def address(self) -> str:
        """The URI in KServe's form, which divides a revision of the Hub by a colon (kserve_storage, _download_hf)."""
        return self._uri.replace("@", ":", 1) if self._uri.startswith(HUB) else self._uri

    def secrets(self) -> list[str]:
        """What must not be shown."""
        return [value for name in self._mounted.names() for value in [self._mounted.value(name)] if len(value) > 3]

    def trusted(self) -> bytes:
        """All CAs, as PEM."""
        return self._web.pem()

    def _mover(self, errand: Errand) -> Mover:
        return _Download(self, self._uri, errand)


class _Download(Mover):
    """One run of the initializer, into the partial transfer's own directory."""

    def __init__(self, source: Initializer, uri: str, errand: Errand) -> None:
        self._source, self._uri, self._errand = source, uri, errand
        self._bytes = self._done = 0

    def run(self) -> dict[int, str]:
        """As `Mover.run`. What an earlier run left is not gone on with: the initializer cannot."""
        partial = self._errand.partial
        for name in os.listdir(partial.files):
            remove_tree(partial.files, name)
        self._download()
        digests = self._digested(partial)
        rows = [Told(found(Item(file.path, file.size, "", program=file.mode == PROGRAM_MODE))) for file in digests]
        listing = told_listing(rows, self._errand.words, include=self._errand.include, exclude=self._errand.exclude)
        pickles = [entry.path for entry in listing.entries if is_one_of(entry.path, PICKLES)]
        if pickles and self._errand.refuse_pickles:
            raise pickles_refused(pickles, self._errand.words)
        self.listing = dataclasses.replace(listing, name=self._errand.name)
        by_path = {file.path: file for file in digests}
        self.expected = {number: by_path[entry.path] for number, entry in enumerate(listing.entries)}
        return {number: file.verified for number, file in self.expected.items()}

    def progress(self) -> tuple[int, int]:
        """Bytes that lie there, of which nobody knows how many are to come."""
        if not self._done:
            with contextlib.suppress(OSError):
                self._bytes = self._errand.partial.held()["bytes"]
        return self._bytes, self._done

    def _download(self) -> None:
        place, partial = self._errand.place, self._errand.partial
        target = f"{self._errand.target.mount}/{META}/partial/{partial.path}/{FILES}"
        assert os.path.samestat(os.stat(target), os.fstat(partial.files)), place.path
        with tempfile.NamedTemporaryFile(suffix=".pem") as bundle:
            bundle.write(self._source.trusted())
            bundle.flush()
            with subprocess.Popen(  # noqa: S603 - a fixed program; the URI is one argument of it
                [PROGRAM, self._source.address, target],
                env=self._source.environment(bundle.name),
                cwd=tempfile.gettempdir(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                errors="replace",
                preexec_fn=lambda: os.umask(0o002),
            ) as process:
                assert process.stdout is not None
                last = collections.deque((line.rstrip() for line in process.stdout), LAST_LINES)
            code = process.returncode
        if code:
            raise self._failed(code, list(last))

    def _failed(self, code: int, lines: list[str]) -> PvserveError:
        text = "\n".join(lines)
        for secret in self._source.secrets():
            text = text.replace(secret, "***")
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
        message = f"KServe's storage initializer could not download {shown(self._uri)} ({ended}): "
        message += shown(last.strip()[-300:])
        remedy = (
            "docs/sources/storage-initializer.md lists the keys that it reads of the Secret named with --connection",
        )
        if code < 0:  # from outside, as for want of memory
            return Temporary("InitializerFailed", message, subject=self._uri, detail=text[-2000:], remedy=remedy)
        return PvserveError("InitializerFailed", message, subject=self._uri, detail=text[-2000:], remedy=remedy)

    def _digested(self, partial: Partial) -> list[Expected]:
        """Every file that lies there, made durable and read back."""
        paths: list[tuple[str, os.stat_result]] = []
        for path, here, entry in walk(partial.files):
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                os.chmod(entry.name, DIRECTORY_MODE, dir_fd=here)
            elif stat.S_ISREG(info.st_mode) and info.st_nlink == 1:
                paths.append((path, info))
            else:
                why = f"{shown(path)} is a link or no regular file; nothing was published"
                raise Refused("UnloadableFiles", why, subject=self._uri)
        made: list[Expected] = []
        for path, info in paths:
            made.append(_read_back(partial.files, len(made), path, info))
            self._done += 1
        self._bytes = self.total = sum(file.size for file in made)
        return made


def _read_back(files: int, number: int, path: str, info: os.stat_result) -> Expected:
    program = bool(info.st_mode & stat.S_IXUSR)
    file = Expected(number, path, info.st_size, program, "")
    handle = open_plain(files, path)
    try:
        os.fchmod(handle, PROGRAM_MODE if program else FILE_MODE)
        os.fsync(handle)
        file.verified, file.inode = digest_of(handle, file.size).hex(), os.fstat(handle).st_ino
    finally:
        os.close(handle)
    return file
