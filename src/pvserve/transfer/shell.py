"""A pod that has no Python, looked into by short commands of its shell.

Owns what `remote.sh` is told and what its answers mean. Must not write (`shell_load` does), nor believe an exit code.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

from pvserve.errors import PvserveError, Temporary
from pvserve.model import from_json, manifest_digest, shown
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import Broken
from pvserve.transfer.ask import key_of
from pvserve.transfer.looking import MANIFEST_LIMIT, ROWS_LIMIT, Look, Row
from pvserve.transfer.values import STDERR, ExecStream, Reach, Target

SILENT_SECONDS = 120.0  # for any answer; digests get more, by size
SLOW = 4 << 20  # bytes per second that a volume gives back at the least
ANSWER_LIMIT = 64 << 20
BATCH_NAMES, BATCH_BYTES = 400, 60_000  # below the 128 KiB that one argument list always holds
ODD = re.compile(r"[\\\n\r]")
_SUM = re.compile(r"\\?([0-9a-f]{64})(?: .*)?")
_FREE = re.compile(r"(\d+)\s+(\d+)\s+(-?\d+)\s+(?:\d+%|-)\s+/")
_ERRNOS = {  # the C locale's words of glibc and musl
    "No space left on device": errno.ENOSPC,
    "uota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
    "Operation not permitted": errno.EPERM,
}
# The script comes on stdin in front of the data: read byte by byte, so that nothing of the data is taken.
_START = 'eval "$(dd bs=1 count="$0" 2>/dev/null)"'


@cache
def script() -> bytes:
    """remote.sh without its comments."""
    text = (resources.files("pvserve.transfer") / "remote.sh").read_text("ascii")
    return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("#")).encode("ascii")


class Shell:
    """Verbs of remote.sh in one pod; `close` from another thread ends those that run."""

    def __init__(self, reach: Reach, target: Target) -> None:
        self._reach = reach
        self._target = target
        self._lock = threading.Lock()
        self._running: set[ExecStream] = set()
        self._closed = False

    def say(self, verb: str, *arguments: str, data: bytes = b"", seconds: float = SILENT_SECONDS) -> bytes:
        """What the verb answered, without the "ok" that proves it ran to its end."""
        argv = ["sh", "-c", _START, str(len(script())), verb, self._target.mount, *arguments]
        try:
            out, err, code = self._run(argv, script() + data, seconds)
        except Temporary as error:
            raise Broken(str(error)) from error
        if out.endswith(b"ok\n"):
            return out[:-3]
        raise self._trouble(out, err.decode("utf-8", "replace").strip(), code)

    def names(self, verb: str, directory: str, names: Sequence[str], seconds: float = SILENT_SECONDS) -> bytes:
        """A verb that takes names."""
        data = b"".join(b"./" + os.fsencode(name) + b"\0" for name in names)
        return self.say(verb, directory, str(len(data)), data=data, seconds=seconds)

    def close(self) -> None:
        """End what runs; later verbs are Broken."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for stream in running:
            with contextlib.suppress(OSError, PvserveError):
                stream.close()

    def _run(self, argv: list[str], data: bytes, seconds: float) -> tuple[bytes, bytes, int | None]:
        stream = self._reach.stream(argv)
        with self._lock:
            if self._closed:
                stream.close()
                raise Broken("the session is over")
            self._running.add(stream)
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended early, and says why below
                stream.write(data)
            out, err = _answer(stream, seconds)
            return out, err, stream.returncode
        finally:
            with self._lock:
                self._running.discard(stream)
            with contextlib.suppress(OSError):
                stream.close()

    def _trouble(self, out: bytes, err: str, code: int | None) -> Exception:
        word, _, number_word = out[-40:].decode("ascii", "replace").strip().rpartition("\n")[2].partition(" ")
        if word == "overtaken":
            later = int(number_word) if number_word.isdecimal() else 0
            return causes.failure({"code": "Overtaken", "epoch": later}, self._target)
        if word == "occupied":
            return causes.cannot_replace(self._target)
        if word == "entangled":
            other = out.decode("utf-8", "replace").rstrip("\n").rpartition("\n")[0]
            return causes.entangled(shown(other), self._target)
        if word == "link":
            told = {
                "code": "Unsafe",
                "path": self._target.path,
                "text": "or what is being loaded there leads elsewhere",
            }
            return causes.failure(told, self._target)
        number = next((number for text, number in _ERRNOS.items() if text in err), 0)
        if number:
            return causes.failure({"errno": number, "text": err, "path": self._target.path}, self._target)
        if code is None or word == "short" or not err:
            return Broken(f"a command in the loader pod ended early: {shown(err[-200:])}")
        if code == 127 and not out:
            return PvserveError(
                "NoShell",
                f"the loader pod has neither Python 3.8 or newer nor a shell: {shown(err[-300:])}",
                remedy=("add --image with an image that has one of them",),
            )
        return causes.failure({"code": "shell", "text": err}, self._target)


def _answer(stream: ExecStream, seconds: float) -> tuple[bytes, bytes]:
    """All output, bounded."""
    out, err = bytearray(), bytearray()
    deadline = time.monotonic() + seconds
    while True:
        got = stream.read(timeout=1.0)
        if got is None:
            if stream.returncode is not None:
                break
            if time.monotonic() > deadline:
                raise Broken(f"a command in the loader pod said nothing for {seconds:.0f} s")
            continue
        channel, data = got
        if channel == STDERR:
            err = (err + data)[-4096:]
            continue
        if not data:
            break
        out += data
        if len(out) > ANSWER_LIMIT + MANIFEST_LIMIT:
            raise Broken("the loader pod's answer has no end")
    with contextlib.suppress(OSError, PvserveError):
        while not out.endswith(b"ok\n") and (got := stream.read(timeout=0.2)) and got[1]:
            err = (err + got[1])[-4096:] if got[0] == STDERR else err
    return bytes(out), bytes(err)


def batches(rows: Sequence[str]) -> Iterator[list[str]]:
    """Names in the numbers that one command takes."""
    batch: list[str] = []
    size = 0
    for name in rows:
        if batch and (len(batch) == BATCH_NAMES or size + len(name) * 4 > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += len(name) * 4
    if batch:
        yield batch


def digests(shell: Shell, directory: str, names: Sequence[str], size: int) -> list[str]:
    """The sha256 of each file as the volume gives it back, "" for one that cannot be read."""
    seconds = SILENT_SECONDS + size / SLOW
    if not any(ODD.search(name) for name in names):
        with contextlib.suppress(PvserveError):  # one cannot be read: ask for each
            return _sums(shell.names("digest", directory, names, seconds), len(names))
    return _sums(shell.names("digest-each", directory, names, seconds), len(names))


def _sums(answer: bytes, count: int) -> list[str]:
    lines = answer.decode("utf-8", "replace").splitlines() if count else []
    matches = [_SUM.fullmatch(line) for line in lines]
    if len(lines) != count or not all(
        match or line == "unreadable" for match, line in zip(matches, lines, strict=True)
    ):
        raise Broken("the loader pod's sha256sum answers something else than digests")
    return [match[1] if match else "" for match in matches]


def list_files(shell: Shell, directory: str) -> list[str]:
    """The names of the regular files below a directory."""
    return _names(shell.say("names", directory))


def _names(answer: bytes) -> list[str]:
    found = [name.removeprefix("./") for name in os.fsdecode(answer).split("\0")]
    if found.pop() or len(found) > ROWS_LIMIT:
        raise Broken("the loader pod's find answers something else than names")
    return found


def shell_look(reach: Reach, target: Target, *, rows: bool = True, digests: bool = False) -> Look:
    """One survey of a path by a shell, as `looking.look` does by the agent.

    Raises:
        PvserveError: the shell could not look. DataDiffers, Refused: the manifest is damaged or too new.
    """
    return look_with(Shell(reach, target), target, rows=rows, digests=digests)


def look_with(shell: Shell, target: Target, *, rows: bool, digests: bool) -> Look:
    """The same, with a shell that is there."""
    home = f".pvserve/models/{key_of(target.path)}"
    state = parse_state(shell.say("state", target.path, home))
    current = state["current"] if state["kind"] == "directory" else ""
    intent = _intent(shell, home) if state["kind"] == "directory" else {}
    if intent and intent.get("inode") == state["inode"]:
        current = str(intent.get("to"))
    manifest = None
    if current:
        text = shell.say("text", f"{home}/{current}/manifest.json", str(MANIFEST_LIMIT))
        manifest = from_json(text, subject=f"the manifest of {target}")
        if manifest_digest(manifest) != f"sha256:{current}":
            raise Broken("the marker on the volume names another manifest than the one beside it")
    listed = rows and state["kind"] == "directory"
    return Look(
        kind=state["kind"],
        current=current,
        manifest=manifest,
        rows=tuple(sorted(_rows(shell, target.path, digests), key=lambda row: row.path)) if listed else (),
        free_bytes=state["free"],
        free_inodes=state["inodes"],
        uid=state["uid"],
        gids=state["gids"],
        # What was replaced may still lie in the partial transfer: only the agent puts that away.
        unsettled=bool(intent) and not intent.get("kept"),
    )


def _intent(shell: Shell, home: str) -> dict[str, Any]:
    try:
        found = json.loads(shell.say("text", f"{home}/publishing", "65536") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _rows(shell: Shell, directory: str, digest: bool) -> Iterator[Row]:
    for path in _names(shell.say("others", directory)):
        yield Row(path, 0, False, "", "is no regular file")
    for batch in batches(list_files(shell, directory)):
        sizes = shell.names("sizes", directory, batch).decode("ascii", "replace").splitlines()
        readable = shell.names("readable", directory, batch).decode("ascii", "replace").splitlines()
        facts = [re.fullmatch(r"(\d{1,18}) ([0-7]{1,5})", line) for line in sizes]
        if not len(facts) == len(readable) == len(batch) or not all(facts):
            raise Broken("the loader pod's stat answers something else than sizes")
        total = sum(int(fact[1]) for fact in facts if fact)
        sums = digests(shell, directory, batch, total) if digest else [""] * len(batch)
        for path, fact, may, sha256 in zip(batch, facts, readable, sums, strict=True):
            assert fact is not None
            fault = "" if may == "r" and (sha256 or not digest) else "Permission denied"
            yield Row(path, int(fact[1]), bool(int(fact[2], 8) & 0o100), sha256, fault)


def parse_state(answer: bytes) -> dict[str, Any]:
    """The answer of the verb `state`."""
    try:
        kind, inode, current, blocks, inodes, uid, gids = answer.decode("utf-8", "replace").splitlines()
        size, _, free = _free(blocks)
        return {
            "kind": kind if kind in ("directory", "nothing") else "other",
            "inode": int(inode.split()[0]) if inode else 0,
            "current": current if re.fullmatch(r"[0-9a-f]{64}", current) else "",
            "free": free * 1024,
            "size": size * 1024,
            "block": 4096,
            "inodes": _free(inodes)[2] if _FREE.search(inodes) and _free(inodes)[0] else -1,
            "uid": int(uid),
            "gids": tuple(sorted(int(gid) for gid in gids.split())),
        }
    except (ValueError, IndexError) as error:
        raise Broken("the loader pod's shell answers something else than the state of the volume") from error


def _free(line: str) -> tuple[int, int, int]:
    match = _FREE.search(line)
    if not match:
        raise ValueError(line)
    return int(match[1]), int(match[2]), int(match[3])
