"""One session with the agent: what it has, what it still needs, and whether what it gave back is right.

Owns the talk over one channel, from the first question to the published version. Must not retry.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from pvserve.errors import PvserveError
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import (
    AGAIN,
    BAD,
    BEGIN,
    CELL,
    CHECKED,
    DONE,
    DURABLE,
    FAIL,
    FILES,
    GOOD,
    HAVE,
    PACKED,
    PING,
    READY,
    SMALL,
    SOURCED,
    STATE,
    Broken,
    Frame,
)  # fmt: skip
from pvserve.transfer.answers import answer, understood
from pvserve.transfer.ask import ROWS, Ask, Written, finish, place_of, send_texts
from pvserve.transfer.channel import Channel
from pvserve.transfer.copier import FarCopier
from pvserve.transfer.jobs import jobs
from pvserve.transfer.judging import Judge
from pvserve.transfer.progress import Phase, Progress
from pvserve.transfer.sender import Job, Sender
from pvserve.transfer.window import Window

SILENT_SECONDS = 60.0  # the agent says something every 5 s
LAST_WORDS_SECONDS = 1.0
_HEX = re.compile(r"[0-9a-f]{64}")


class Session:
    """Sends a listing over an open channel and judges what comes back."""

    def __init__(self, ask: Ask, channel: Channel, progress: Progress) -> None:
        self._ask = ask
        self._entries = ask.listing.entries
        self._channel = channel
        self._control = channel.control
        self._progress = progress
        self._lock = threading.Condition()
        self._judge = Judge(ask, progress, self._moved, self._differs)
        self._window = Window(len(channel.data))
        self._shares = False  # blocks of a source in the pod, as the agent says
        self._digested = 0  # files from the first one on whose digests are known
        self._error: BaseException | None = None
        self._done: dict[str, Any] | None = None
        self._heard = time.monotonic()
        self._deaf = threading.Event()  # nothing more will be heard
        self._sender: Sender | FarCopier = (
            FarCopier(self._entries, ask.known, self._control, self._guarded)
            if ask.source
            else Sender(self._entries, ask.known, channel.data, self._window, self._judge.source_digests, self._fail)
        )

    @property
    def sent(self) -> int:
        """Bytes of file contents that left."""
        return self._sender.sent

    def run(self) -> None:
        """Send what is missing; return when all of the source has its digest, which `finish` waits to see come back."""
        have = self._begin()
        threading.Thread(target=self._guarded, args=(self._listen,), daemon=True).start()
        self._sender.start()
        self._plan(have)
        self._wait(self._is_digested, "send")

    def finish(self) -> None:
        """Wait until every file was read back and found equal; publishing is left to `publish`."""
        self._wait(lambda: self._judge.done, "send")

    def _is_digested(self) -> bool:
        known = self._ask.known
        while self._digested < len(known) and known[self._digested]:
            self._digested += 1
        return self._digested == len(known)

    def tell(self, what: Written) -> None:
        """Send what will be written beside the model; whoever waits next hears why that failed."""
        self._guarded(lambda: send_texts(self._control, what))

    def publish(self, what: Written) -> None:
        """Make what was sent the version at the path; what is written beside it was told."""
        finish(self._control, self._ask, "publish", what)
        self._wait(lambda: self._done is not None, "publish")

    def stop(self) -> None:
        """Let all threads of this session go."""
        self._sender.stop()
        with self._lock:
            self._error = self._error or Broken("the session is over")
            self._lock.notify_all()

    def _begin(self) -> dict[int, list[Any]]:
        source = self._ask.source
        ours = {"transfer": self._ask.transfer, "epoch": self._ask.epoch, "reuse": source is None}
        origin = {"source": {"mount": source.mount, "path": source.path}} if source else {}
        self._control.send_json(BEGIN, {**place_of(self._ask.target), **ours, **origin})
        rows = self._ask.rows()
        with contextlib.suppress(BrokenPipeError):  # the agent gave up, and says why below
            for start in range(0, len(rows), ROWS):
                self._control.send_json(FILES, rows[start : start + ROWS])
            self._control.send_json(FILES, [])
        with understood():
            state = answer(self._control, STATE, self._ask.target).json()
            have = self._have()
        self._check_room(state, have)
        return have

    def _have(self) -> dict[int, list[Any]]:
        """Per file: `v` and its digest, `d` and the runs of its durable cells, or `c`: copied on the volume."""
        have: dict[int, list[Any]] = {}
        while (frame := self._control.receive()).kind != READY:
            if frame.kind == HAVE:
                for number, kind, *rest in frame.json():
                    if kind == "d":
                        rest = [[(int(first), int(count)) for first, count in rest[0]]]
                    elif kind == "v" and not _HEX.fullmatch(rest[0]):
                        raise Broken("the agent sent no digest")
                    have[self._number(number)] = [kind, *rest]
            elif frame.kind == FAIL:
                raise causes.failure(frame.json(), self._ask.target)
            elif frame.kind != PING:
                raise Broken(f"frame {frame.kind} came out of turn")
        return have

    def _check_room(self, state: Any, have: dict[int, list[Any]]) -> None:
        """Refuse before the first byte what cannot fit."""
        with understood():
            space = {key: int(state["space"][key]) for key in ("free", "size", "inodes", "block")}
            held = {key: int(state["held"][key]) for key in ("inodes", "bytes")}
        there: dict[int, int] = {}
        for number, row in have.items():
            if row[0] == "v":
                there[number] = self._entries[number].size
            elif row[0] == "d":
                there[number] = sum(int(run[1]) for run in row[1]) * CELL
        sizes = [found.size for found in self._entries]
        self._shares = state.get("shares") is True
        if self._shares:  # large files and those whose digest is known take none: `agent.copier`
            sizes = [0 if known or size > SMALL else size for size, known in zip(sizes, self._ask.known, strict=True)]
        causes.check_room(self._ask.target, sizes, there, {**space, "held": held["bytes"]})
        paths = [found.path for found in self._entries]
        causes.check_inodes(self._ask.target, paths, space["inodes"], held["inodes"])

    def _plan(self, have: dict[int, list[Any]]) -> None:
        """What is there counts; ask for the rest."""
        for number, row in have.items():
            if row[0] == "v":
                self._progress.reused(number, self._entries[number].size)
                self._judge.volume_digests([(number, str(row[1]))])
        for job in jobs(self._entries, self._ask.known, have, in_pod=self._ask.source is not None, shares=self._shares):
            if job.skip is not None:
                size = self._entries[job.numbers[0]].size
                self._progress.reused(job.numbers[0], min(size, job.skip.count(1) * CELL))
            self._sender.add(job)

    def _number(self, number: Any) -> int:
        if not isinstance(number, int) or not 0 <= number < len(self._entries):
            raise Broken("the agent names a file that nobody sent")
        return number

    def _listen(self) -> None:
        try:
            while True:
                frame = self._control.receive()
                self._heard = time.monotonic()
                with understood():
                    self._hear(frame)
        finally:
            self._deaf.set()

    def _hear(self, frame: Frame) -> None:
        if frame.kind == DURABLE:
            number = self._number(frame.number)
            for first, count in PACKED.iter_unpack(frame.payload):
                size = self._bytes(number, first, count)
                self._window.durable(number, size)
                self._progress.durable(number, size)
        elif frame.kind in (GOOD, SOURCED):
            self._hear_digests(frame)
        elif frame.kind == BAD:
            self._again(self._number(frame.number), bytes(frame.payload[:200]).decode("utf-8", "replace"))
        elif frame.kind == FAIL:
            raise causes.failure(frame.json(), self._ask.target, self._progress.missing)
        elif frame.kind == DONE:
            with self._lock:
                self._done = frame.json()
                self._lock.notify_all()
        elif frame.kind != PING:
            raise Broken(f"frame {frame.kind} came out of turn")

    def _hear_digests(self, frame: Frame) -> None:
        """Digests of files as the volume gave them back, or of the source where it lies in the pod."""
        found = [(self._number(number), digest.hex()) for number, digest in CHECKED.iter_unpack(frame.payload)]
        if frame.kind == GOOD:
            self._window.settled(number for number, _ in found)
            self._judge.volume_digests(found)
        elif self._ask.source is None:
            raise Broken("the agent tells digests of files that it does not have")
        else:
            for number, digest in found:
                self._ask.known[number] = digest
            self._judge.source_digests([(number, digest, frame.offset) for number, digest in found])

    def _bytes(self, number: int, first: int, count: int) -> int:
        """Bytes of a run of cells; the last cell of a file is shorter."""
        return max(0, min(self._entries[number].size, (first + count) * CELL) - first * CELL)

    def _moved(self) -> None:
        """A file is good: perhaps it was the last one."""
        with self._lock:
            self._lock.notify_all()

    def _differs(self, number: int) -> None:
        """Have the agent forget a file; it answers with BAD."""
        # In a thread of its own: this may be the listening one, and nobody else empties what the agent says.
        threading.Thread(target=self._guarded, args=(lambda: self._control.send(AGAIN, number=number),)).start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a thread's error is the session's
            self._fail(error)

    def _again(self, number: int, why: str) -> None:
        """Send a file once more."""
        self._window.settled([number])
        self._judge.again(number, why)
        if self._ask.source is not None:  # what was known without reading may be what is wrong
            self._ask.known[number] = ""
        self._sender.add(Job([number]), first=True)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None or (isinstance(error, PvserveError) and not isinstance(self._error, PvserveError)):
                self._error = error
            self._lock.notify_all()

    def _wait(self, finished: Callable[[], bool], phase: Phase) -> None:
        """Until finished, or an error of any thread."""
        self._progress.phase = phase
        while True:
            with self._lock:
                self._lock.wait_for(lambda: finished() or self._error is not None, timeout=1.0)
                if self._error is None and finished():
                    return
            if self._error is not None:
                if not isinstance(self._error, PvserveError):
                    self._deaf.wait(LAST_WORDS_SECONDS)  # why the agent let a stream go may still be on its way
                raise self._error
            if time.monotonic() - self._heard > SILENT_SECONDS:
                raise Broken(f"the agent said nothing for {SILENT_SECONDS:.0f} s")
