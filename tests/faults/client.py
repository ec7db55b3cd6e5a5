"""One load in a process of its own, so that it can be killed: what `pvserve load` does once its pod runs.

A job is a dict; see `Job`. It writes what became of it to `job.report`, and how far it is to a page of shared memory,
which survives the process.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvserve.errors import PvserveError
from pvserve.model import DigestCache, listing
from pvserve.transfer import Loaded, Target, channels, copy, load
from pvserve.transfer.agent import frames
from pvserve.transfer.engine import Terms
from pvserve.transfer.progress import Progress
from pvserve.transfer.tls import Secret, new_secret
from tests.unit.transfer.pod import LocalPod

COUNTS = struct.Struct("qqqq")  # frames, bytes of contents sent, bytes acknowledged, phase
PHASES = ("scan", "connect", "hash", "send", "verify", "publish", "done")


@dataclass
class Job:
    """`strike` is (what, count, do): when the count of frames, sent or acked bytes is reached, kill or cut, once."""

    source: str
    claim: str
    path: str
    report: str
    counts: str
    cache: str
    secrets: str
    python: str
    env: dict[str, str]
    via: str = "exec"
    epoch: int = 1
    replace: bool = False
    strike: tuple[str, int, str] | None = None
    pace: float = 0.0  # seconds between two frames of contents
    from_claim: bool = False  # the pod mounts the source: nothing is sent
    checksum: bool = False


class Counts:
    """How far a load is, in memory that its killer shares."""

    def __init__(self, file: str) -> None:
        if not os.path.exists(file):
            Path(file).write_bytes(b"\0" * COUNTS.size)
        with open(file, "r+b") as handle:
            self._page = mmap.mmap(handle.fileno(), COUNTS.size)

    def get(self) -> tuple[int, int, int, str]:
        """Frames, bytes sent, bytes acknowledged, phase."""
        frames_, sent, acked, phase = COUNTS.unpack(self._page[:])
        return frames_, sent, acked, PHASES[phase]

    def put(self, place: int, value: int) -> None:
        """One of them."""
        self._page[8 * place : 8 * place + 8] = struct.pack("q", value)


class _Watch:
    """Counts frames, bytes and acknowledgements of this process, and strikes."""

    def __init__(self, job: Job) -> None:
        self.counts = Counts(job.counts)
        self.lock = threading.Lock()
        self.numbers = [0, 0, 0]
        self.strike = job.strike
        self.pace = job.pace
        self.read = 0  # bytes, of files and streams
        self.began = self.published = 0.0  # the last session, on the clock that all processes share
        self._patch()

    def add(self, place: int, value: int, absolute: bool = False) -> None:
        with self.lock:
            self.numbers[place] = value if absolute else self.numbers[place] + value
            self.counts.put(place, self.numbers[place])
            if self.strike is None:
                return
            what, count, do = self.strike
            if self.numbers[("frames", "sent", "acked").index(what)] < count:
                return
            self.strike = None
        if do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise BrokenPipeError("cut by the test")

    def _patch(self) -> None:
        send, receive = frames.Wire.send_in_place, frames.Wire.receive
        durable, complete = Progress.durable, Progress.complete
        told = Progress.tell

        def counted_send(wire, buffer, size, kind, number=0, offset=0):
            self.add(0, 1)
            if kind == frames.FINISH:
                self.published = time.monotonic()
                # Now, before the agent is waited for: what a child has read would count too.
                self.read = int(Path("/proc/self/io").read_text().partition("rchar: ")[2].split()[0])
            send(wire, buffer, size, kind, number, offset)
            if kind in (frames.DATA, frames.PACK):
                if self.pace:
                    time.sleep(self.pace)
                self.add(1, size - (frames.PACKED.size * number if kind == frames.PACK else 0))

        def counted_receive(wire, *limit):
            frame = receive(wire, *limit)
            if frame.kind == frames.STATE:
                self.began = time.monotonic()
            self.add(0, 1)
            return frame

        def counted_durable(progress, number, size):
            durable(progress, number, size)
            self.add(2, progress._sum, absolute=True)

        def counted_complete(progress, files):
            complete(progress, files)
            self.add(2, progress._sum, absolute=True)

        def noted(progress):
            self.counts.put(3, PHASES.index(progress.phase))
            told(progress)

        frames.Wire.send_in_place, frames.Wire.receive = counted_send, counted_receive
        Progress.durable, Progress.complete, Progress.tell = counted_durable, counted_complete, noted


def pod_of(job: Job) -> LocalPod:
    """A pod by the channel that is asked for."""
    lacks = ("python3",) if job.via == "shell" else ()
    address = "127.0.0.1" if job.via == "pod" else None
    through = {"can_proxy": job.via == "proxy", "can_forward": job.via == "port-forward"}
    return LocalPod(lacks=lacks, python=job.python, env=job.env, address=address, **through)


def _kept_secret(job: Job) -> Callable[[], Secret]:
    """Makes secrets as ever, and lets the test know what must be nowhere to be seen."""

    def kept() -> Secret:
        made = new_secret()
        with open(job.secrets, "a") as file:
            file.write("\n".join([made.token, *made.key.splitlines()[1:-1]]) + "\n")
        return made

    return kept


def _brought(job: Job, cancel: threading.Event, listen: Callable[[Any], None]) -> Loaded:
    pod, target = pod_of(job), Target(job.path, "vllm", job.claim)
    terms: Terms = {
        "replace": job.replace,
        "epoch": job.epoch,
        "checksum": job.checksum,
        "cancel": cancel,
        "listen": listen,
        "cache": DigestCache(Path(job.cache)),
    }
    if job.from_claim:
        mount, _, path = job.source.rpartition("/")
        return copy(Target(path, "workbench", mount), pod, target, **terms)
    return load(listing(job.source), pod, target, via="exec" if job.via == "shell" else job.via, **terms)


def _memory() -> dict[str, int]:
    """Peaks in bytes: our own, and of an agent whose end was waited for."""
    ours, theirs = (resource.getrusage(who).ru_maxrss << 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"client_memory": ours, "agent_memory": theirs}


def main(job: Job) -> None:
    """Load, and say what became of it."""
    cancel = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: cancel.set())
    channels.new_secret = _kept_secret(job)
    watch = _Watch(job)
    waits: list[str] = []

    def listen(event: Any) -> None:
        waiting = getattr(event, "waiting_for", "")
        if waiting and (not waits or waits[-1] != waiting):
            waits.append(waiting)

    began = time.monotonic()
    said: dict[str, Any]
    try:
        done = _brought(job, cancel, listen)
        said = {"code": 0, "digest": done.manifest_digest, "sent": done.sent_bytes, "bytes": done.manifest.bytes}
    except PvserveError as error:
        said = {"code": error.exit_code, "reason": error.reason, "message": error.message, "remedy": error.remedy}
    except BaseException:  # noqa: BLE001 - a traceback at the user is a violation too
        said = {"code": 1, "reason": "Traceback", "message": traceback.format_exc()[-1500:]}
    said |= {"seconds": time.monotonic() - began, "waits": waits[-20:]}
    said |= {"began": watch.began, "published": watch.published, "read": watch.read, **_memory()}
    temporary = job.report + ".new"
    Path(temporary).write_text(json.dumps(said))
    os.rename(temporary, job.report)
    os._exit(said["code"])
