"""The bed's own processes: started in sessions of their own, remembered by pid and start time, ended by pid.

Owns pid files. A pid that the kernel gave to somebody else since is recognised by its start time and left alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bed.errors import BedError
from bed.settings import Settings

STOP_SECONDS = 20.0


def start(bed: Settings, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> int:
    """Starts `command` unless it runs already; its output goes to log/NAME.log. Returns the pid."""
    running = pid(bed, name)
    if running:
        return running
    (bed.home / "log").mkdir(parents=True, exist_ok=True)
    (bed.home / "pid").mkdir(parents=True, exist_ok=True)
    with open(bed.home / "log" / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=bed.home,
            env={**os.environ, **(env or {})},
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
    return int(number) if started and _start_time(int(number)) == started else 0


def stop(bed: Settings, name: str) -> None:
    """Ends a component: SIGTERM, then SIGKILL after STOP_SECONDS."""
    number = pid(bed, name)
    if number:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while pid(bed, name) and time.monotonic() < deadline:
            time.sleep(0.05)
        if pid(bed, name):
            os.kill(number, signal.SIGKILL)
            while pid(bed, name):
                time.sleep(0.05)
    (bed.home / "pid" / name).unlink(missing_ok=True)


def require_alive(bed: Settings, name: str) -> None:
    """Raises BedError with the end of the component's log if it died."""
    if pid(bed, name):
        return
    log = bed.home / "log" / f"{name}.log"
    lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
    raise BedError(f"{name} ended by itself:\n  " + "\n  ".join(lines), f"less {log}")


def _start_time(number: int) -> str:
    """Clock ticks since boot when the process started (proc(5), stat field 22), with the boot's own id.

    Empty for a process that is gone or a zombie. A child of this process is reaped first.
    """
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(number, os.WNOHANG)
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else f"{fields[19]}@{boot}"
