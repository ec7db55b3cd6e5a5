"""What became of each file: noted in the journal first, then told to the client.

Owns the journal's records, the fate of a file that failed, and the end of a transfer that cannot go on. Must not
write contents.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from typing import Callable, Iterable

from .expected import Expected, Large
from .frames import BAD, CHECKED, DURABLE, GOOD, PACKED
from .place import Partial
from .volume import look, open_directory

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no file can go on; all else condemns the one file

Tell = Callable[[int, bytes, int], None]


class Ledger:
    """Of one transfer. `let_go(file)` drops what is held of a file that is forgotten."""

    def __init__(
        self,
        partial: Partial,
        tell: Tell,
        fail: Callable[[BaseException], None],
        let_go: Callable[[Expected], None],
    ) -> None:
        self._partial = partial
        self._tell = tell
        self._fail = fail
        self._let_go = let_go
        self._lock = threading.Lock()
        self.failed = False

    def durable(self, file: Large, runs: list[tuple[int, int]]) -> None:
        """These cells were fsynced."""
        self._note(f"d {file.number} {first} {count}" for first, count in runs)
        self._tell(DURABLE, b"".join(PACKED.pack(*run) for run in runs), file.number)

    def verified(self, files: list[tuple[Expected, bytes]]) -> None:
        """These digests the volume gave back."""
        if not files:
            return
        for file, digest in files:
            file.verified = digest.hex()
        self._note(
            f"v {file.number} {file.size} {file.inode} {file.verified} {json.dumps(file.path)}" for file, _ in files
        )
        self._tell(GOOD, b"".join([CHECKED.pack(file.number, digest) for file, digest in files]), len(files))

    def no_copy(self, file: Expected) -> None:
        """It has to be sent."""
        self._tell(BAD, b"copy", file.number)

    def trouble(self, file: Expected, error: OSError, condemn: bool = True) -> None:
        """A full volume ends the transfer; any other error, above all a failed fsync, condemns the file.

        fsync reports a lost write once and then says that all is well, so it is never asked twice. Once the transfer
        has ended nothing is condemned: what is not in the journal is not believed anyway.
        """
        if self.failed:
            return
        if error.errno not in FATAL:
            self.forget(file)
            why = error.strerror or os.strerror(error.errno or 0)
            self._tell(BAD, why.encode("utf-8", "replace"), file.number)
            return
        if condemn:
            with contextlib.suppress(OSError):  # what cannot be noted is found by its digest
                self._condemn(file)
        error.filename = file.path
        self.end(error)

    def end(self, error: BaseException) -> None:
        """The transfer cannot go on."""
        self.failed = True
        self._fail(error)

    def forget(self, file: Expected) -> None:
        """Condemn a file; it has to come again. Raises Overtaken where it is a later writer's by now."""
        self._partial.check_ours()  # a later writer's files are neither bad nor ours to forget
        self._condemn(file)

    def _condemn(self, file: Expected) -> None:
        parent, _, name = file.path.rpartition("/")
        self._let_go(file)
        directory = open_directory(self._partial.files, parent)
        try:
            shared = isinstance(file, Large) and file.base is not None  # other parts of it are good
            if look(directory, name) and not shared:
                os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)
        self._note([f"x {file.number}"])

    def _note(self, lines: Iterable[str]) -> None:
        with self._lock:
            self._partial.journal.write(lines)
