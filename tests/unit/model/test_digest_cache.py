"""Digests are right, are remembered only while nothing moved, and the cache survives everything."""

import hashlib
import itertools
import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
from directories import Tree

from pvserve.errors import PvserveError, Temporary
from pvserve.events import Transfer
from pvserve.model import DigestCache, Listing, full_manifest, hash_file, known_manifest, listing
from pvserve.model.digests import cache_directory
from pvserve.model.walk import Found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def rested(root: Path) -> Listing:
    """A listing of files that were not changed just now: ctime cannot be set, so time is waited for."""
    time.sleep(0.06)
    return listing(root)


def test_the_manifest_has_the_real_digests(tree: Tree) -> None:
    found = listing(tree({"a": b"1" * 3_000_000, "b/empty": b""}))
    manifest = full_manifest(found)
    assert [(entry.path, entry.sha256) for entry in manifest.entries] == [
        ("a", sha256(b"1" * 3_000_000)),
        ("b/empty", sha256(b"")),
    ]
    assert manifest.source == str(found.root)
    assert manifest.created.endswith("Z")


def test_the_second_time_no_file_is_read(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rested(tree({"a": b"1", "b": b"2"}))
    assert known_manifest(found) is None
    first = full_manifest(found)
    monkeypatch.setattr("pvserve.model.digests.hash_file", None)
    again = known_manifest(found)
    assert again is not None
    assert again.entries == first.entries
    assert full_manifest(found).entries == first.entries


def test_checksum_reads_everything_again(tree: Tree) -> None:
    root = tree({"a": b"1"})
    found = rested(root)
    with DigestCache() as cache:
        cache.put(found.entries[0], "0" * 64, read_at_ns=time.time_ns())
    assert full_manifest(found).entries[0].sha256 == "0" * 64  # what the cache says is believed
    assert known_manifest(found, checksum=True) is None
    assert full_manifest(found, checksum=True).entries[0].sha256 == sha256(b"1")
    assert full_manifest(found).entries[0].sha256 == sha256(b"1")  # and the cache was put right


def test_any_change_of_the_file_is_a_miss(tree: Tree) -> None:
    root = tree({"a": b"1"})
    full_manifest(rested(root))
    info = (root / "a").stat()
    (root / "a").write_bytes(b"2")
    os.utime(root / "a", ns=(info.st_atime_ns, info.st_mtime_ns))  # size, inode and mtime are as before; ctime is not
    assert known_manifest(rested(root)) is None
    assert full_manifest(listing(root)).entries[0].sha256 == sha256(b"2")
    (root / "b").write_bytes(b"2")
    (root / "b").replace(root / "a")
    assert known_manifest(listing(root)) is None


def test_a_file_that_changed_just_before_is_not_remembered(tree: Tree) -> None:
    root = tree({"a": b"1"})
    found = listing(root).entries[0]
    with DigestCache() as cache:
        cache.put(found, sha256(b"1"), read_at_ns=max(found.mtime_ns, found.ctime_ns) + 1_000_000)
        assert cache.get(found) is None
        whole = found._replace(mtime_ns=1_000_000_000, ctime_ns=2_000_000_000)
        cache.put(whole, sha256(b"1"), read_at_ns=4_000_000_000)  # a file system that keeps whole seconds
        assert cache.get(whole) is None
        cache.put(whole, sha256(b"1"), read_at_ns=4_200_000_000)
        assert cache.get(whole) == sha256(b"1")


def test_hard_links_are_read_once(tree: Tree) -> None:
    root = tree({"a": b"1" * 1000})
    os.link(root / "a", root / "b")
    read = []
    manifest = full_manifest(rested(root), listener=lambda event: read.append(event))
    assert manifest.entries[0].sha256 == manifest.entries[1].sha256
    assert [event.files_done for event in read if isinstance(event, Transfer)] == [0, 1]
    assert len(DigestCache()._read()) == 1


def test_a_file_that_is_not_what_was_listed_is_named(tree: Tree) -> None:
    root = tree({"a": b"1", "b": b"1", "c": b"1"})
    found = listing(root)
    (root / "a").write_bytes(b"22")
    (root / "b").unlink()
    (root / "c").unlink()
    (root / "c").symlink_to("/etc/passwd")
    for entry in found.entries[:2]:
        with pytest.raises(Temporary, match=f"{entry.path} changed while it was read"):
            hash_file(entry)
    with pytest.raises(PvserveError, match="c failed at byte 0"):
        hash_file(found.entries[2])


def test_a_file_that_changes_while_it_is_read_is_named(tree: Tree) -> None:
    root = tree({"a": b"1" * (3 << 20)})

    def meddle(_count: int) -> None:
        with (root / "a").open("ab") as file:
            file.write(b"x")

    with pytest.raises(Temporary, match="a changed while it was read"):
        hash_file(listing(root).entries[0], meddle)


def test_a_fifo_put_there_meanwhile_does_not_hang(tree: Tree) -> None:
    root = tree({"a": b"1"})
    found = listing(root).entries[0]
    (root / "a").unlink()
    os.mkfifo(root / "a")
    with pytest.raises(Temporary, match="changed"):
        hash_file(found)


def entry(number: int) -> Found:
    return Found(f"f{number}", number, 1, 1, number, 1, False, "/f")


def write_many(seed: int) -> None:
    chooser = random.Random(seed)
    for _ in range(20):
        with DigestCache() as cache:
            for _ in range(50):
                number = chooser.randrange(2000)
                cache.put(entry(number), sha256(str(number).encode()), read_at_ns=10**18)


def test_many_processes_may_write_at_once() -> None:
    workers = [multiprocessing.get_context("fork").Process(target=write_many, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    cache = DigestCache()
    known = [number for number in range(2000) if cache.get(entry(number))]
    assert len(known) > 1500
    assert all(cache.get(entry(number)) == sha256(str(number).encode()) for number in known)


def test_torn_and_foreign_lines_are_ignored() -> None:
    with DigestCache() as cache:
        for number in range(3):
            cache.put(entry(number), sha256(b"x"), read_at_ns=10**18)
    file = cache_directory() / "digests-1.txt"
    content = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(content[: len(content) - 20] + b"\xff\x00 garbage\nmore garbage 12345678\n1 2 3")
    damaged = DigestCache()
    assert [damaged.get(entry(number)) is not None for number in range(3)] == [True, True, False]
    with damaged:
        damaged.put(entry(2), sha256(b"x"), read_at_ns=10**18)
    assert DigestCache().get(entry(2)) == sha256(b"x")


def test_every_single_damaged_byte_costs_at_most_its_line() -> None:
    with DigestCache() as cache:
        cache.put(entry(1), sha256(b"x"), read_at_ns=10**18)
    file = cache_directory() / "digests-1.txt"
    content = file.read_bytes()
    for position in range(len(content)):
        file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert DigestCache().get(entry(1)) in (None, sha256(b"x"))
        assert set(DigestCache()._read().values()) <= {sha256(b"x")}


def test_the_cache_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvserve.model.digests._MAX_LINES", 100)
    with DigestCache() as cache:
        for number in range(300):
            cache.put(entry(number), sha256(b"x"), read_at_ns=10**18)
    short = DigestCache()
    assert short.get(entry(299)) is not None
    assert short.get(entry(10)) is None
    assert len((cache_directory() / "digests-1.txt").read_text().splitlines()) == 50


@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null/x"])
def test_without_a_place_to_write_everything_works(where: str, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVSERVE_CACHE_DIR", where)
    found = rested(tree({"a": b"1"}))
    assert full_manifest(found).entries[0].sha256 == sha256(b"1")
    assert known_manifest(found) is None


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PVSERVE_CACHE_DIR")
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == Path("/home/u/.cache/pvserve")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/x/pvserve")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # the XDG specification says to ignore it
    assert cache_directory() == Path("/home/u/.cache/pvserve")


def test_progress_counts_every_byte(tree: Tree) -> None:
    events: list[Transfer] = []
    found = rested(tree({"a": b"1" * 2_500_000, "b": b"2" * 10}))
    full_manifest(found, listener=lambda event: events.append(event) if isinstance(event, Transfer) else None)
    assert events[-1].bytes_done == events[-1].bytes_total == found.bytes
    assert all(one.bytes_done <= other.bytes_done for one, other in itertools.pairwise(events))
