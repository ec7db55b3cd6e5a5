"""`make soak`: killed clients, power cuts and racing writers by the hundred, from one seed; see docs/reliability.md.

KILLS, CUTS, RACES: how many of each. SEED: the first trial's; each next one has the next number. ONLY=kill|cut|race
with SEED and FILES makes one trial again. MINUTES ends it early. Exit code 1 on a violation.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from .conftest import seed_of_run
from .scenarios import Outcome, attempt, shrunk
from .volume import can_mount

COUNTS = {"kill": ("KILLS", 1000), "cut": ("CUTS", 200), "race": ("RACES", 500)}
WORKERS = max(2, os.cpu_count() or 2)


@dataclass
class Tally:
    """Of one kind of fault."""

    done: int = 0
    wrong: list[str] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, found: Outcome) -> None:
        """One trial."""
        self.done += 1
        self.again.append(found.sent_again)
        self.seconds.append(found.resumed_seconds)


def main() -> int:
    """Run, print the summary."""
    if why := can_mount():
        print(f"a soak {why}")
        return 1
    seed = int(os.environ.get("SEED") or seed_of_run())
    if only := os.environ.get("ONLY"):
        files = os.environ.get("FILES")
        found = attempt(only, seed, int(files) if files else None)
        print(f"{found.note}: {'; '.join(found.wrong) or 'no violation'}")
        return bool(found.wrong)
    print(f"SEED={seed}", flush=True)
    began = time.monotonic()
    tallies = _run(seed, float(os.environ.get("MINUTES") or 1e9) * 60)
    _summary(tallies, seed, time.monotonic() - began)
    return any(tally.wrong for tally in tallies.values())


def _cases(seed: int) -> list[tuple[str, int]]:
    wanted = {what: int(os.environ.get(name, count)) for what, (name, count) in COUNTS.items()}
    rows = [[(what, seed + number) for number in range(count)] for what, count in wanted.items()]
    return [case for row in itertools.zip_longest(*rows) for case in row if case]


def _run(seed: int, limit: float) -> dict[str, Tally]:
    """Some trials side by side; no new ones begin after `limit` seconds."""
    tallies = {what: Tally() for what in COUNTS}
    deadline = time.monotonic() + limit
    waiting = iter(_cases(seed))
    with ProcessPoolExecutor(WORKERS) as pool:
        running = {pool.submit(attempt, *case): case for case in itertools.islice(waiting, WORKERS)}
        while running:
            future = next(as_completed(running))
            what, number = running.pop(future)
            found = future.result()
            tallies[what].add(found)
            if found.wrong:
                tallies[what].wrong.append(shrunk(what, number, found))
                print(tallies[what].wrong[-1], flush=True)
            if time.monotonic() < deadline and (case := next(waiting, None)):
                running[pool.submit(attempt, *case)] = case
    return tallies


def _summary(tallies: dict[str, Tally], seed: int, seconds: float) -> None:
    machine = f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}"
    print(f"\n{time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; {machine}; SEED={seed}; {seconds:.0f} s")
    for what, tally in tallies.items():
        if not tally.done:
            continue
        print(
            f"{COUNTS[what][0].lower():6} {tally.done:5}   violations {len(tally.wrong)}   "
            f"acknowledged bytes sent again: {sum(tally.again)}, at most {max(tally.again)}   "
            f"median of the second run {statistics.median(tally.seconds):.2f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
