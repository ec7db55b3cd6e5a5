"""Copies that share blocks: whole after a power cut, as every load is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, copy, inspect, load
from tests.unit.transfer.pod import LocalPod, contents, tree

from .volume import MIB, Volume

SIZE = 48 * MIB


@pytest.fixture
def shelf(mounting: None, tmp_path: Path) -> Iterator[Volume]:
    """An xfs, which shares blocks."""
    with Volume(tmp_path / "volume", mib=384, kind="xfs") as made:
        yield made


def test_a_copy_that_shares_blocks_is_whole_after_a_power_cut(shelf: Volume, tmp_path: Path) -> None:
    model = tree(tmp_path / "source", {"model.data": os.urandom(SIZE), "config.json": b"{}"})
    source, target = (Target(path, "models", str(shelf.root)) for path in ("granite", "team/copy"))
    load(listing(model), LocalPod(), source, cache=DigestCache(tmp_path / "digests"))
    shelf.fill(SIZE // 2)  # there is no room for a second set of blocks
    free = os.statvfs(shelf.root).f_bavail
    before = contents(shelf.root / "granite")
    done = copy(source, LocalPod(), target, cache=DigestCache(tmp_path / "nothing"))
    shelf.power_fails()
    shelf.comes_back()
    block = os.statvfs(shelf.root).f_frsize
    assert (free - os.statvfs(shelf.root).f_bavail) * block < SIZE // 4  # the blocks are the source's
    assert contents(shelf.root / "team/copy") == before == contents(model)
    seen = inspect(LocalPod(), "team/copy", "full", mount=str(shelf.root))
    assert (seen.matches, seen.changed, seen.manifest) == (2, (), done.manifest)
    # The source's stamps outlived being shared, and the copy has its own: a copy of the copy is known too.
    names = {path.parent.parent.name for path in shelf.root.glob(".pvserve/models/*/*/stamps")}
    assert names == {"granite", "team%2Fcopy"}
    third = Target("third", "models", str(shelf.root))
    assert copy(target, LocalPod(), third, cache=DigestCache(tmp_path / "none")).manifest_digest == done.manifest_digest
