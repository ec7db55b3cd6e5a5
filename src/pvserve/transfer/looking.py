"""What lies on a volume, asked of the agent and judged here.

Owns the survey's answer: bounded, checked, made safe to show. Must not change the volume.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pvserve.errors import Temporary
from pvserve.model import Entry, Manifest, from_json, manifest_digest, shown
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import FAIL, PING, SEEN, SURVEY, SURVEYED, TEXT, Broken, Wire
from pvserve.transfer.answers import twice, understood
from pvserve.transfer.ask import place_of
from pvserve.transfer.values import Level, Reach, Target, VolumeReport

MANIFEST_LIMIT = 256 << 20
ROWS_LIMIT = 2_000_000
_HEX = re.compile(r"([0-9a-f]{64})?")


@dataclass(frozen=True)
class Row:
    """One file on the volume; `fault` says why it could not be read."""

    path: str
    size: int
    executable: bool
    sha256: str
    fault: str


@dataclass(frozen=True)
class Look:
    """One survey: what is at the path, which version pvserve put there, and what files lie there now."""

    kind: Literal["nothing", "directory", "other"]
    current: str
    manifest: Manifest | None
    rows: tuple[Row, ...]
    free_bytes: int
    free_inodes: int
    uid: int
    gids: tuple[int, ...]
    unsettled: bool = False  # a publisher was stopped, or a partial transfer to this path lies there


def look(
    wire: Wire, target: Target, *, rows: bool, digests: bool, progress: Callable[[int], None] = lambda _size: None
) -> Look:
    """Ask the agent. Raises DataDiffers or Refused where the manifest on the volume is damaged or too new."""
    ask_look(wire, target, rows=rows, digests=digests)
    return looked(wire, target, progress)


def ask_look(wire: Wire, target: Target, *, rows: bool, digests: bool) -> None:
    """The question alone, where others are asked before its answer is waited for."""
    wire.send_json(SURVEY, {**place_of(target), "rows": rows, "digests": digests})


def looked(wire: Wire, target: Target, progress: Callable[[int], None] = lambda _size: None) -> Look:
    """The answer to `ask_look`."""
    text = bytearray()
    found: list[Row] = []
    while True:
        frame = wire.receive()
        if frame.kind == PING:
            progress(frame.offset)
        elif frame.kind == TEXT:
            text += frame.payload
            if len(text) > MANIFEST_LIMIT:
                raise Broken("the agent sends an endless manifest")
        elif frame.kind == SEEN:
            with understood():
                found += [_row(row) for row in frame.json()]
            if len(found) > ROWS_LIMIT:
                raise Broken("the agent sends an endless list")
        elif frame.kind == FAIL:
            raise causes.failure(frame.json(), target)
        elif frame.kind == SURVEYED:
            return _look(frame.json(), bytes(text), tuple(sorted(found, key=lambda row: row.path)), target)
        else:
            raise Broken(f"frame {frame.kind} came out of turn")


def inspect(reach: Reach, path: str, level: Level, *, claim: str = "", mount: str = "/claim") -> VolumeReport:
    """Read a path of a claim through a pod that mounts it, and compare it with the manifest beside it.

    `level`: `full` digests every byte, `quick` compares sizes and executable bits, `list` only lists.

    Raises:
        Temporary: ReadCut, twice. DataDiffers or Refused: the manifest is damaged, or too new to be read.
    """
    target = Target(path, claim or "the claim", mount)

    def cut(why: str) -> Temporary:
        message = f"reading {target} through a pod broke off: {why}"
        return Temporary("ReadCut", message, subject=str(target), remedy=("run the same command again",))

    return twice(lambda: report(_look_once(reach, target, digests=level == "full"), level), cut)


def _look_once(reach: Reach, target: Target, *, digests: bool) -> Look:
    from pvserve.transfer.channels import NoAgent, exec_channel

    try:
        channel = exec_channel(reach, "")
    except NoAgent:
        from pvserve.transfer.shell import shell_look

        return shell_look(reach, target, rows=True, digests=digests)
    try:
        return look(channel.control, target, rows=True, digests=digests)
    finally:
        channel.close()


def report(seen: Look, level: Level) -> VolumeReport:
    """The survey against its manifest."""
    wanted = {entry.path: entry for entry in seen.manifest.entries} if seen.manifest else {}
    there = {row.path: row for row in seen.rows}
    unreadable = [row.path for row in seen.rows if row.fault]
    changed, matches = [], 0
    for path, entry in wanted.items():
        row = there.get(path)
        if row is None or row.fault:
            continue
        same = (row.size, row.executable) == (entry.size, entry.executable)
        if level == "full":
            same = same and row.sha256 == entry.sha256
        if same:
            matches += 1
        else:
            changed.append(path)
    return VolumeReport(
        manifest=seen.manifest,
        matches=matches,
        missing=_safe(wanted.keys() - there.keys()),
        extra=_safe(there.keys() - wanted.keys()),
        changed=_safe(changed),
        unreadable=_safe(unreadable),
        free_bytes=seen.free_bytes,
        free_inodes=seen.free_inodes,
        uid=seen.uid,
        gids=seen.gids,
        exists=seen.kind != "nothing",
        is_directory=seen.kind == "directory",
        level=level,
        found=_found(seen) if level == "full" and seen.manifest is None else None,
    )


def _found(seen: Look) -> Manifest | None:
    """What lies there as a manifest would have it; None where nothing does, or not all of it could be read."""
    if not seen.rows or any(row.fault or not row.sha256 for row in seen.rows):
        return None
    return Manifest(tuple(Entry(row.path, row.size, row.sha256, row.executable) for row in seen.rows))


def _safe(paths: Any) -> tuple[str, ...]:
    return tuple(shown(path) for path in sorted(paths))


def _row(row: Any) -> Row:
    path, size, executable, digest, fault = row
    if not (isinstance(path, str) and isinstance(size, int) and isinstance(digest, str) and _HEX.fullmatch(digest)):
        raise Broken("the agent's answer makes no sense")
    return Row(path, size, bool(executable), digest, shown(str(fault)[:200]) if fault else "")


def _look(answer: Any, text: bytes, rows: tuple[Row, ...], target: Target) -> Look:
    with understood():
        current, space = str(answer["current"]), answer["space"]
        manifest = from_json(text, subject=f"the manifest of {target}") if current else None
        if manifest and manifest_digest(manifest) != f"sha256:{current}":
            raise Broken("the marker on the volume names another manifest than the one beside it")
        return Look(
            kind=answer["kind"] if answer["kind"] in ("directory", "nothing") else "other",
            current=current,
            manifest=manifest,
            rows=rows,
            free_bytes=int(space["free"]),
            free_inodes=int(space["inodes"]),
            uid=int(answer["uid"]),
            gids=tuple(int(gid) for gid in answer["gids"]),
            unsettled=bool(answer.get("unsettled")),
        )
