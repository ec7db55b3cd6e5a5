"""One trial: a source, a claim, clients that are killed, and what the independent reader finds afterwards.

Owns the order arrange, arm, run, disarm, check. Every trial is made from its seed alone.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import client, reader
from .client import Counts, Job

KIB, MIB = 1 << 10, 1 << 20
PART = 32 * MIB  # docs/transfer-protocol.md, "Resuming"
CLIENT_SECONDS = 300  # one whose agent is stopped waits 30 to 60 s for each answer, and gives up after 180 s
CHANNELS = ("exec", "exec", "pod", "proxy", "port-forward")

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.faults.client"])


@dataclass
class Ran:
    """How a client ended: `code` as pvserve's exit code, or minus the signal that ended it."""

    code: int
    said: dict[str, Any]
    frames: int
    sent: int
    acked: int
    phase: str

    @property
    def reason(self) -> str:
        """Of an error, "" without one."""
        return str(self.said.get("reason", ""))


class Running:
    """A client that runs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process = _server.Process(target=client.main, args=(job,))
        self.process.start()

    @property
    def pid(self) -> int:
        """Of the client."""
        return int(self.process.pid or 0)

    def counts(self) -> tuple[int, int, int, str]:
        """How far it is."""
        return Counts(self.job.counts).get()

    def reached(self, what: Callable[[tuple[int, int, int, str]], bool], seconds: float = 30) -> bool:
        """Waits until the counts are so; False when the client ended before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if what(self.counts()):
                return True
            if not self.process.is_alive():
                return what(self.counts())
            time.sleep(0.002)
        raise TimeoutError("the client never came so far")

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def ended(self, seconds: float = CLIENT_SECONDS) -> Ran:
        """Wait for its end."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"the client did not end within {seconds:.0f} s; counts {self.counts()}")
        report = Path(self.job.report)
        said = json.loads(report.read_text()) if report.exists() else {}
        code = said.get("code", self.process.exitcode)
        return Ran(code, said, *self.counts())


class Trial:
    """`home` is a directory of its own, `claim` what stands for the volume, `rng` made from the seed."""

    def __init__(self, home: Path, seed: int, claim: Path | None = None) -> None:
        self.home = home
        self.seed = seed
        self.rng = random.Random(seed)
        self.token = uuid.uuid4().hex[:12]
        self.path = f"models/{self.token}"
        self.claim = claim or home / "claim"
        self.claim.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(parents=True, exist_ok=True)
        self.plan = home / "fault.json"
        self.log = home / "calls.log"
        self.python = home / "python3"
        self.secrets = home / "secrets"
        self._runs = 0
        real = os.path.realpath(sys.executable)
        failing = Path(__file__).with_name("failing.py")
        self.python.write_text(
            "#!/bin/sh\n# The last argument names the place; an agent ends others of the same pod and place.\n"
            'set -- "$@" "$POD"; n=$#; i=1\n'
            'while [ $i -lt $((n - 1)) ]; do set -- "$@" "$1"; shift; i=$((i + 1)); done\n'
            'place=$1; pod=$2; shift 2; set -- "$@" "${place:+$place.$pod}"\n'
            f'exec "{real}" -X utf8 -I -S "{failing}" "{self.plan}" "$@"\n'
        )
        self.python.chmod(0o755)

    def source(self, name: str = "source", large: tuple[int, ...] = (), small: int = 8) -> Path:
        """A model directory of files of these sizes in bytes, and as many small ones."""
        root = self.home / name
        for number, size in enumerate(large):
            self._write(root / f"model-{number:05d}.bin", size)
        for number in range(small):
            where = root if number % 3 else root / f"sub{number % 5}/deep"
            self._write(where / f"small {number}\n.json", self.rng.choice((0, 1, 700, 5000, 100 * KIB)))
        return root

    def _write(self, path: Path, size: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.rng.randbytes(size))
        if self.rng.random() < 0.1:
            path.chmod(0o755)

    def start(self, source: Path, pod: str = "a", **more: Any) -> Running:
        """A client."""
        self._runs += 1
        env = {**os.environ, "PVSERVE_TEST_TRIAL": self.token, "POD": pod}
        job = Job(
            str(source),
            str(self.claim),
            self.path,
            str(self.home / f"report-{self._runs}.json"),
            str(self.home / f"counts-{self._runs}"),
            str(self.home / f"digests-{more.pop('machine', 0)}"),
            str(self.secrets),
            str(self.python),
            env,
        )
        for key, value in more.items():
            setattr(job, key, value)
        return Running(job)

    def run(self, source: Path, **more: Any) -> Ran:
        """A client from start to end."""
        return self.start(source, **more).ended()

    def arm(self, do: str, at: int, **more: Any) -> None:
        """Let the agent's system calls fail; see failing.py."""
        self.log.unlink(missing_ok=True)
        plan = {"do": do, "at": at, "log": str(self.log), "mount": str(self.claim), **more}
        self.plan.write_text(json.dumps(plan))

    def disarm(self) -> None:
        """The next agent works."""
        self.plan.unlink(missing_ok=True)

    def calls(self) -> list[str]:
        """What agents that were armed called, in order."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def agents(self) -> list[int]:
        """Agents of this trial, by the token in their environment."""
        mark = f"PVSERVE_TEST_TRIAL={self.token}".encode()
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read():
                        found.append(int(name))
        return [pid for pid in found if pid != os.getpid()]

    def kill_agents(self) -> None:
        """As when the pod is deleted."""
        deadline = time.monotonic() + 10
        while pids := self.agents():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < deadline, "an agent survives SIGKILL"
            time.sleep(0.01)

    def agents_end(self, seconds: float = 30) -> None:
        """Agents whose client is gone end by themselves; one that does not is left behind (I4)."""
        deadline = time.monotonic() + seconds
        while self.agents():
            assert time.monotonic() < deadline, "I4 an agent outlives its client"
            time.sleep(0.02)

    def clear(self) -> None:
        """End what runs and remove the home."""
        self.disarm()
        self.kill_agents()
        shutil.rmtree(self.home, ignore_errors=True)

    def check(self, allowed: dict[str, dict[str, str] | None], tenants: tuple[str, ...] = ()) -> list[str]:
        """Violations of I1, I2, I4 and I6, where the path may hold what one of `allowed` (by name) holds."""
        seen = reader.read(self.claim, self.path)
        wrong = [*seen.wrong, *reader.left_behind(self.claim, self.path, tenants=tenants)]
        wrong += reader.secrets_seen(self.secrets, self.claim, self.home.glob("report-*.json"))
        if seen.files not in allowed.values():
            wrong.append(f"I2 the path holds neither of {sorted(allowed)}")
        return wrong

    def check_done(self, ran: Ran, source: Path, tenants: tuple[str, ...] = ()) -> list[str]:
        """I3, I5: the command ended with 0, and the source is there, whole."""
        if ran.code:
            return [f"I3 the command did not end the job: {ran.code} {ran.said}"]
        wrong = self.check({"the source": reader.digests(source)}, tenants)
        seen = reader.read(self.claim, self.path)
        if f"sha256:{seen.version}" != ran.said["digest"]:
            wrong.append("I5 exit 0 with another version at the path")
        return [*wrong, *reader.settled(self.claim, self.path)]
