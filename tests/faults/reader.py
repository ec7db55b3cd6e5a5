"""The independent reader: what lies on a volume, by the documented format alone (docs/on-volume-format.md).

Shares no code with pvserve, so that a mistake there cannot hide itself. Gives violations of the invariants as words.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

HEX = re.compile(r"[0-9a-f]{64}")
TRANSFER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
EPOCH = re.compile(r"[0-9]{12}")
KEPT = re.compile(r"[0-9]+-([0-9a-f]{12}|foreign)")


@dataclass
class Seen:
    """One path of a claim: the digests of its files, the version it claims to be, and what is wrong with it."""

    files: dict[str, str] | None  # None: nothing is there
    version: str = ""
    wrong: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    publishing: bool = False


def digests(root: Path) -> dict[str, str]:
    """sha256 by path of every file below, with `x` behind it for an executable one."""
    found = {}
    for here, directories, names in os.walk(root):
        for name in [*names, *directories]:
            path = Path(here, name)
            info = path.lstat()
            if stat.S_ISDIR(info.st_mode):
                continue
            if not stat.S_ISREG(info.st_mode):
                found[str(path.relative_to(root))] = f"no regular file: {info.st_mode:o}"
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[str(path.relative_to(root))] = digest + ("x" if info.st_mode & 0o100 else "")
    return found


def key(path: str) -> str:
    """A path as one file name."""
    quoted = quote(path, safe="")
    return quoted if len(quoted) <= 200 else "sha256-" + hashlib.sha256(path.encode()).hexdigest()


def version_of(text: bytes) -> tuple[str, dict[str, str]]:
    """A manifest's identity, computed, and its files."""
    statement = json.loads(text)
    resources = statement["predicate"]["resources"]
    rows = sorted([r["name"], r["size"], r["digest"], r["executable"]] for r in resources)
    identity = hashlib.sha256(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
    if statement["predicate"]["pvserve"]["digest"] != f"sha256:{identity}":
        raise ValueError("a manifest names another digest than its own")
    return identity, {name: digest + ("x" if executable else "") for name, _, digest, executable in rows}


def read(claim: Path, path: str) -> Seen:
    """What a reader finds at `path`, believing a version only where its marker and manifest agree."""
    top = claim / path
    seen = Seen(digests(top) if top.is_dir() else None)
    home = claim / ".pvserve/models" / key(path)
    _read_partials(claim, seen, path)
    intent = _intent(home / "publishing")
    seen.publishing = intent is not None
    if seen.files is None:
        return seen
    marker = home / "current"
    seen.version = marker.read_text().strip() if marker.is_file() else ""
    if intent and top.stat().st_ino == intent["inode"]:
        seen.version = intent["to"]
    if seen.version:
        _compare(home, seen)
    return seen


def _intent(path: Path) -> dict | None:
    if not path.is_file():
        return None
    intent = json.loads(path.read_text())
    assert HEX.fullmatch(intent["to"])
    assert isinstance(intent["inode"], int)
    return intent


def _compare(home: Path, seen: Seen) -> None:
    if not HEX.fullmatch(seen.version):
        seen.wrong.append(f"I1 the marker is no digest: {seen.version!r}")
        return
    manifest = home / seen.version / "manifest.json"
    if not manifest.is_file():
        seen.wrong.append("I1 the marker names a version without a manifest")
        return
    try:
        identity, wanted = version_of(manifest.read_bytes())
    except (ValueError, KeyError) as error:
        seen.wrong.append(f"I1 the manifest is damaged: {error}")
        return
    if identity != seen.version:
        seen.wrong.append("I1 the manifest is another than the marker says")
    if wanted != seen.files:
        differing = sorted(name for name in {*wanted, *seen.files} if wanted.get(name) != seen.files.get(name))
        seen.wrong.append(f"I1 {len(differing)} published files differ from the manifest, as {differing[0]!r}")
    sums = home / seen.version / "SHA256SUMS"
    if not sums.is_file() or len(sums.read_text().splitlines()) != len(wanted):
        seen.wrong.append("I1 SHA256SUMS is missing or has not a line per file")


def _read_partials(claim: Path, seen: Seen, path: str) -> None:
    shelf = claim / ".pvserve/partial"
    place = hashlib.sha256(path.encode()).hexdigest()[:16]
    if shelf.is_dir():
        seen.partial = [name for name in os.listdir(shelf) if name.startswith(place)]


def left_behind(claim: Path, *paths: str, tenants: tuple[str, ...] = ()) -> list[str]:
    """I4: whatever on the claim has no place in the documented layout. `tenants` are the test's own files."""
    wrong = []
    known = {".pvserve", "lost+found", *tenants, *(path.partition("/")[0] for path in paths)}
    wrong += [f"I4 left at the root: {name!r}" for name in os.listdir(claim) if name not in known]
    meta = claim / ".pvserve"
    if not meta.is_dir():
        return wrong
    wrong += [f"I4 left in .pvserve: {name!r}" for name in os.listdir(meta) if name not in _LAYOUT]
    for name, check in _LAYOUT.items():
        if (meta / name).is_dir():
            wrong += check(meta / name)
    return wrong


def _models(where: Path) -> list[str]:
    wrong = []
    for home in where.iterdir():
        for entry in home.iterdir():
            known = entry.name in ("current", "publishing", "path") or entry.name.startswith(".")
            if not (known or HEX.fullmatch(entry.name)):
                wrong.append(f"I4 left in models: {home.name}/{entry.name}")
            if HEX.fullmatch(entry.name):
                inner = {name for name in os.listdir(entry) if not name.startswith(".")}
                if inner - {"manifest.json", "SHA256SUMS", "stamps"}:
                    wrong.append(f"I4 left in a version: {sorted(inner)}")
    return wrong


def _partials(where: Path) -> list[str]:
    wrong = []
    for transfer in where.iterdir():
        if not TRANSFER.fullmatch(transfer.name):
            wrong.append(f"I4 left in partial: {transfer.name}")
            continue
        for epoch in transfer.iterdir():
            if not EPOCH.fullmatch(epoch.name):
                wrong.append(f"I4 left in a transfer: {epoch.name}")
                continue
            inner = set(os.listdir(epoch)) - {"files", "journal", "shell-journal"}
            wrong += [f"I4 left in an epoch: {name}" for name in inner if not name.startswith(".")]
    return wrong


def _replaced(where: Path) -> list[str]:
    return [
        f"I4 left in replaced: {home.name}/{entry.name}"
        for home in where.iterdir()
        for entry in home.iterdir()
        if not KEPT.fullmatch(entry.name)
    ]


_LAYOUT = {"models": _models, "partial": _partials, "replaced": _replaced}


def secrets_seen(secrets: Path, claim: Path, said: Iterable[Path]) -> list[str]:
    """I6: none of the lines of `secrets` is in what pvserve wrote beside the models, in what was said, in arguments."""
    needles = [line for line in secrets.read_bytes().split(b"\n") if len(line) > 20] if secrets.exists() else []
    if not needles:
        return []
    own = [Path(here, name) for here, _, names in os.walk(claim / ".pvserve") if "/files" not in here for name in names]
    wrong = []
    for path in [*own, *said, *Path("/proc").glob("[0-9]*/cmdline")]:
        with contextlib.suppress(OSError):  # a process that has ended, or a volume that is cut off
            text = path.read_bytes()
            wrong += [f"I6 a secret of a transfer is in {path}" for needle in needles if needle in text]
    return wrong


def settled(claim: Path, path: str) -> list[str]:
    """I4 after a finished command: no partial transfer, no intent, no half-written file of this path."""
    seen = read(claim, path)
    wrong = [f"I4 a partial transfer stays: {name}" for name in seen.partial]
    if seen.publishing:
        wrong.append("I4 an intent to publish stays")
    home = claim / ".pvserve/models" / key(path)
    for here, _, names in os.walk(home):
        wrong += [
            f"I4 a half-written file stays: {Path(here, name).relative_to(home)}" for name in names if name[0] == "."
        ]
    return wrong
