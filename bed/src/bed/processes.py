"""The bed's own processes: started in sessions of their own, remembered by pid and start time, ended by pid.

Owns pid files, logs and the lock. A pid that the kernel gave to somebody else since is recognised by its start time and
left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bed.errors import BedError
from bed.settings import Settings

STOP_SECONDS = 20.0
LOG_LINES = 8  # of a component that ended by itself


@contextmanager
def alone(bed: Settings, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the bed's lock: one command at a time starts and ends things."""
    bed.home.mkdir(parents=True, exist_ok=True)
    with open(bed.home / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `bed` command to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start(bed: Settings, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> int:
    """Starts `command` unless it runs already; its output goes to log/NAME.log. Returns the pid."""
    running = pid(bed, name)
    if running:
        return running
    for directory in ("log", "pid", "tmp"):
        (bed.home / directory).mkdir(parents=True, exist_ok=True)
    with open(bed.home / "log" / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=bed.home,
            env={**os.environ, "TMPDIR": str(bed.home / "tmp"), **(env or {})},
            start_new_session=True,
        )
    (bed.home / "pid" / name).write_text(f"{process.pid} {_start_time(process.pid)}")
    return process.pid


def pid(bed: Settings, name: str) -> int:
    """The pid of a running component, 0 if it does not run."""
    try:
        number, started = (bed.home / "pid" / name).read_text().split()
    except (OSError, ValueError):
        return 0
    return int(number) if _start_time(int(number)) == started else 0


def stop(bed: Settings, name: str) -> None:
    """Ends a component: SIGTERM, then SIGKILL after STOP_SECONDS."""
    number = pid(bed, name)
    if number:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while pid(bed, name) and time.monotonic() < deadline:
            time.sleep(0.02)
        if pid(bed, name):
            os.kill(number, signal.SIGKILL)
            while pid(bed, name):
                time.sleep(0.02)
    (bed.home / "pid" / name).unlink(missing_ok=True)


def require_alive(bed: Settings, name: str) -> None:
    """Raises BedError with the end of the component's log if it died."""
    if pid(bed, name):
        return
    log = bed.home / "log" / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
    raise BedError(f"{name} ended by itself:\n  " + "\n  ".join(lines), f"less {log}")


def wait(bed: Settings, what: str, name: str, good: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until `good()`, as long as the component lives. Raises BedError with the end of its log."""
    deadline = time.monotonic() + seconds
    while not good():
        require_alive(bed, name)
        if time.monotonic() > deadline:
            raise BedError(f"not within {seconds:.0f} s: {what}", f"less {bed.home / 'log' / name}.log")
        time.sleep(0.1)


def _start_time(number: int) -> str:
    """Clock ticks since boot when the process started (proc(5), stat field 22), with the boot's own id.

    Empty for a process that is gone or a zombie. A child of this process is reaped first.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else f"{fields[19]}@{boot}"
