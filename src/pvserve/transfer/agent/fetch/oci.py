"""A model in a registry: an image with the model below /models (KServe's modelcar), or an artifact of files (ORAS).

Owns manifests, and which blob is what. Source: https://github.com/opencontainers/image-spec,
https://github.com/opencontainers/distribution-spec, https://kserve.github.io/website/ (modelcar),
https://oras.land/docs/how_to_guides/pushing_and_pulling (annotations)
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from typing import Any, Callable, NamedTuple

from pvserve.errors import DataDiffers, PvserveError, Refused
from pvserve.model.contain import shown

from .asking import page
from .errand import Errand, Mover
from .layers import Root
from .patience import refused, to_list
from .reading import Item, Reader, Rows
from .registry import DOCKER_HUB_HOSTS, Login
from .secrets import Mounted
from .stream import GZIP, PLAIN, ZSTD
from .unpacking import Pack, Unpacking
from .web import Answer, Line, Request, Web, place

IMAGE_ROOT = "models"
TITLE, UNPACK = "org.opencontainers.image.title", "io.deis.oras.content.unpack"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
ARCHITECTURES = ("amd64", "arm64")  # a model is the same for all: always the same choice, whatever node asks
GUESS = 1.5  # unpacked to packed size: weights give gzip and zstd little to do, text much
FRESH_TRIES = 2  # for a signed address that is refused: a slow network can outlive a short signature
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class _Blob(NamedTuple):
    digest: str  # hex
    size: int
    kind: str
    title: str
    unpack: bool


class Oci:
    """One manifest of one repository, pinned to its digest."""

    def __init__(self, asked: dict[str, Any], mounted: Mounted, web: Web, tell: Callable[[str], None]) -> None:
        host, self._repository = str(asked["registry"]), str(asked["repository"])
        if host in DOCKER_HUB_HOSTS and "/" not in self._repository:
            self._repository = f"library/{self._repository}"
        self._reference = str(asked["reference"])
        self._words = f"oci://{host}/{self._repository}"
        self._web, self._tell = web, tell
        self.login = Login(host, self._repository, mounted, str(asked.get("secret") or ""), tell)
        there = "registry-1.docker.io" if host in DOCKER_HUB_HOSTS else host
        self._base = f"https://{there}/v2/{self._repository}"

    def rows(self) -> Rows:
        """What the manifest names: files, or layers that hold them."""
        line = self._web.line()
        try:
            digest, manifest = self._manifest(line)
        finally:
            line.close()
        words, name = f"{self._words}@sha256:{digest}", self._repository.rpartition("/")[2]
        blobs = self._blobs(manifest)
        if any(blob.title for blob in blobs):
            return self._artifact(words, name, blobs)
        return self._packed(words, name, self._image(blobs))

    def reader(self, tell: Callable[[str], None]) -> Reader:
        """A thread's own."""
        return _OciReader(self, self._web.line(), tell)

    def request(self, url: str, headers: dict[str, str]) -> Request:
        """A request with the token or password, which goes to the registry's own host only."""
        return Request("GET", url, headers, self.login.headers())

    def address(self, item: Item) -> str:
        """Of a blob."""
        return f"{self._base}/blobs/{item.where}"

    def refusal(self, answer: Answer, said: str) -> PvserveError:
        """What the registry says, and what could be done about it."""
        lacking = self.login.lacking() if answer.status in (401, 403) else ""
        return refused(answer, self._words, lacking or said)

    def _manifest(self, line: Line) -> tuple[str, dict[str, Any]]:
        """Digest and content, of an index's one that fits."""
        digest, found = self._fetched(line, self._reference)
        for _ in range(3):  # an index may name an index
            if "manifests" not in found:
                return digest, found
            digest, found = self._fetched(line, self._chosen(found))
        raise PvserveError("SourceFailed", f"{self._words} is an index of indexes without end")

    def _fetched(self, line: Line, reference: str) -> tuple[str, dict[str, Any]]:
        url = f"{self._base}/manifests/{reference}"
        accept = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        for _ in range(3):
            answer, text = page(line, url, partial(self.request, url, accept), to_list(self._tell))
            if answer.status != 401 or not self.login.answer(line, answer.header("WWW-Authenticate"), url):
                break
        if answer.status != 200:
            raise self.refusal(answer, error_code(text))
        digest = hashlib.sha256(text).hexdigest()
        promised = _DIGEST.fullmatch(reference) or _DIGEST.fullmatch(answer.header("Docker-Content-Digest"))
        if promised and promised[1] != digest:
            raise DataDiffers("SourceDamaged", f"the manifest {shown(reference)} of {self._words} has digest {digest}")
        try:
            found = json.loads(text)
            if not isinstance(found.get("manifests", found.get("layers")), list):
                raise ValueError
        except (ValueError, AttributeError):
            raise PvserveError(
                "SourceFailed", f"{place(url)} answers with no manifest of an image or artifact", subject=self._words
            ) from None
        return digest, found

    def _chosen(self, index: dict[str, Any]) -> str:
        """The manifest for Linux: the same for every node, so that a Job finds what was listed."""
        ranked = []
        for order, entry in enumerate(index["manifests"]):
            platform = (entry.get("platform") or {}) if isinstance(entry, dict) else {}
            system, machine = str(platform.get("os") or "linux"), str(platform.get("architecture") or "")
            if not isinstance(entry, dict) or system != "linux" or not _DIGEST.fullmatch(str(entry.get("digest"))):
                continue
            rank = ARCHITECTURES.index(machine) if machine in ARCHITECTURES else len(ARCHITECTURES)
            ranked.append((rank, order, str(entry["digest"])))
        if not ranked:
            raise Refused(
                "NotAModel", f"{self._words} has no manifest for Linux; nothing was loaded", subject=self._words
            )
        return min(ranked)[2]

    def _blobs(self, manifest: dict[str, Any]) -> list[_Blob]:
        blobs = []
        try:
            for layer in manifest["layers"]:
                match = _DIGEST.fullmatch(str(layer["digest"]))
                if not match or int(layer["size"]) < 0:
                    raise ValueError
                notes = layer.get("annotations") or {}
                title, unpack = str(notes.get(TITLE) or ""), str(notes.get(UNPACK)).lower() == "true"
                blobs.append(_Blob(match[1], int(layer["size"]), str(layer.get("mediaType") or ""), title, unpack))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PvserveError("SourceFailed", f"the manifest of {self._words} makes no sense") from None
        return blobs

    def _artifact(self, words: str, name: str, blobs: list[_Blob]) -> Rows:
        """One blob for each file; a directory is a tar archive. Blobs without a title are none of either."""
        named = [blob for blob in blobs if blob.title]
        if any(blob.unpack for blob in named):
            return self._packed(words, name, [_titled(blob) for blob in named])
        seen: set[str] = set()
        items = []
        for blob in named:
            why = "is in it twice" if blob.title in seen else ""
            seen.add(blob.title)
            where = f"sha256:{blob.digest}"
            items.append(Item(blob.title, blob.size, where, where, blob.digest, fault=why))
        return Rows(words, name, items)

    def _image(self, blobs: list[_Blob]) -> list[Pack]:
        """The layers, from the topmost down."""
        if not blobs:
            raise Refused("NotAModel", f"{self._words} has no layers; nothing was loaded", subject=self._words)
        root = Root(IMAGE_ROOT, within=False, layered=True)
        packs = []
        for number, blob in reversed(list(enumerate(blobs))):
            form = _form(blob.kind)
            if form is None:
                raise Refused(
                    "NotAModel",
                    f"{self._words} is neither an image nor an artifact of named files: layer {number} is "
                    f"{shown(blob.kind)[:100]}; nothing was loaded",
                    subject=self._words,
                )
            packs.append(Pack(_item(f"layer-{number:02d}-{blob.digest[:12]}", blob), form, root))
        return packs

    def _packed(self, words: str, name: str, packs: list[Pack]) -> Rows:
        guessed = any(pack.form != PLAIN for pack in packs)
        items = [
            pack.blob._replace(size=int(pack.blob.size * (GUESS if pack.form != PLAIN else 1)), sha256="")
            for pack in packs
        ]
        notes = [f"layers are compressed: their size on the claim is taken to be {GUESS} times that"] if guessed else []

        def mover(errand: Errand) -> Mover:
            return Unpacking(self, packs, errand)

        return Rows(words, name, items, notes, mover, guessed)


class _OciReader(Reader):
    """Many registries send on to a signed address, which is used until it is refused: then it expired."""

    def __init__(self, source: Oci, line: Line, tell: Callable[[str], None]) -> None:
        super().__init__(line, tell)
        self._source = source
        self._signed: dict[str, str] = {}  # of the blob that is read now
        self._refusals = 0

    def request(self, item: Item, headers: dict[str, str]) -> Request:
        if item.where in self._signed:
            return Request("GET", self._signed[item.where], headers)
        return self._source.request(self._source.address(item), headers)

    def refusal(self, item: Item, answer: Answer) -> PvserveError | None:
        text = answer.text(1 << 16)
        challenge, sent_on = answer.header("WWW-Authenticate"), answer.url != self._source.address(item)
        self._signed.clear()
        self._refusals += 1
        if sent_on and self._refusals <= FRESH_TRIES:
            return None
        if answer.status == 401 and not sent_on and self._source.login.answer(self.line, challenge, answer.url):
            return None
        return self._source.refusal(answer, error_code(text))

    def heard(self, _item: Item, _answer: Answer) -> None:
        self._refusals = 0

    def led_to(self, item: Item, url: str) -> None:
        if url != self._source.address(item):
            self._signed = {item.where: url}

    def _check(self, item: Item, answer: Answer, start: int, stop: int) -> None:
        """A blob's name is its digest: validators of whoever keeps it say nothing more."""
        super()._check(item._replace(tag=""), answer, start, stop)


def error_code(text: bytes) -> str:
    """The registry's own word for what is wrong."""
    match = re.search(rb'"code"\s*:\s*"([A-Z_]{1,60})"', text[: 1 << 16])
    return match[1].decode("ascii") if match else ""


def _titled(blob: _Blob) -> Pack:
    """A file, or a directory that is packed."""
    if not blob.unpack:
        return Pack(_item(blob.title, blob), PLAIN, Root(into=blob.title), None)
    below = "" if blob.title in (".", "./") else blob.title.rstrip("/")
    item = _item(below or f"directory-{blob.digest[:12]}", blob)
    return Pack(item, _form(blob.kind) or GZIP, Root(below, below))


def _item(path: str, blob: _Blob) -> Item:
    where = f"sha256:{blob.digest}"
    return Item(path, blob.size, where, where, blob.digest)


def _form(kind: str) -> str | None:
    """How a layer of this media type is packed; None where it is no layer."""
    for ending, form in (
        ("tar", PLAIN),
        ("tar+gzip", GZIP),
        ("tar.gzip", GZIP),
        ("tar+zstd", ZSTD),
        ("tar.zstd", ZSTD),
    ):
        if kind.endswith((f".{ending}", f"+{ending}")):
            return form
    return None
