"""Who reads while other content is put in place: never nothing, never a part, never two versions mixed (I2)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from . import reader
from .trial import MIB, Trial

SWAPS = 4


class Readers:
    """Opens the directory at a path and reads all of it, again and again; `versions` are contents that may be there."""

    def __init__(self, path: Path, versions: list[dict[str, str]]) -> None:
        self._path, self._versions = path, versions
        self._over = threading.Event()
        self.seen: list[int] = []
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Readers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.is_set() and not self.wrong:
            try:
                handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                self.wrong.append(f"nothing is there: {error}")
                return
            try:
                found = reader.digests(Path(f"/proc/self/fd/{handle}"))
            finally:
                os.close(handle)
            if found in self._versions:
                self.seen.append(self._versions.index(found))
            else:
                self.wrong.append(f"neither version is there: {found}")


def test_a_reader_sees_whole_versions_only(on_volume: Trial) -> None:
    sources = [on_volume.source(name, large=(MIB,), small=6) for name in ("one", "other")]
    assert on_volume.run(sources[0]).code == 0
    with Readers(on_volume.claim / on_volume.path, [reader.digests(source) for source in sources]) as readers:
        for number in range(SWAPS):
            ran = on_volume.run(sources[(number + 1) % 2], replace=True, epoch=2 + number)
            assert ran.code == 0, ran.said
    assert readers.wrong == []
    assert {0, 1} == set(readers.seen), "it did not look while they were exchanged"
    assert len(list((on_volume.claim / ".pvserve/replaced").glob("*/*"))) == SWAPS, "what was there is kept"
