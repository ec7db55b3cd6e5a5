"""Owns the image format: a directory becomes a layer, layers become a docker-archive.

Equal content gives equal bytes: entries are sorted, times are one fixed time, owners are root. Knows no recipe.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed.images.programs import run

TIME = 1700000000  # seconds since 1970 of every file; not 0, because zip refuses times before 1980
WRITABLE = ("tmp", "var/tmp")


@dataclass(frozen=True)
class Layer:
    """A tar file with its sha256: what containerd stores once, however many images hold it."""

    path: Path
    digest: str


def write_layer(root: Path, target: Path) -> Layer:
    """Write everything below `root` to the tar file `target`: any user may read it, and write to WRITABLE only."""
    run(["chmod", "-R", "a+rX,u+w,go-w", root], doing=f"opening {root} to any user id")
    for name in WRITABLE:
        if (root / name).is_dir():
            (root / name).chmod(0o1777)
    argv = ["tar", "--sort=name", f"--mtime=@{TIME}", "--owner=0", "--group=0", "--numeric-owner", "--format=posix"]
    argv += ["--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f"]  # no process id in the header names
    argv += ["--hard-dereference", "-C", str(root), "-cf", str(target), "."]
    run(argv, doing=f"writing the layer of {root}")
    return read_layer(target)


def read_layer(path: Path) -> Layer:
    """Return the layer in the tar file `path`."""
    with path.open("rb") as file:
        return Layer(path, hashlib.file_digest(file, "sha256").hexdigest())


def write_archive(
    target: Path, reference: str, layers: Sequence[Layer], config: Mapping[str, Any], architecture: str
) -> None:
    """Write a docker-archive of one image.

    `layers` go bottom first; `config` is the image configuration's own `config` object (Env, Entrypoint, User ...).
    """
    image = {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
    }
    config_json = json.dumps(image, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_json).hexdigest()}.json"
    names = [f"{layer.digest}/layer.tar" for layer in layers]
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": names}]
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
        _add_bytes(archive, config_name, config_json)
        for name, layer in zip(names, layers, strict=True):
            with layer.path.open("rb") as file:
                archive.addfile(_entry(name, layer.path.stat().st_size), file)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, len(content)), io.BytesIO(content))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, TIME, 0o644
    return entry
