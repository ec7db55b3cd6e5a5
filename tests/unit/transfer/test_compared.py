"""Copies that are compared with their source: good is only what the volume gives back as it was read.

Aspects: whichever way the file system reads and writes · a volume that damages, at any place · a failed fsync · a
source that changes meanwhile · what is noted, and when.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pvserve.transfer.agent import compared, direct
from pvserve.transfer.agent.compared import LEAST, NOTED, WINDOW
from pvserve.transfer.agent.copier import Copier
from pvserve.transfer.agent.direct import BLOCK, equal, room
from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import BAD, CELL, CHECKED, DURABLE, GOOD, PACKED, SOURCED
from pvserve.transfer.agent.journal import journal_lines
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.agent.receiver import Receiver
from pvserve.transfer.agent.source import Origin, Source, SourceChanged

from .conftest import MIB
from .pod import tree

SIZE = NOTED + WINDOW + 3 * MIB + 77  # no whole window, nor block


class Bench:
    """A copier in this process, for one large file that shares no blocks."""

    def __init__(self, home: Path, known: bool) -> None:
        self.path = tree(home / "w", {"one": os.urandom(SIZE)}) / "one"
        info = self.path.stat()
        origin = Origin("one", "one", (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))
        self.sha256 = hashlib.sha256(self.path.read_bytes()).digest()
        self.file = Large(0, "one", SIZE, False, self.sha256.hex() if known else "")
        files: dict[int, Expected] = {0: self.file}
        self.told: list[tuple[int, bytes]] = []
        self.errors: list[BaseException] = []
        self.over = threading.Event()
        (home / "claim").mkdir()
        self.partial = Partial(Place(str(home / "claim"), "granite", "granite"), "a" * 16 + "-" + "b" * 16, 1)
        self.partial.open()
        self.receiver = Receiver(self.partial, files, self._tell, self._fail)
        self._copier = Copier(Source(str(self.path.parent), ""), {0: origin}, self.receiver, self._tell, self._fail)
        self._known = known

    def copy(self) -> dict[int, list[bytes]]:
        """What was told until the file was good or bad, by kind."""
        self._copier.add([0], True, known=self._known)
        assert self.over.wait(30)
        self.receiver.stop()
        return {kind: [payload for one, payload in self.told if one == kind] for kind, _ in self.told}

    def copied(self) -> Path:
        return Path(f"/proc/self/fd/{self.partial.files}/one")

    def noted(self) -> list[str]:
        """The kinds of the journal's lines."""
        return [line[0] for line in journal_lines(self.partial.journal._handle)[0]]

    def _tell(self, kind: int, payload: bytes, number: int = 0, offset: int = 0) -> None:
        self.told.append((kind, payload))
        if kind in (BAD, SOURCED) or (kind == GOOD and self._known):  # of an unknown one GOOD comes before SOURCED
            self.over.set()

    def _fail(self, error: BaseException) -> None:
        self.errors.append(error)
        self.over.set()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setattr("pvserve.transfer.agent.copier.FICLONE", 0)
    monkeypatch.setattr(compared, "LEAST", WINDOW)
    benches: list[Bench] = []

    def made(known: bool = True) -> Bench:
        benches.append(Bench(tmp_path, known))
        return benches[-1]

    yield made
    for bench in benches:
        bench.receiver.stop()


def after_fsync(monkeypatch: pytest.MonkeyPatch, at: int, do: Callable[[int], None]) -> list[int]:
    """`do(handle)` after the fsync of the window with this number; how many there were."""
    count, fsync = [0], os.fsync

    def struck(handle: int) -> None:
        fsync(handle)
        if os.readlink(f"/proc/self/fd/{handle}").endswith("/files/one"):
            count[0] += 1
            if count[0] == at:
                do(handle)

    monkeypatch.setattr(compared.os, "fsync", struck)
    return count


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("way", ["past the cache", "through it"])
def test_an_equal_copy_has_the_digest_of_its_source(
    way: str, known: bool, make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "through it":
        monkeypatch.setattr(direct, "_past_cache", lambda _handle, _flags: None)
    bench = make(known)
    told = bench.copy()
    assert (told[GOOD], bench.errors) == ([CHECKED.pack(0, bench.sha256)], [])
    assert told.get(SOURCED, []) == ([] if known else [CHECKED.pack(0, bench.sha256)])
    assert bench.copied().read_bytes() == bench.path.read_bytes()
    assert bench.file.inode == bench.copied().stat().st_ino


@pytest.mark.parametrize(("seconds", "windows"), [(0.0, -(-SIZE // LEAST)), (0.2, 7)])
def test_a_dear_fsync_is_asked_for_less_often(
    seconds: float, windows: int, make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock that the copier looks at: 2, 4 and then 8 MiB."""
    clock = [0.0]
    monkeypatch.setattr(compared, "LEAST", LEAST)
    monkeypatch.setattr(compared, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def pass_(_handle: int) -> None:
        clock[0] += seconds

    bench = make()
    count = after_fsync(monkeypatch, 0, lambda _handle: None)
    monkeypatch.setattr(compared.os, "fsync", lambda handle, fsync=os.fsync: (fsync(handle), pass_(handle)))
    assert bench.copy()[GOOD] == [CHECKED.pack(0, bench.sha256)]
    assert count == [windows]


def test_of_a_known_source_nothing_is_digested(make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    monkeypatch.setattr("pvserve.transfer.agent.copier.hashlib", None)
    monkeypatch.setattr("pvserve.transfer.agent.expected.digest_of", None)
    assert bench.copy()[GOOD] == [CHECKED.pack(0, bench.sha256)]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("place", [0, WINDOW + 4 * MIB, SIZE - 1])
def test_what_a_volume_gives_back_otherwise_is_bad(
    place: int, known: bool, make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(known)

    def damage(handle: int) -> None:
        os.pwrite(handle, bytes([os.pread(handle, 1, place)[0] ^ 1]), place)

    after_fsync(monkeypatch, place // WINDOW + 1, damage)
    told = bench.copy()
    assert (GOOD in told, SOURCED in told, bench.errors) == (False, False, [])
    assert told[BAD] == [b"other bytes from byte %d on" % (place // (4 * MIB) * 4 * MIB)]
    assert not bench.copied().exists()
    assert bench.noted()[-1] == "x"
    assert bench.file.durable_count == 0


def test_a_file_that_is_cut_behind_us_is_bad(make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    after_fsync(monkeypatch, 2, lambda handle: os.ftruncate(handle, WINDOW + BLOCK))
    told = bench.copy()
    assert (GOOD in told, len(told[BAD])) == (False, 1)


def test_a_failed_fsync_condemns_and_is_not_asked_twice(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()

    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    count = after_fsync(monkeypatch, 2, fail)
    told = bench.copy()
    assert (GOOD in told, told[BAD], count) == (False, [b"Input/output error"], [2])
    assert not bench.copied().exists()


def test_a_full_volume_ends_it_and_keeps_what_was_noted(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()

    def full(_self: object, _data: memoryview, _offset: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    def arm(_handle: int) -> None:
        monkeypatch.setattr(direct.Past, "write", full)
        monkeypatch.setattr(compared, "write_all", full)

    after_fsync(monkeypatch, NOTED // WINDOW, arm)
    told = bench.copy()
    (error,) = bench.errors
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    assert told[DURABLE] == [PACKED.pack(0, NOTED // CELL)]
    assert bench.copied().stat().st_size >= NOTED


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("window", [1, -(-SIZE // WINDOW)])
def test_a_source_that_changes_meanwhile_makes_no_good_copy(
    window: int, known: bool, make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after its last byte was read: what was read before may be older than what was known."""
    bench = make(known)

    def change(_handle: int) -> None:
        with bench.path.open("r+b") as file:
            file.write(b"other")

    after_fsync(monkeypatch, window, change)
    told = bench.copy()
    assert [type(error) for error in bench.errors] == [SourceChanged]
    assert (GOOD in told, SOURCED in told) == (False, False)


def test_cells_are_noted_only_once_they_were_found_equal(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, order = make(), []
    compare, durable = compared.Compared._compare, type(bench.receiver._ledger).durable

    def comparing(self: compared.Compared, source: direct.Past, came: memoryview, offset: int) -> None:
        compare(self, source, came, offset)
        order.append(offset + len(came))

    def noting(ledger: object, file: Large, runs: list[tuple[int, int]]) -> None:
        order.append(-(runs[-1][0] + runs[-1][1]) * CELL)
        durable(ledger, file, runs)  # type: ignore[arg-type]  # the real one

    monkeypatch.setattr(compared.Compared, "_compare", comparing)
    monkeypatch.setattr(type(bench.receiver._ledger), "durable", noting)
    bench.copy()
    ends = [WINDOW * number for number in range(1, NOTED // WINDOW + 1)]
    assert order[: len(ends) + 1] == [*ends, -NOTED]
    assert bench.noted() == ["f", "d", "v"]


@pytest.mark.parametrize("size", [0, 1, 7, BLOCK, MIB + 1])
def test_equal_is_every_byte(size: int) -> None:
    left, right = room(), room()
    data = os.urandom(size)
    left[:size] = right[:size] = data
    assert equal(left[:size], right[:size])
    assert not equal(left[:size], right[: size + 1])
    for place in {0, size // 2, size - 1} if size else ():
        right[place] ^= 1
        assert not equal(left[:size], right[:size])
        right[place] ^= 1
