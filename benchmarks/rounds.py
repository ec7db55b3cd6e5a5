"""Times of several rounds, ratios within one round, and the machine that they were taken on.

Owns the arithmetic and the lines that are printed. Must not measure anything itself.
"""

from __future__ import annotations

import os
import platform
import ssl
import statistics
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from time import perf_counter


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def machine(server: str) -> str:
    """What a reader needs to compare; `server` is the cluster's version."""
    processor = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return (
        f"{os.cpu_count()} x {processor}, {memory} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}, Kubernetes {server}, "
        f"pvserve {metadata.version('pvserve')}, load {os.getloadavg()[0]:.1f} at the start"
    )


def spread(values: Sequence[float], unit: str = "s") -> str:
    """min / median / max."""
    return " / ".join(f"{value:.2f}" for value in (min(values), statistics.median(values), max(values))) + f" {unit}"


def line(what: str, times: Sequence[float], size: int) -> str:
    """Times and the rate of the median."""
    return f"{what:<34} {spread(times)}   {size / statistics.median(times) / 1e6:.0f} MB/s"


def ratio(what: str, theirs: Sequence[float], ours: Sequence[float], goal: float | None) -> str:
    """How many times faster, each round compared with itself."""
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    if goal is None:
        return f"{what:<34} {spread(ratios, 'times')}   no goal"
    verdict = "reached" if statistics.median(ratios) >= goal else "MISSED"
    return f"{what:<34} {spread(ratios, 'times')}   goal {goal:g}: {verdict}"
