"""Whose CPU seconds a stretch of work took: both ends, the way between them, the kernel's workers, and everybody else.

Owns reading /proc. Says nothing about how long the work took.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType

TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 0.3  # a process that ends takes the CPU seconds since the last look with it
OTHERS = "others"
PARTS = (
    ("agent", b"pvserve-agent"),
    ("agent", b"/pvserve/load.py"),
    ("kubectl", b"kubectl\0cp"),
    ("tar", b"tar\0"),
    ("storage initializer", b"initializer-entrypoint"),
    ("S3 gateway", b"versitygw"),
    ("kube-apiserver", b"kube-apiserver\0"),
    ("kubelet", b"kubelet\0"),
    ("containerd", b"containerd"),
)


class Watch:
    """A context that prints CPU seconds per GB by part when it ends; of no effect unless `wanted`."""

    def __init__(self, wanted: bool, what: str, size: int) -> None:
        self._wanted, self._what, self._size = wanted, what, size
        self._over = threading.Event()
        self._parts: dict[str, str] = {}
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._thread = threading.Thread(target=self._look_on)

    def __enter__(self) -> None:
        if self._wanted:
            self._look(self._first)
            self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._wanted:
            return
        self._over.set()
        self._thread.join()
        spent: Counter[str] = Counter()
        for process, taken in self._last.items():
            spent[self._parts[process]] += taken - self._first.get(process, 0.0)
        told = ", ".join(
            f"{part} {taken / self._size * 1e9:.2f}" for part, taken in spent.most_common() if taken > 0.05
        )
        print(f"  CPU seconds per GB, {self._what}: {told}")

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look(self._last)
        self._look(self._last)

    def _look(self, into: dict[str, float]) -> None:
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                stat = Path("/proc", process, "stat").read_text("utf-8", "replace")
                if self._parts.get(process, OTHERS) == OTHERS:  # a container's first process is runc's
                    self._parts[process] = _part(process, stat)
            except OSError:  # has ended
                continue
            fields = stat[stat.rindex(")") + 2 :].split()
            into[process] = (int(fields[11]) + int(fields[12])) / TICKS


def _part(process: str, stat: str) -> str:
    if int(process) == os.getpid():
        return "client"
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    if name.startswith(("kworker", "ksoftirqd", "loop")):
        return "kernel workers"
    arguments = Path("/proc", process, "cmdline").read_bytes()
    return next((part for part, sign in PARTS if sign in arguments), OTHERS)
