"""Pieces that come twice, as they do when a file is sent again while its first pieces are still on their way."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from pvserve.transfer.agent.expected import Expected, Large
from pvserve.transfer.agent.frames import BAD, CELL, GOOD
from pvserve.transfer.agent.place import Partial, Place
from pvserve.transfer.agent.receiver import Receiver


def test_a_piece_that_comes_again_when_its_file_is_verified_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    partial = Partial(Place(str(tmp_path / "claim"), "granite", "granite"), "0" * 16 + "-" + "1" * 16, 1)
    partial.open()
    files: dict[int, Expected] = {0: Large(0, "weights", CELL + 7, False, "")}
    told: list[int] = []
    errors: list[BaseException] = []
    verified = threading.Event()

    def tell(kind: int, _payload: bytes, _number: int) -> None:
        told.append(kind)
        if kind == GOOD:
            verified.set()

    receiver = Receiver(partial, files, tell, errors.append)
    try:
        receiver.cell(0, 0, memoryview(b"a" * CELL))
        receiver.cell(0, CELL, memoryview(b"b" * 7))
        assert verified.wait(60)
        receiver.cell(0, 0, memoryview(b"c" * CELL))
        receiver.cell(0, CELL, memoryview(b"d" * 7))
    finally:
        receiver.stop()
    wanted = b"a" * CELL + b"b" * 7
    path = tmp_path / "claim" / ".pvserve/partial" / partial.path / "files/weights"
    assert path.read_bytes() == wanted
    assert files[0].verified == hashlib.sha256(wanted).hexdigest()
    assert not errors
    assert BAD not in told
