"""A place on a claim, written `pvc://CLAIM/PATH` as KServe does.

Owns reading and writing that form. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvserve.errors import UsageError
from pvserve.spec.names import model_path, object_name

SCHEME = "pvc://"


@dataclass(frozen=True)
class Place:
    """A directory on a claim; path "" is the claim's root, which KServe can mount and pvserve does not write."""

    claim: str
    path: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.claim}/{self.path}" if self.path else f"{SCHEME}{self.claim}"


def overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or lies above or below it; "" is the claim's root."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/") or not one or not other


def parse_place(uri: str) -> Place:
    """The place that an existing service names, as KServe reads it: up to the first slash the claim, then the path.

    A trailing slash is dropped; KServe keeps it in the mount's subPath, where it means the same directory.

    Raises:
        UsageError: `NotAPlace`, when it is not of the form or names no possible claim.
    """
    claim, path = _parts(uri)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _not_a_place(uri, "its path must not contain '..'")
    return Place(claim, "/".join(parts))


def parse_target(uri: str) -> Place:
    """The place to load a model to: as `parse_place`, and the path must be one that pvserve writes to.

    `pvc://CLAIM` leaves the path open, which then is the model directory's name.

    Raises:
        UsageError: `NotAPlace`.
    """
    claim, path = _parts(uri)
    if uri == SCHEME + claim:
        return Place(claim)
    try:
        return Place(claim, model_path(path))
    except ValueError as error:
        raise _not_a_place(uri, f"its path {error}") from None


def _parts(uri: str) -> tuple[str, str]:
    if not uri.startswith(SCHEME):
        raise _not_a_place(uri, "it does not begin with pvc://")
    claim, _, path = uri.removeprefix(SCHEME).partition("/")
    try:
        return object_name(claim), path
    except ValueError as error:
        raise _not_a_place(uri, f"the claim's name {error}") from None


def _not_a_place(uri: str, why: str) -> UsageError:
    return UsageError(
        "NotAPlace",
        f"{uri!r:.300} is no place on a claim: {why}",
        subject=uri[:300],
        remedy=("write pvc://CLAIM/PATH, for example pvc://vllm-model-cache/granite-7b-lab",),
    )
