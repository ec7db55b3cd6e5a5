"""The Hugging Face cache: `models--ORG--NAME/{blobs,refs,snapshots/REVISION}`, and what its names promise.

Owns that layout (huggingface_hub, "Understand caching"). Reads directories and two-line files, never model files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from pvserve.errors import UsageError
from pvserve.model.contain import shown

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Snapshot:
    """One revision in the cache; its files are links into `blobs`, which lies outside of it."""

    directory: str
    blobs: str
    repository: str  # ORG/NAME
    revision: str

    @property
    def source(self) -> str:
        """Where the bytes came from, for the manifest."""
        return f"hf://{self.repository}@{self.revision}"

    @property
    def name(self) -> str:
        """The model's name, without its organisation."""
        return self.repository.rsplit("/", 1)[-1]


def snapshot_of(directory: str) -> Snapshot | None:
    """The snapshot that `directory` (absolute, no links) is, or holds as a repository of the cache; None elsewhere.

    Raises:
        UsageError: `WhichSnapshot`, `NoSnapshot` or `WhichModel`, where the choice is the user's.
    """
    parent, revision = os.path.split(directory)
    repository = os.path.dirname(parent)
    if os.path.basename(parent) == "snapshots" and _is_repository(repository):
        return _snapshot(repository, revision)
    if _is_repository(directory):
        return _snapshot(directory, _choose(directory))
    if models := [name for name in _names(directory) if name.startswith("models--")]:
        raise UsageError(
            "WhichModel",
            f"{shown(directory)} is a Hugging Face cache with {len(models)} models, not a model",
            subject=directory,
            remedy=("give one of them:", *(f"  {os.path.join(directory, name)}" for name in models[:20])),
        )
    return None


def promised_sha256(real: str, snapshot: Snapshot) -> str:
    """The sha256 that the name of blob `real` promises: LFS blobs bear their digest; "" for the others (git ids)."""
    directory, name = os.path.split(real)
    return name if directory == snapshot.blobs and _SHA256.fullmatch(name) else ""


def unfinished(snapshot: Snapshot) -> tuple[str, ...]:
    """Downloads into this repository that were begun and not finished."""
    return tuple(name for name in _names(snapshot.blobs) if name.endswith(".incomplete"))


def _is_repository(directory: str) -> bool:
    name = os.path.basename(directory)
    return name.startswith("models--") and os.path.isdir(os.path.join(directory, "snapshots"))


def _snapshot(repository: str, revision: str) -> Snapshot:
    name = os.path.basename(repository).removeprefix("models--").replace("--", "/", 1)
    return Snapshot(
        directory=os.path.join(repository, "snapshots", revision),
        blobs=os.path.join(repository, "blobs"),
        repository=name,
        revision=revision,
    )


def _choose(repository: str) -> str:
    """The revision that `refs/main` names, or the only one there is."""
    snapshots = os.path.join(repository, "snapshots")
    revisions = _names(snapshots)
    try:
        with open(os.path.join(repository, "refs", "main"), encoding="ascii", errors="replace") as file:
            main = file.read(200).strip()
    except OSError:
        main = ""
    if main in revisions:
        return main
    if len(revisions) == 1:
        return revisions[0]
    if not revisions:
        raise UsageError(
            "NoSnapshot",
            f"{shown(repository)} holds no snapshot: the download was not finished",
            subject=repository,
            remedy=(f"hf download {os.path.basename(repository).removeprefix('models--').replace('--', '/', 1)}",),
        )
    raise UsageError(
        "WhichSnapshot",
        f"{shown(repository)} holds {len(revisions)} revisions and no refs/main that names one of them",
        subject=repository,
        remedy=("give one of them:", *(f"  {os.path.join(snapshots, revision)}" for revision in revisions[:20])),
    )


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
