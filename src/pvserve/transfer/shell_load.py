"""A load through a pod that has no Python: parts of large files and archives of small ones, each proven by a digest.

Owns the order of a shell's load; it leaves on the volume what the agent's leaves (docs/on-volume-format.md). Slower:
one exec per part, two at a time. Must not replace other content, since a shell cannot exchange two names at once.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pvserve.model import Manifest, manifest_digest, to_json, to_sha256sums
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import Broken
from pvserve.transfer.ask import Ask, key_of
from pvserve.transfer.ends import manifest_from
from pvserve.transfer.judging import TRIES
from pvserve.transfer.looking import Look
from pvserve.transfer.progress import Progress
from pvserve.transfer.shell import SILENT_SECONDS, Shell, batches, digests, list_files, look_with, parse_state
from pvserve.transfer.shell_packs import archive, packs
from pvserve.transfer.sourcing import read_exactly, read_whole, reading
from pvserve.transfer.values import Reach

MIB = 1 << 20
PART = 16 * MIB
SMALL = MIB
WORKERS = 2
SLOW = 64 << 10  # bytes per second of the slowest link that is waited for
_NOTE = re.compile(rb"(\d{1,9}) (x|\d{1,9} [0-9a-f]{64})")


class ShellEnd:
    """The pod's shell; satisfies `ends.End`."""

    channel = "shell"

    def __init__(self, ask: Ask, reach: Reach, progress: Progress) -> None:
        self.sent = 0
        self._ask = ask
        self._entries = ask.listing.entries
        self._progress = progress
        self._shell = Shell(reach, ask.target)
        self._home = f".pvserve/models/{key_of(ask.target.path)}"
        self._shelf = f".pvserve/partial/{ask.transfer}"
        self._epoch = f"{ask.epoch:012d}"
        self._partial = f"{self._shelf}/{self._epoch}"
        self._files = f"{self._partial}/files"
        self._parts: dict[int, dict[int, str]] = {}  # file -> part -> sha256 of what is durable
        self._count = threading.Lock()

    def look(self, *, rows: bool, digests: bool) -> Look:
        """What lies at the path."""
        return look_with(self._shell, self._ask.target, rows=rows, digests=digests)

    def close(self) -> None:
        """End what runs."""
        self._shell.close()

    def digest_source(self) -> None:
        """No source lies in a pod that has a mere shell."""
        raise AssertionError("a copy needs the agent")

    def adopt(self, manifest: Manifest) -> None:
        """Write the manifest beside files that are right already."""
        self._check_alone()
        self._write_version(manifest)
        self._mark(manifest)

    def settle(self, seen: Look) -> None:
        """Bring to an end what the publisher of the files at the path was stopped in."""
        if seen.unsettled and seen.manifest is not None:
            self._shell.say("begin", self._shelf, self._epoch)  # fails where a later writer is at work
            self._mark(seen.manifest)
            self._tidy()

    def send(self) -> Manifest:
        """Send what is missing and publish."""
        self._check_alone()
        self._refuse_replace()
        try:
            have = self._begin()
            self._send_all(have)
            manifest = manifest_from(self._ask)
            self._publish(manifest)
            return manifest
        finally:
            self._progress.restart()

    def _check_alone(self) -> None:
        self._shell.say("alone", self._ask.target.path, ".pvserve/models")

    def _refuse_replace(self) -> None:
        if self.look(rows=False, digests=False).kind == "directory":
            if list_files(self._shell, self._ask.target.path):
                raise causes.cannot_replace(self._ask.target)
        elif self.look(rows=False, digests=False).kind == "other":
            raise causes.cannot_replace(self._ask.target)

    def _begin(self) -> set[str]:
        """Take the partial transfer over; the names of files that lie in it."""
        notes = self._shell.say("begin", self._shelf, self._epoch)
        for line in notes.split(b"\n"):
            match = _NOTE.fullmatch(line)
            number = int(match[1]) if match else -1
            if match is None or not 0 <= number < len(self._entries):
                continue
            if match[2] == b"x":
                self._parts.pop(number, None)
            else:
                part, digest = match[2].decode("ascii").split(" ")
                self._parts.setdefault(number, {})[int(part)] = digest
        have = set(list_files(self._shell, self._files))
        there = {
            number: self._entries[number].size if self._entries[number].size <= SMALL else len(parts) * PART
            for number, parts in self._parts.items()
        }
        state = parse_state(self._shell.say("state", self._ask.target.path, self._home))
        causes.check_room(self._ask.target, [found.size for found in self._entries], there, state)
        new = [found.path for found in self._entries if found.path not in have]
        causes.check_inodes(self._ask.target, new, state["inodes"])
        return have

    def _send_all(self, have: set[str]) -> None:
        self._progress.phase = "send"
        directories = sorted({found.path.rpartition("/")[0] for found in self._entries} - {""})
        for batch in batches(directories):
            self._shell.names("make", self._files, batch)
        small = [number for number, found in enumerate(self._entries) if found.size <= SMALL]
        large = [number for number, found in enumerate(self._entries) if found.size > SMALL]
        work: list[Callable[[], None]] = [lambda number=number: self._send_large(number) for number in large]  # type: ignore[misc]
        work += [lambda pack=pack: self._send_pack(pack, have) for pack in packs(self._entries, small)]  # type: ignore[misc]
        pool = ThreadPoolExecutor(WORKERS)
        try:
            for done in [pool.submit(task) for task in work]:
                done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _send_large(self, number: int) -> None:
        """Parts that are not there yet, then the whole file as the volume gives it back."""
        found = self._entries[number]
        for _ in range(TRIES):
            there = self._parts.pop(number, {})
            self._progress.reused(number, min(found.size, len(there) * PART))
            began = time.time_ns()
            ours = self._ask.known[number] = self._send_parts(number, there)
            theirs = digests(self._shell, self._files, [found.path], found.size)[0]
            if theirs == ours:
                self._good(number, began)
                if found.executable:
                    self._shell.say("mode", self._files, found.path)
                return
            self._progress.lost(number)
            self._shell.say("forget", self._partial, found.path, f"{number} x")
        raise causes.differs(self._ask.target, found.path, ours, theirs or "unreadable")

    def _send_parts(self, number: int, there: dict[int, str]) -> str:
        """Send; the source's digest."""
        found = self._entries[number]
        whole = hashlib.sha256()
        buffer = bytearray(PART)
        with reading(found) as handle:
            for part, offset in enumerate(range(0, found.size, PART)):
                size = min(PART, found.size - offset)
                with memoryview(buffer) as view:
                    read_exactly(handle, view[:size], offset, found)
                    whole.update(view[:size])
                    data = bytes(view[:size])
                digest = hashlib.sha256(data).hexdigest()
                if there.get(part) != digest:
                    self._send_part(number, part, data, digest)
        return whole.hexdigest()

    def _send_part(self, number: int, part: int, data: bytes, digest: str) -> None:
        found = self._entries[number]
        place = [self._partial, found.path, str(part * (PART // MIB)), str(len(data))]
        for _ in range(TRIES):
            answer = self._shell.say(
                "part", *place, digest, f"{number} {part} {digest}", data=data, seconds=_patience(len(data))
            )
            self._sent(len(data))
            if answer.strip() == digest.encode("ascii"):
                self._progress.durable(number, len(data))
                return
        raise causes.differs(self._ask.target, found.path, digest, answer[:64].decode("ascii", "replace"))

    def _send_pack(self, numbers: list[int], have: set[str]) -> None:
        """Small files in one archive, those that are not there yet; then all as the volume gives them back."""
        began = time.time_ns()
        contents = {number: read_whole(self._entries[number]) for number in numbers}
        for number, data in contents.items():
            self._ask.known[number] = hashlib.sha256(data).hexdigest()
        there = [number for number in numbers if self._entries[number].path in have]
        missing = sorted({*numbers} - {*self._judge(there)})
        for number in {*numbers} - {*missing}:
            self._progress.reused(number, self._entries[number].size)
        for _ in range(TRIES):
            if not missing:
                break
            self._send_archive({number: contents[number] for number in missing})
            missing = sorted({*missing} - {*self._judge(missing)})
        else:
            if missing:
                lost = self._entries[missing[0]].path
                raise causes.differs(self._ask.target, lost, self._ask.known[missing[0]], "something else")
        for number in numbers:
            self._good(number, began)

    def _send_archive(self, contents: dict[int, bytes]) -> None:
        packed = archive(self._entries, contents)
        self._shell.say("pack", self._files, str(len(packed)), data=packed, seconds=_patience(len(packed)))
        for batch in batches([self._entries[number].path for number in contents]):
            self._shell.names("fsync", self._files, batch)
        self._sent(sum(map(len, contents.values())))

    def _judge(self, numbers: Sequence[int]) -> list[int]:
        """Those whose files on the volume have the source's digest."""
        by_path = {self._entries[number].path: number for number in numbers}
        good = []
        for batch in batches(list(by_path)):
            size = sum(self._entries[by_path[path]].size for path in batch)
            sums = zip(batch, digests(self._shell, self._files, batch, size), strict=True)
            good += [by_path[path] for path, digest in sums if digest == self._ask.known[by_path[path]]]
        return good

    def _good(self, number: int, began: int) -> None:
        found, digest = self._entries[number], self._ask.known[number]
        if found.promised_sha256 and digest != found.promised_sha256:
            raise causes.damaged(found, digest)
        with self._count:
            self._ask.cache.put(found, digest, read_at_ns=began)
        self._progress.complete([(number, found.size)])

    def _sent(self, size: int) -> None:
        with self._count:
            self.sent += size

    def _publish(self, manifest: Manifest) -> None:
        """The order of the agent's publish: version, intent, rename, marker, tidying up."""
        self._progress.phase = "publish"
        self._check_alone()
        self._check_complete()
        self._write_version(manifest)
        inode = self._shell.say("inode", self._files).split()
        if not inode or not inode[0].isdigit():
            raise Broken("the loader pod's ls answers no inode")
        intent = {
            "to": manifest_digest(manifest).removeprefix("sha256:"),
            "inode": int(inode[0]),
            "old": 0,
            "kept": "",
            "partial": f"{self._ask.transfer}/{self._epoch}",
        }
        self._write(f"{self._home}/publishing", json.dumps(intent))
        self._shell.say("publish", self._files, self._ask.target.path, seconds=SILENT_SECONDS * 5)
        self._mark(manifest)
        self._tidy()

    def _tidy(self) -> None:
        place = self._ask.transfer.partition("-")[0]
        self._shell.say("tidy", ".pvserve/partial", place, f"{self._home}/publishing")

    def _check_complete(self) -> None:
        """Exactly the files that were verified lie there."""
        there, wanted = set(list_files(self._shell, self._files)), {found.path for found in self._entries}
        for batch in batches(sorted(there - wanted)):
            self._shell.names("remove", self._files, batch)
        if missing := sorted(wanted - there):
            told = {"code": "Unsafe", "path": missing[0], "text": "is gone after it was verified"}
            raise causes.failure(told, self._ask.target)

    def _write_version(self, manifest: Manifest) -> None:
        here = f"{self._home}/{manifest_digest(manifest).removeprefix('sha256:')}"
        self._write(f"{here}/manifest.json", to_json(manifest))
        self._write(f"{here}/SHA256SUMS", to_sha256sums(manifest))

    def _mark(self, manifest: Manifest) -> None:
        self._write(f"{self._home}/path", self._ask.target.path)
        self._write(f"{self._home}/current", manifest_digest(manifest).removeprefix("sha256:") + "\n")

    def _write(self, path: str, text: str) -> None:
        data = text.encode()
        digest = hashlib.sha256(data).hexdigest()
        self._shell.say("file", path, str(len(data)), digest, data=data, seconds=_patience(len(data)))


def _patience(size: int) -> float:
    return SILENT_SECONDS + size / SLOW
