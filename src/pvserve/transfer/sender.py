"""Reads the source once, digests it on the way, and hands the pieces to the streams.

Owns the reading threads, the stream threads and the bound on memory between them. Must not know what comes back.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pvserve.model import Found
from pvserve.transfer.agent.frames import CELL, DATA, LIMIT, PACK, PACKED, ROOM, SMALL, Wire
from pvserve.transfer.judging import Digested
from pvserve.transfer.sourcing import read_exactly, read_small, reading
from pvserve.transfer.window import Window

POOL = 24  # buffers of LIMIT bytes: all the memory that file contents take
READERS = 2
PACK_FILES = 200
PACK_BYTES = CELL
WAIT = 0.2


class Stopped(Exception):
    """The session is over; threads leave."""


@dataclass
class Job:
    """One large file, or many small ones, to read; `skip` are the cells that the far end has."""

    numbers: list[int]
    skip: bytearray | None = None
    send: bool = True


class Sender:
    """Threads from the source to the streams. `known[number]` is a digest that need not be computed, or ""."""

    def __init__(
        self,
        entries: Sequence[Found],
        known: list[str],
        streams: Sequence[Wire],
        window: Window,
        digested: Callable[[Sequence[Digested]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._entries = entries
        self._known = known
        self._streams = streams
        self._window = window
        self._digested = digested
        self._fail = fail
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._stop = threading.Event()
        self._free: queue.LifoQueue[bytearray] = queue.LifoQueue()  # the last one is still in the processor's cache
        for _ in range(POOL):
            self._free.put(bytearray(ROOM + LIMIT))
        self._full: queue.Queue[tuple[bytearray, int, int, int, int]] = queue.Queue()
        self.sent = 0
        self._count = threading.Lock()
        self._turn = threading.Lock()
        self._waits = False  # whether reading small files mostly waits, as for a network

    def start(self) -> None:
        """Run."""
        for _ in range(READERS):
            threading.Thread(target=self._guarded, args=(self._read_all,), daemon=True).start()
        for wire in self._streams:
            threading.Thread(target=self._guarded, args=(self._send_all, wire), daemon=True).start()

    def add(self, job: Job, first: bool = False) -> None:
        """Something to read."""
        with self._wake:
            if first:
                self._jobs.appendleft(job)
            else:
                self._jobs.append(job)
            self._wake.notify()

    def stop(self) -> None:
        """Let the threads and the buffers go; threads are daemons and wait for nothing longer than WAIT."""
        self._stop.set()
        waiting: queue.Queue[Any]
        for waiting in (self._free, self._full):
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.get_nowait()

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - a thread's error is the session's
            self._fail(error)

    def _send_all(self, wire: Wire) -> None:
        while True:
            buffer, size, kind, number, offset = self._take(self._full)
            pieces = [(number, size)]
            if kind == PACK:
                pieces = list(PACKED.iter_unpack(buffer[ROOM : ROOM + PACKED.size * number]))
            self._window.leave(pieces, self._wait)
            wire.send_in_place(buffer, size, kind, number, offset)
            self._free.put(buffer)
            with self._count:
                self.sent += sum(count for _, count in pieces)

    def _wait(self, condition: threading.Condition) -> None:
        condition.wait(WAIT)
        if self._stop.is_set():
            raise Stopped

    def _take(self, source: queue.Queue[Any]) -> Any:
        while not self._stop.is_set():
            try:
                return source.get(timeout=WAIT)
            except queue.Empty:
                continue
        raise Stopped

    def _read_all(self) -> None:
        while True:
            with self._wake:
                while not self._jobs:
                    if self._stop.is_set():
                        raise Stopped
                    self._wake.wait(WAIT)
                job = self._jobs.popleft()
            if self._entries[job.numbers[0]].size > SMALL:
                self._read_large(job)
            else:
                self._read_pack(job)

    def _read_large(self, job: Job) -> None:
        number = job.numbers[0]
        found = self._entries[number]
        digest = None if self._known[number] else hashlib.sha256()
        began = time.time_ns()
        with reading(found) as handle:
            for cell, offset in enumerate(range(0, found.size, CELL)):
                wanted = job.send and not (job.skip and job.skip[cell])
                if not wanted and digest is None:
                    continue
                size = min(CELL, found.size - offset)
                buffer = self._take(self._free)
                with memoryview(buffer) as view:
                    read_exactly(handle, view[ROOM : ROOM + size], offset, found)
                    if digest:
                        digest.update(view[ROOM : ROOM + size])
                if wanted:
                    self._full.put((buffer, size, DATA, number, offset))
                else:
                    self._free.put(buffer)
        if digest:
            self._known[number] = digest.hexdigest()
            self._digested([(number, self._known[number], began)])

    def _read_pack(self, job: Job) -> None:
        """Two threads that do many short calls take the interpreter from each other at each: one pack at a time takes
        fewer CPU seconds, unless the calls wait for something, which they had better do side by side."""
        buffer = self._take(self._free)
        with contextlib.nullcontext() if self._waits else self._turn:
            wall, cpu = time.monotonic(), time.thread_time()
            self._read_small(job, buffer)
            self._waits = time.monotonic() - wall > 3 * (time.thread_time() - cpu)

    def _read_small(self, job: Job, buffer: bytearray) -> None:
        """Whole small files into one buffer: a table of numbers and sizes, then the bytes."""
        table = ROOM + PACKED.size * len(job.numbers)
        position = table
        digests = []
        with memoryview(buffer) as view:
            for place, number in enumerate(job.numbers):
                found = self._entries[number]
                began = time.time_ns()
                piece = view[position : position + found.size]
                read_small(found, piece)
                PACKED.pack_into(view, ROOM + PACKED.size * place, number, found.size)
                position += found.size
                if not self._known[number]:
                    self._known[number] = hashlib.sha256(piece).hexdigest()
                    digests.append((number, self._known[number], began))
                piece.release()
        self._digested(digests)
        if job.send:
            self._full.put((buffer, position - ROOM, PACK, len(job.numbers), 0))
        else:
            self._free.put(buffer)


def packs(entries: Sequence[Found], numbers: Sequence[int]) -> list[list[int]]:
    """Small files in packs that one buffer holds."""
    found: list[list[int]] = []
    size = 0
    for number in numbers:
        if not found or size + entries[number].size > PACK_BYTES or len(found[-1]) == PACK_FILES:
            found.append([])
            size = 0
        found[-1].append(number)
        size += entries[number].size
    return found
