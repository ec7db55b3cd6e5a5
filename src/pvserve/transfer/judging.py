"""Whether the volume gave back what the source holds: both digests of each file, and what follows from them.

Owns the comparison, and how often a file may come again. Must not know streams.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from pvserve.transfer import causes
from pvserve.transfer.ask import Ask
from pvserve.transfer.progress import Progress

TRIES = 3  # times that one file may come back wrong

Digested = tuple[int, str, int]  # file number, hex sha256, wall clock in ns when reading began


def check_source(ask: Ask, number: int, digest: str) -> None:
    """Raise DataDiffers where what was read of a file is not what its publisher, or its stamp, promises."""
    found = ask.listing.entries[number]
    if found.promised_sha256 and digest != found.promised_sha256:
        raise causes.damaged(found, digest)
    if ask.source is not None and ask.stamped and ask.stamped[number] not in ("", digest):
        raise causes.rotted(ask.source, found, digest, ask.stamped[number])


class Judge:
    """Of one session; `moved` is called when files were found equal, `differs` with a file that was not."""

    def __init__(self, ask: Ask, progress: Progress, moved: Callable[[], None], differs: Callable[[int], None]) -> None:
        self._ask = ask
        self._entries = ask.listing.entries
        self._progress = progress
        self._moved = moved
        self._differs = differs
        self._lock = threading.Lock()
        self._remote: dict[int, str] = {}  # digests that the volume gave back
        self._good: set[int] = set()
        self._wrong: dict[int, str] = {}  # digests that were not the source's

    @property
    def done(self) -> bool:
        """Whether every file was read back and is equal."""
        return len(self._good) == len(self._entries)

    def source_digests(self, found: Sequence[Digested]) -> None:
        """What was read of the source; `Ask.known` has it. Raises DataDiffers as `check_source` does."""
        for number, digest, _ in found:
            check_source(self._ask, number, digest)
        with self._lock:
            for number, digest, began in found:
                self._ask.cache.put(self._entries[number], digest, read_at_ns=began)
        self._judge([number for number, _, _ in found])

    def volume_digests(self, found: Sequence[tuple[int, str]]) -> None:
        """What the volume gave back."""
        with self._lock:
            self._remote.update(found)
        self._judge([number for number, _ in found])

    def _judge(self, numbers: Iterable[int]) -> None:
        """Compare, where both sides are known."""
        good, wrong = [], []
        with self._lock:
            for number in numbers:
                ours, theirs = self._ask.known[number], self._remote.get(number)
                if not ours or theirs is None or number in self._good:
                    continue
                if ours == theirs:
                    self._good.add(number)
                    good.append(number)
                else:
                    self._wrong[number] = self._remote.pop(number)
                    wrong.append(number)
        if good:
            self._progress.complete([(number, self._entries[number].size) for number in good])
            self._moved()
        for number in wrong:
            self._differs(number)

    def again(self, number: int, why: str) -> None:
        """A file is to come once more: the agent condemned it, by itself or because we told it that it differs.

        Raises:
            DataDiffers: VolumeCorrupts, it came back wrong more than TRIES times.
        """
        with self._lock:
            why = self._wrong.get(number, why)
            self._good.discard(number)
            self._remote.pop(number, None)
            tries = self._ask.tries[number] = self._ask.tries.get(number, 0) + 1
        if tries > TRIES:
            raise causes.differs(self._ask.target, self._entries[number].path, self._ask.known[number], why)
        self._progress.lost(number)
