"""Runs a program whose calls to the system fail, or end it, at a chosen point: in the place of the pod's Python.

`failing.py PLAN ...python arguments... -c PROGRAM ARGUMENTS` counts the calls that change the file system. PLAN is a
JSON file: at call number `at` (of `calls`, where given) it does `do`: kill, stop, power (with `mount`), or errno NAME;
once per plan, unless `again`. Every call is noted in `log`. Stands alone, for Python 3.8 and -I -S.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import struct
import sys
import threading

CHANGING = ("pwrite", "fsync", "fdatasync", "rename", "unlink", "rmdir", "mkdir", "ftruncate", "copy_file_range")
REAL = {name: getattr(os, name) for name in (*CHANGING, "open", "preadv", "write")}


class Point:
    """Counts, and strikes once."""

    def __init__(self, file: str) -> None:
        with open(file) as handle:
            self.plan = json.load(handle)
        self.file = file
        self.seen = 0
        self.lock = threading.Lock()
        self.log = REAL["open"](self.plan["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def passed(self, call: str, what: object) -> None:
        """Before each call."""
        with self.lock:
            if call == "preadv" and "preadv" not in (self.plan.get("calls") or ()):
                return
            REAL["write"](self.log, f"{os.getpid()} {call} {what!r}\n".encode())
            if self.plan.get("calls") and call not in self.plan["calls"]:
                return
            self.seen += 1
            due = self.seen == self.plan.get("at") or (self.plan.get("again") and self.seen > self.plan.get("at"))
            if due and (self.plan.get("again") or self.claimed()):
                self.strike(self.plan["do"])

    def claimed(self) -> bool:
        """Only one process strikes, once."""
        try:
            REAL["unlink"](self.file)
        except FileNotFoundError:
            return False
        return True

    def strike(self, what: str) -> None:
        """The fault."""
        if what == "power":
            here = REAL["open"](self.plan["mount"], os.O_RDONLY)
            fcntl.ioctl(here, 0x8004587D, struct.pack("I", 2))
        if what in ("kill", "power"):
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            code = getattr(errno, what)
            raise OSError(code, os.strerror(code))


class Library:
    """ctypes.CDLL with counted renameat2 and syncfs."""

    def __init__(self, point: Point, *arguments: object, **options: object) -> None:
        self._real = _CDLL(*arguments, **options)
        self._point = point

    def __getattr__(self, name: str) -> object:
        real = getattr(self._real, name)
        if name not in ("renameat2", "syncfs"):
            return real

        def counted(*arguments: object) -> int:
            self._point.passed(name, arguments[1::2])
            return real(*arguments)

        return counted


_CDLL = ctypes.CDLL


def armed(point: Point) -> None:
    """Put the counting functions into `os`."""

    def counted(name: str):
        def call(*arguments, **options):
            if name != "open" or (len(arguments) > 1 and arguments[1] & os.O_CREAT):
                point.passed(name, arguments[0])
            return REAL[name](*arguments, **options)

        return call

    for name in (*CHANGING, "open", "preadv"):
        setattr(os, name, counted(name))
    ctypes.CDLL = lambda *a, **k: Library(point, *a, **k)


def main() -> None:
    """Run what follows -c."""
    plan, arguments = sys.argv[1], sys.argv[2:]
    start = arguments.index("-c")
    sys.argv = ["-c", *arguments[start + 2 :]]
    if os.path.exists(plan):
        armed(Point(plan))
    exec(compile(arguments[start + 1], "program", "exec"), {"__name__": "__main__"})


main()
