"""The three faults that are repeated by the hundred: a killed client, a power cut, writers that race.

Each makes one trial from its seed and gives the violations as words, with what was struck where. The tests run some of
each, the soak many.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import reader
from .trial import CHANNELS, KIB, MIB, PART, Ran, Running, Trial
from .volume import Volume

STREAMS = 4


@dataclass
class Outcome:
    """What one trial met; `note` is where it was struck, `wrong` what was violated."""

    note: str
    wrong: list[str] = field(default_factory=list)
    resumed_seconds: float = 0.0
    sent_again: int = 0  # acknowledged bytes that were sent again


def _sizes(trial: Trial, files: int | None) -> dict[str, object]:
    """Mostly small models, since most faults need few files (CrashMonkey); now and then several parts of one file."""
    rng = trial.rng
    few = rng.random() < 0.6  # of many, a pack is made durable at once
    small = (rng.randrange(0, 30) if few else rng.randrange(32, 250)) if files is None else files
    if rng.random() < 0.15:
        large = (PART * 2 + rng.randrange(MIB),)
    else:
        large = tuple(rng.randrange(300 * KIB, 8 * MIB) for _ in range(rng.randrange(0 if small else 1, 4)))
    return {"large": large, "small": small}


def _old_version(trial: Trial, shape: dict[str, object]) -> tuple[dict[str, str] | None, bool]:
    """In every other trial something is there before, which shares files with what comes."""
    if trial.rng.random() < 0.5:
        return None, False
    old = trial.home / "old"
    shutil.copytree(trial.home / "source", old)
    for path in [path for path in sorted(old.rglob("*")) if path.is_file()][::2]:
        path.write_bytes(trial.rng.randbytes(path.stat().st_size + 1))
    (old / "only in the old version").write_bytes(b"old")
    done = trial.run(old, epoch=1, machine="old")
    assert not done.code, done.said
    return reader.digests(old), True


def _check_resent(total: int, struck: Ran, again: Ran, out: Outcome) -> None:
    """What was acknowledged is not sent again, beyond one part per stream."""
    out.sent_again = max(0, int(again.said.get("sent", 0)) - max(0, total - struck.acked))
    if out.sent_again > PART * STREAMS:
        out.wrong.append(f"I3 {out.sent_again} acknowledged bytes were sent again")
    out.resumed_seconds = float(again.said.get("seconds", 0))


def kill_client(home: Path, seed: int, files: int | None = None, via: str = "") -> Outcome:
    """SIGKILL of the client at a random byte or frame; then the same command."""
    trial = Trial(home, seed)
    try:
        rng = trial.rng
        shape = _sizes(trial, files)
        source = trial.source(**shape)
        new = reader.digests(source)
        total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        old, replace = _old_version(trial, shape)
        via = via or rng.choice(CHANNELS)
        if rng.random() < 0.6 and total:
            strike = ("sent", rng.randint(1, total), "kill")
        else:
            strike = ("frames", rng.randint(1, 16 + total // MIB * 2), "kill")
        struck = trial.run(source, epoch=2, via=via, replace=replace, strike=strike)
        out = Outcome(f"via {via}, killed at {strike[0]} {strike[1]} of {total} in {struck.phase}: {struck.code}")
        if rng.random() < 0.5:
            trial.kill_agents()
        else:
            trial.agents_end()
        allowed = {"the old version": old, "the new version": new}
        out.wrong += trial.check(allowed)
        again = trial.run(source, epoch=3, via=via, replace=replace)
        out.wrong += trial.check_done(again, source)
        _check_resent(total, struck, again, out)
        trial.agents_end()
        return out
    finally:
        trial.clear()


def cut_power(home: Path, seed: int, files: int | None = None, kind: str = "") -> Outcome:
    """Power fails at one call of the agent that changes the volume; the node comes back; then the same command."""
    trial = Trial(home, seed, claim=home / "claim")
    rng = trial.rng
    kind = kind or rng.choice(("ext4", "ext4", "xfs"))
    with Volume(home, 320, kind) as volume:
        try:
            return _cut(trial, volume, files)
        finally:
            trial.disarm()
            trial.kill_agents()


def _cut(trial: Trial, volume: Volume, files: int | None) -> Outcome:
    rng = trial.rng
    shape = _sizes(trial, files)
    source = trial.source(**shape)
    new = reader.digests(source)
    total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    old, replace = _old_version(trial, shape)
    if len(new) > 40 and rng.random() < 0.3:
        at, calls = rng.randint(1, 2), ["syncfs"]
    else:
        at, calls = rng.randint(1, 60 + 3 * len(new) + total // MIB * 2), []
    trial.arm("power", at, calls=calls)
    running = trial.start(source, epoch=2, via="exec", replace=replace)
    while running.process.is_alive() and trial.plan.exists():
        time.sleep(0.002)
    if trial.plan.exists():  # the load was over before; then power fails just after exit 0
        struck = running.ended()
        volume.power_fails()
        allowed = {"the new version": new}
    else:
        running.signal(signal.SIGKILL)
        struck = running.ended()
        allowed = {"the old version": old, "the new version": new}
    trial.disarm()
    trial.kill_agents()
    out = Outcome(
        f"{volume.kind}, power cut at {calls or 'call'} {at} of {len(trial.calls())} in {struck.phase}: {struck.code}"
    )
    volume.comes_back()
    out.wrong += trial.check(allowed)
    again = trial.run(source, epoch=3, replace=replace)
    out.wrong += trial.check_done(again, source)
    _check_resent(total, struck, again, out)
    if again.said.get("sent", 0) > total - struck.acked:
        out.wrong.append(
            f"I5 acknowledged bytes were lost: {struck.acked} of {total}, and {again.said['sent']} sent again"
        )
    return out


def race(home: Path, seed: int, files: int | None = None) -> Outcome:
    """Two to eight writers with the epochs that a Lease would give them, some stopped and continued late."""
    trial = Trial(home, seed)
    try:
        rng = trial.rng
        shape = _sizes(trial, 6 if files is None else files)
        shape["large"] = tuple(min(size, 4 * MIB) for size in shape["large"])
        count = rng.randint(2, 8)
        first = trial.source(**shape)
        sources = [first]
        if rng.random() < 0.5:  # of different contents
            sources += [trial.source(f"source-{number}", **shape) for number in range(1, count)]
        sources = [sources[number % len(sources)] for number in range(count)]
        epochs = list(range(1, count + 1))
        out = Outcome(f"{count} writers of {len({*sources})} contents")
        running: list[Running] = []
        stopped: list[int] = []
        for epoch, source in zip(epochs, sources, strict=True):
            running.append(
                trial.start(
                    source,
                    pod=f"p{epoch}",
                    machine=epoch,
                    epoch=epoch,
                    replace=True,
                    via=rng.choice(CHANNELS),
                    pace=0.01,
                )
            )
            time.sleep(rng.random() * 0.3)
            if rng.random() < 0.4:
                stopped += _stop(trial, rng.choice([running[-1].pid, *trial.agents()]))
        last = running[-1].ended() if running[-1].pid not in stopped else None
        if last is None:
            _continue(running[-1].pid)
            last = running[-1].ended()
        for pid in stopped:
            _continue(pid)
        ended = [*(one.ended() for one in running[:-1]), last]
        out.note += f", ended {[one.code for one in ended]}"
        # One that was stopped before it touched the volume may come last: only its Lease, which is not here, stops it.
        writers = list(zip(ended, sources, strict=True))
        checks = [trial.check_done(one, source) for one, source in writers if not one.code]
        if last.code not in (0, 7) or [] not in checks:
            out.wrong += trial.check_done(last, sources[-1])
        out.wrong += _out_of_order(trial, writers)
        # 5: overtaken; 7: its agent was stopped for longer than an answer is waited for.
        out.wrong += [f"I3 a writer ended with {one.code} {one.said}" for one in ended if one.code not in (0, 5, 7)]
        return out
    finally:
        trial.clear()


def _out_of_order(trial: Trial, writers: list[tuple[Ran, Path]]) -> list[str]:
    """I2: what is at the path is no earlier writer's that was at work when a later one began to publish.

    `writers` by epoch. One whose transfer was there before the later one published is overtaken by it, whatever either
    of them does afterwards; so is one that comes while the later one's is there.
    """
    there = reader.read(trial.claim, trial.path).files
    digests = [reader.digests(source) for _, source in writers]
    last = max((epoch for epoch, found in enumerate(digests) if found == there), default=len(writers))
    return [
        f"I2 writer {last + 1} came last, though writer {epoch + 1} published after it had begun"
        for epoch, (later, _) in enumerate(writers)
        if epoch > last and not later.code and writers[last][0].said["began"] < later.said["published"]
    ]


def _stop(trial: Trial, pid: int) -> list[int]:
    with contextlib.suppress(ProcessLookupError):
        import os

        os.kill(pid, signal.SIGSTOP)
        return [pid]
    return []


def _continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        import os

        os.kill(pid, signal.SIGCONT)


Scenario = Callable[..., Outcome]
SCENARIOS: dict[str, Scenario] = {"kill": kill_client, "cut": cut_power, "race": race}


def attempt(what: str, seed: int, files: int | None = None) -> Outcome:
    """One trial in a directory of its own; whatever goes wrong in it is a violation."""
    home = Path(tempfile.mkdtemp(prefix="pvserve-fault-"))
    try:
        return SCENARIOS[what](home, seed, files)
    except (AssertionError, TimeoutError) as error:
        return Outcome(f"seed {seed}", [f"{type(error).__name__} {error}"])
    finally:
        shutil.rmtree(home, ignore_errors=True)


def shrunk(what: str, seed: int, found: Outcome) -> str:
    """The smallest number of small files with which the seed still fails, as one line that reproduces it."""
    files = next((count for count in (0, 1, 2, 4, 8) if attempt(what, seed, count).wrong), None)
    smaller = "" if files is None else f" FILES={files}"
    return f"make soak ONLY={what} SEED={seed}{smaller}  # {found.note}: {'; '.join(found.wrong)}"
