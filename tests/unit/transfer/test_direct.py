"""Large files past the page cache: the same bytes whether the file system can or not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.transfer.agent import direct
from pvserve.transfer.agent.direct import BLOCK, PIECE, Past, room
from pvserve.transfer.agent.expected import digest_of

SIZES = [1, BLOCK - 1, BLOCK, BLOCK + 1, PIECE - BLOCK, PIECE - 1, PIECE]
REAL = {"preadv": os.preadv, "pwrite": os.pwrite}


@pytest.fixture(params=["past", "no descriptor", "refused when used"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the file system takes O_DIRECT."""
    if request.param == "no descriptor":
        monkeypatch.setattr(direct, "_past_cache", lambda _handle, _flags: None)
    if request.param == "refused when used":
        second: set[int] = set()

        def opened(handle: int, flags: int) -> direct.Again:
            again = direct.Again(handle, flags)
            second.add(again.number)
            return again

        def refusing(name: str):
            def call(handle: int, data, offset: int) -> int:
                if handle in second:
                    raise OSError(errno.EINVAL, "made by a test")
                return REAL[name](handle, data, offset)

            return call

        monkeypatch.setattr(direct, "_past_cache", opened)
        for name in REAL:
            monkeypatch.setattr(os, name, refusing(name))
    return request.param


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[int]:
    """An open file."""
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT, 0o600)
    yield number
    os.close(number)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read(size: int, way: str, handle: int) -> None:
    data, buffer = os.urandom(size), room()
    buffer[:size] = data
    Past(handle, os.O_WRONLY).write(buffer[:size], BLOCK)
    assert os.fstat(handle).st_size == BLOCK + size
    other = room()
    source = Past(handle, os.O_RDONLY)
    assert bytes(source.read(other, BLOCK, size)) == data
    assert bytes(source.read(other, 0, min(PIECE, BLOCK + size))) == (bytes(BLOCK) + data)[:PIECE]


def test_no_more_than_asked_for_and_fewer_at_the_end(way: str, handle: int) -> None:
    os.ftruncate(handle, 3 * BLOCK + 7)
    source, buffer = Past(handle, os.O_RDONLY), room()
    assert len(source.read(buffer, 0, 5)) == 5
    assert len(source.read(buffer, BLOCK, PIECE)) == 2 * BLOCK + 7
    assert len(source.read(buffer, 4 * BLOCK, PIECE)) == 0


def test_a_file_of_another_size_has_no_digest(way: str, handle: int) -> None:
    size = PIECE + 3
    os.ftruncate(handle, size)
    assert digest_of(handle, size)
    for wrong in (size - 1, size + 1, PIECE, 0):
        with pytest.raises(OSError, match="gave back"):
            digest_of(handle, wrong)
