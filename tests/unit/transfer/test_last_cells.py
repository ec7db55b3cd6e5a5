"""The last pieces of a file: nothing comes after them that would have them made durable."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from pvserve.transfer.agent import receiver as receiving
from pvserve.transfer.agent.cells import FLUSH, Cells
from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import CELL, GOOD
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.agent.receiver import Receiver


def test_the_last_piece_is_not_left_lying_when_it_comes_while_others_become_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushing, go, verified = threading.Event(), threading.Event(), threading.Event()
    make_durable = Cells._make_durable

    def held(self: Cells, file: Large, handle: int, cells: list[int]) -> None:
        flushing.set()
        assert go.wait(60)
        make_durable(self, file, handle, cells)

    monkeypatch.setattr(Cells, "_make_durable", held)
    monkeypatch.setattr(receiving, "FLUSH_SECONDS", 600.0)  # what else would come to its help
    (tmp_path / "claim").mkdir()
    partial = Partial(Place(str(tmp_path / "claim"), "granite", "granite"), "0" * 16 + "-" + "1" * 16, 1)
    partial.open()
    files: dict[int, Expected] = {0: Large(0, "weights", FLUSH + 7, False, "")}
    errors: list[BaseException] = []

    def tell(kind: int, _payload: bytes, _number: int) -> None:
        if kind == GOOD:
            verified.set()

    receiver = Receiver(partial, files, tell, errors.append)
    try:
        for offset in range(0, FLUSH, CELL):
            receiver.cell(0, offset, memoryview(b"a" * CELL))
        assert flushing.wait(60)
        receiver.cell(0, FLUSH, memoryview(b"b" * 7))
        go.set()
        assert verified.wait(60)
    finally:
        go.set()
        receiver.stop()
    assert files[0].verified == hashlib.sha256(b"a" * FLUSH + b"b" * 7).hexdigest()
    assert not errors
