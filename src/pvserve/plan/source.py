"""What is to be loaded, as far as a plan needs to know it: a model directory, or a directory on a claim.

Owns this value and where it comes from. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pvserve.facts import Facts
from pvserve.model import Listing, Manifest, manifest_digest
from pvserve.plan.claim import recorded_models
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import SCHEME, Place, parse_place
from pvserve.spec.quantity import parse_quantity

LEFT_OUT_SHOWN = 5
Content = tuple[int, int]  # bytes and files


@dataclass(frozen=True)
class Source:
    """Where the model is and how large; `digest` is of its manifest, "" where only reading every byte would tell.

    `place` is set where it lies on a claim that the loader pod can mount: then no byte crosses the network.
    `fingerprint` is of names, sizes and times of a directory of this machine, "" on a claim.
    """

    words: str
    name: str
    bytes: int
    files: int
    fingerprint: str = ""
    digest: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    place: Place | None = None
    at_most: bool = False  # `bytes` is only a bound: nobody has counted
    remote: bool = False  # the cluster reads it itself
    packed: bool = False  # comes as one: an archive, layers, what KServe's storage initializer downloads
    checksum: bool = False  # no digest of an earlier time is trusted
    beside: Content = (0, 0)  # what other models of the same run bring to the same claim


def of_directory(listing: Listing, content: Manifest | None) -> Source:
    """A model directory of this machine; `content` where its digests are known."""
    return Source(
        words=str(listing.root),
        name=listing.name or listing.root.name,
        bytes=listing.bytes,
        files=len(listing.entries),
        fingerprint=listing.fingerprint,
        digest=manifest_digest(content) if content is not None else "",
        include=listing.include,
        exclude=listing.exclude,
        notes=(*_left_out(listing), *listing.notes),
    )


def of_remote(listing: Listing) -> Source:
    """What a source holds that the cluster reads itself, as the program in the cluster listed it."""
    found = of_directory(listing, None)
    return replace(found, words=listing.source, remote=True, at_most=listing.estimated, packed=listing.packed)


def is_place(model: str | None) -> bool:
    """Whether a spec's `model` is a place on a claim."""
    return bool(model and model.startswith(SCHEME))


def of_place(spec: ModelSpec, facts: Facts) -> Source:
    """A directory on a claim: its size is what a load noted there, else at most what the claim holds."""
    place = parse_place(spec.model or "")
    claim = facts.source.object if facts.source is not None else None
    live = claim if isinstance(claim, dict) else None
    noted = recorded_models(live).get(place.path, {})
    size = noted.get("bytes") or _capacity(live)
    return Source(
        words=str(place),
        name=place.path.rpartition("/")[2] or place.claim,
        bytes=int(size),
        files=int(noted.get("files", 0)),
        digest="" if spec.include or spec.exclude else str(noted.get("manifest", "")),
        include=spec.include,
        exclude=spec.exclude,
        place=place,
        at_most=not noted or bool(spec.include or spec.exclude),
    )


def _capacity(claim: object) -> int:
    if not isinstance(claim, dict):
        return 0
    text = str(((claim.get("status") or {}).get("capacity") or {}).get("storage", "0"))
    return parse_quantity(text)


def _left_out(listing: Listing) -> tuple[str, ...]:
    if not listing.left_out:
        return ()
    shown, rest = listing.left_out[:LEFT_OUT_SHOWN], len(listing.left_out) - LEFT_OUT_SHOWN
    return ("left out of the model directory: " + ", ".join(shown) + (f" and {rest} more" if rest > 0 else ""),)
