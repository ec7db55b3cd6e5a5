"""Several pods fetch one model: the division, each share resumed by itself, and one of them publishes.

Aspects: every byte is somebody's, once · whatever the order of the pods · a pod that starts again · damage in a file of
two pods · a pod that comes late.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvserve.errors import DataDiffers, PvserveError, UsageError
from pvserve.transfer.agent.fetch.shards import INDEX, Share, ranges, share_of
from pvserve.transfer.agent.fetch.work import PIECE

from .conftest import MIB, Kind
from .shop import Handler

Make = Callable[[str], Kind]
EPOCH = 1_000_000_007


@pytest.fixture
def kind(make: Make) -> Kind:
    return make("s3")


def stock(kind: Kind) -> dict[str, bytes]:
    """Three large files, of which two pods share the middle one."""
    return kind.stock(
        {
            "a.safetensors": os.urandom(3 * MIB),
            "b.safetensors": os.urandom(25 * MIB + 3),
            "c.safetensors": os.urandom(MIB),
            "d.json": b"{}",
            "e/empty": b"",
            "f.json": b"[]",
        }
    )


def shard(kind: Kind, index: int, count: int = 2, **changes: Any) -> dict[str, Any]:
    """One pod of the Job."""
    before = os.environ.get(INDEX)
    os.environ[INDEX] = str(index)
    try:
        return kind.load(shards=count, epoch=EPOCH, **changes)
    finally:
        if before is None:
            del os.environ[INDEX]
        else:
            os.environ[INDEX] = before


def asked_of(kind: Kind, name: str) -> list[str]:
    return [
        headers["Range"]
        for method, path, headers in kind.shop.seen
        if method == "GET" and path.endswith(name) and "Range" in headers
    ]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_byte_is_of_one_share(count: int) -> None:
    chance = random.Random(count)
    for _ in range(200):
        sizes = [chance.choice((0, 10, 300_000, PIECE, chance.randrange(40 * PIECE))) for _ in range(9)]
        reached = [0] * len(sizes)
        split = 0
        for index in range(count):
            for number, (start, stop) in sorted(ranges(sizes, Share(index, count)).items()):
                assert reached[number] == start
                assert start % PIECE == 0
                split += (start, stop) != (0, sizes[number])
                reached[number] = stop
        assert reached == sizes
        assert split <= 2 * (count - 1)


def test_shares_are_of_nearly_the_same_size() -> None:
    sizes = [400 * PIECE] * 5
    shares = [sum(stop - start for start, stop in ranges(sizes, Share(i, 3)).values()) for i in range(3)]
    assert max(shares) - min(shares) <= 2 * PIECE


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_last_one_publishes_what_all_have_brought(kind: Kind, order: tuple[int, int]) -> None:
    files = stock(kind)
    first, last = (shard(kind, index) for index in order)
    assert first["manifest"] == ""
    kind.check(files, last)
    assert first["fetched"] + last["fetched"] == sum(map(len, files.values()))
    assert len(set(asked_of(kind, "b.safetensors"))) == len(asked_of(kind, "b.safetensors"))


def test_nothing_is_visible_before_all_is_there(kind: Kind) -> None:
    stock(kind)
    shard(kind, 0, 3)
    shard(kind, 2, 3)
    assert not (kind.claim / "models").exists()


def test_a_pod_that_starts_again_fetches_only_what_it_lacks_of_its_own(kind: Kind) -> None:
    files = stock(kind)

    def gone(handler: Handler, path: str) -> bool:
        if path.endswith("b.safetensors") and handler.headers.get("Range", "").startswith(f"bytes={16 * MIB}"):
            handler.error(400)
            return True
        return False

    kind.shop.faults = [gone]
    with pytest.raises(PvserveError):
        shard(kind, 1)
    assert shard(kind, 0)["manifest"] == ""
    kind.shop.faults = []
    kind.shop.seen.clear()
    done = shard(kind, 1)
    kind.check(files, done)
    assert asked_of(kind, "a.safetensors") == []
    assert all(int(asked.removeprefix("bytes=").split("-")[0]) >= 8 * MIB for asked in asked_of(kind, "b.safetensors"))


def test_a_pod_that_comes_again_after_the_end_changes_nothing(kind: Kind) -> None:
    files = stock(kind)
    shard(kind, 1)
    done = shard(kind, 0)
    kind.shop.seen.clear()
    again = shard(kind, 1)
    assert (again["unchanged"], again["manifest"]) == (True, done["manifest"])
    assert kind.there() == files


def test_the_publisher_that_was_killed_publishes_when_it_starts_again(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pvserve.transfer.agent.fetch import job

    files = stock(kind)
    shard(kind, 1)
    with monkeypatch.context() as killed:
        killed.setattr(job, "_published", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shard(kind, 0)
    assert shard(kind, 1)["manifest"] == ""  # it is not this one's
    kind.check(files, shard(kind, 0))


def test_damage_in_a_file_of_two_pods_is_found_and_mended(kind: Kind) -> None:
    files = stock(kind)
    shard(kind, 1)
    (file,) = Path(kind.claim).rglob("b.safetensors")
    with file.open("r+b") as written:
        written.seek(20 * MIB)
        written.write(b"damaged")
    with pytest.raises(DataDiffers) as damaged:
        shard(kind, 0)
    assert damaged.value.reason == "SourceDamaged"
    assert not (kind.claim / "models").exists()
    assert shard(kind, 0)["manifest"] == ""
    kind.check(files, shard(kind, 1))


def test_a_server_without_ranges_gives_each_pod_its_part(kind: Kind) -> None:
    files = stock(kind)
    kind.shop.ranges = False
    shard(kind, 0)
    kind.check(files, shard(kind, 1))


def test_another_number_of_pods_goes_on_alone(kind: Kind) -> None:
    files = stock(kind)
    shard(kind, 0)
    kind.check(files, kind.load(epoch=EPOCH + 1))


def test_a_pod_that_does_not_know_which_it_is_says_so() -> None:
    assert share_of(1, {}) is None
    with pytest.raises(UsageError):
        share_of(2, {})
    with pytest.raises(UsageError):
        share_of(2, {INDEX: "2"})
