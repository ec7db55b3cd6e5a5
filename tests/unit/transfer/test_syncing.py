"""When one call may stand for an fsync of every file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pvserve.transfer.agent import syncing
from pvserve.transfer.agent.syncing import BELIEVED, FileSystem


def system(directory: str | Path) -> FileSystem:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return FileSystem(os.dup(handle))
    finally:
        os.close(handle)


def test_a_file_system_that_no_test_cut_the_power_of_is_not_believed() -> None:
    here = system("/proc")
    assert here.mark() == -1
    assert not here.sync(-1)


def test_a_kernel_that_reports_no_lost_write_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="5.7.19-rc1"))
    assert system(tmp_path).mark() == -1


def test_the_type_is_read_as_statfs_tells_it(tmp_path: Path) -> None:
    """Against the kernel's own table of mounts."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    device = os.stat(tmp_path).st_dev
    kinds = {line[line.index("-") + 1] for line in lines if line[2] == f"{os.major(device)}:{os.minor(device)}"}
    assert len(BELIEVED) == 2
    assert (system(tmp_path).mark() >= 0) == bool(kinds & {"ext4", "ext3", "ext2", "xfs"})


@pytest.mark.parametrize(("kind", "network"), [(0x6969, True), (0x65735546, True), (0x01021994, False), (0, False)])
def test_where_a_server_may_copy(kind: int, network: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """statfs(2): NFS, FUSE, tmpfs; 0 where nobody knows."""
    monkeypatch.setattr(syncing, "_type", lambda _directory: kind)
    assert system(tmp_path).network is network


def test_after_a_failure_it_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_mark: int) -> int:
        raise OSError(errno.EIO, "made by a test")

    monkeypatch.setattr(syncing, "_syncfs", lambda: failing)
    here = system(tmp_path)
    mark = here.mark()
    with pytest.raises(OSError, match="made by a test"):
        here.sync(mark)
    assert not here.sync(mark)
    assert here.mark() == -1


def test_a_volume_to_which_others_write_much_is_not_waited_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "_syncfs", lambda: lambda _mark: 0)
    here = system(tmp_path)
    mark = here.mark()
    assert here.sync(mark)
    monkeypatch.setattr(syncing, "SLOW_SECONDS", -1.0)
    assert here.sync(mark)
    assert not here.sync(mark)
