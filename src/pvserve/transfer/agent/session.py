"""One client's work: what each frame asks for, from the first question to the published version.

Owns the talk over the control stream. Must not touch the volume but through the other modules.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from typing import Any

from .aside import Aside
from .copier import Copier
from .expected import Expected, Large, runs
from .frames import (
    AGAIN,
    BAD,
    BEGIN,
    BYE,
    COPY,
    DATA,
    DONE,
    FAIL,
    FINISH,
    HAVE,
    LEFT,
    PACK,
    PING,
    READY,
    REMOVE,
    SMALL,
    STATE,
    SWEEP,
    TEXT,
    Broken,
    Frame,
    Wire,
)  # fmt: skip
from .neighbours import check_alone
from .place import MANIFEST, SUMS, Overtaken, Partial, Place, space
from .publish import adopt, publish, recover, settle
from .questions import QUESTIONS, listed
from .receiver import Receiver
from .reuse import candidates, copy_file
from .source import Source, origins
from .survey import BATCH, state
from .volume import Told, Tree, Unsafe, cause

PING_SECONDS = 5.0
SILENT_SECONDS = 90.0  # without a sign of life from the client the agent ends
_TRANSFER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")


class Session:
    """One client's work, over its control stream; data streams join by `data`."""

    def __init__(self, wire: Wire, heard: str, aside: Aside | None = None) -> None:
        self._wire = wire
        self._aside = aside
        self._heard = heard
        self._last: float | None = time.monotonic()
        self._over = threading.Event()
        self._finishing = False
        self.receiver: Receiver | None = None
        self._partial: Partial | None = None
        self._place: Place | None = None
        self._expected: dict[int, Expected] = {}
        self._copier: Copier | None = None
        self._texts: dict[str, bytearray] = {MANIFEST: bytearray(), SUMS: bytearray()}

    def run(self) -> None:
        """Serve until the client says goodbye or is gone."""
        threading.Thread(target=self._breathe, daemon=True).start()
        tree: Tree | None = None
        try:
            while True:
                frame = self._wire.receive()
                self._last = None  # busy: while we work, the client cannot be heard
                if frame.kind == BYE:
                    return
                if frame.kind in (DATA, PACK):
                    assert self._partial is not None
                    tree = tree or Tree(self._partial.files)
                    self._take(frame, tree)
                elif frame.kind != PING:
                    self._answer(frame)
                self._last = time.monotonic()
        except Broken:
            return
        except BaseException as error:  # noqa: BLE001 - the client must learn why
            self.fail(error)
        finally:
            self._over.set()

    def data(self, wire: Wire) -> None:
        """Serve one data stream; the client uses it only after READY, but for signs of life."""
        tree: Tree | None = None
        try:
            while True:
                frame = wire.receive()
                if frame.kind == BYE:
                    return
                if frame.kind == PING:
                    continue
                if self._partial is None:
                    raise Broken("a piece came before the files were named")
                tree = tree or Tree(self._partial.files)
                self._take(frame, tree)
        except Broken:
            return
        except BaseException as error:  # noqa: BLE001 - the client must learn why
            self.fail(error)
        finally:
            if tree:
                tree.close()

    def fail(self, error: BaseException) -> None:
        """Tell the client why this session cannot go on."""
        with contextlib.suppress(Broken, OSError):
            told = describe(self._cause(error), self._place)
            told["disturbed"] = self._partial is not None and self._partial.taken_over
            self._wire.send_json(FAIL, told)

    def _cause(self, error: BaseException) -> BaseException:
        """Whatever goes wrong with files that a later writer has taken over, that is why."""
        if self._partial is None:
            return error
        try:
            self._partial.check_ours()
        except Overtaken as overtaken:
            return overtaken
        except OSError:  # the volume does not even say whose they are
            pass
        return cause(error, self._partial.directory) if isinstance(error, OSError) else error

    def _take(self, frame: Frame, tree: Tree) -> None:
        assert self.receiver is not None
        if self._finishing:  # what came twice comes late, and the files are others' to read by now
            return
        if frame.kind == DATA:
            self.receiver.cell(frame.number, frame.offset, frame.payload)
        elif frame.kind == PACK:
            self.receiver.pack(frame.number, frame.payload, tree)

    def _answer(self, frame: Frame) -> None:
        if frame.kind == BEGIN:
            self._begin(frame.json())
        elif frame.kind in QUESTIONS:
            QUESTIONS[frame.kind](self._wire, frame.json())
        elif frame.kind == COPY:
            assert self._copier is not None
            ask = frame.json()
            self._copier.add(ask["numbers"], ask["send"], ask["known"])
        elif frame.kind == AGAIN:
            assert self.receiver is not None
            self.receiver.again(frame.number)
            self._wire.send(BAD, b"", frame.number)
        elif frame.kind == TEXT:
            self._texts[(MANIFEST, SUMS)[frame.number]] += frame.payload
        elif frame.kind == FINISH:
            self._finish(frame.json())
        elif frame.kind in (REMOVE, LEFT, SWEEP):
            from .tidy import tidy  # here, and below: what few sessions need is loaded by those

            tidy(frame, self._wire)
        else:
            raise Broken(f"frame {frame.kind} came out of turn")

    def _begin(self, ask: dict[str, Any]) -> None:
        place = self._place = Place(ask["mount"], ask["path"], ask["key"])
        self._named(ask)
        check_alone(place)
        rows_ = listed(self._wire)
        for number, row in enumerate(rows_):
            kind = Large if row[1] > SMALL else Expected
            self._expected[number] = kind(number, row[0], row[1], bool(row[2]), row[3])
        self._partial = Partial(place, ask["transfer"], ask["epoch"])
        recover(place, self._partial)
        self._partial.open()
        self.receiver = Receiver(self._partial, self._expected, self._wire.send, self.fail, aside=self._aside)
        self.receiver.resume()
        if "source" in ask:
            source = Source(ask["source"]["mount"], ask["source"]["path"])
            self._copier = Copier(source, origins(rows_), self.receiver, self._wire.send, self.fail)
        copies = list(candidates(place, self._partial, self._expected.values())) if ask["reuse"] else []
        self._wire.send_json(STATE, {**state(place), "held": self._partial.held(), "shares": self._shares()})
        self._tell_have([file for file, _ in copies])
        self._wire.send(READY)
        threading.Thread(target=self._copy, args=(place, copies), daemon=True).start()

    def _shares(self) -> bool:
        """Whether a copy takes no room for what the source has."""
        return self._copier is not None and self._copier.can_share()

    def _tell_have(self, copied: list[Expected]) -> None:
        told: list[list[Any]] = [[file.number, "c"] for file in copied]
        for file in self._expected.values():
            if file.verified:
                told.append([file.number, "v", file.verified])
            elif isinstance(file, Large) and file.durable_count:
                cells = [cell for cell, there in enumerate(file.durable) if there]
                told.append([file.number, "d", runs(cells)[:BATCH]])
        for start in range(0, len(told), BATCH):
            self._wire.send_json(HAVE, told[start : start + BATCH])

    def _copy(self, place: Place, copies: list[tuple[Expected, str]]) -> None:
        assert self._partial is not None
        assert self.receiver is not None
        tree = Tree(self._partial.files)
        try:
            for file, source in copies:
                parent, _, name = file.path.rpartition("/")
                directory = tree.directory(parent, make=True)
                self.receiver.take_copy(
                    file,
                    lambda: copy_file(place.root, source, directory, name, file.size, file.mode),  # noqa: B023 - called at once
                )
        except BaseException as error:  # noqa: BLE001 - the client must learn why
            self.fail(error)
        finally:
            tree.close()

    def _named(self, ask: dict[str, Any]) -> str:
        if not _TRANSFER.fullmatch(ask["transfer"]):
            raise Broken("the transfer has no proper name")
        return str(ask["transfer"])

    def _finish(self, ask: dict[str, Any]) -> None:
        self._place = self._place or Place(ask["mount"], ask["path"], ask["key"])
        texts = {name: bytes(text) for name, text in self._texts.items()}
        kept = ""
        if ask["how"] in ("adopt", "settle"):
            partial = self._partial = Partial(self._place, self._named(ask), ask["epoch"])
            if ask["how"] == "adopt":
                adopt(self._place, partial, texts, ask["digest"])
            else:
                settle(self._place, partial)
        else:
            assert self._partial is not None
            assert self.receiver is not None
            self._finishing = True
            self.receiver.stop()
            kept = publish(self._place, self._partial, self._expected, texts, ask["digest"], ask["replace"])
        self._wire.send_json(DONE, {"kept": kept})

    def _breathe(self) -> None:
        """Tell both the client and the pod's main process that we live, while the client does."""
        while not self._over.wait(PING_SECONDS):
            last = self._last
            if last is not None and time.monotonic() - last > SILENT_SECONDS:
                os._exit(3)
            with contextlib.suppress(Broken, OSError):
                self._wire.send(PING)
            touch(self._heard)


def touch(path: str) -> None:
    """Leave the sign that the pod's main process waits for."""
    if path:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def describe(error: BaseException, place: Place | None) -> dict[str, Any]:
    """An error as the client's table of causes wants it."""
    told: dict[str, Any] = {"code": type(error).__name__, "text": str(error), "path": "", "errno": 0}
    if isinstance(error, OSError):
        told["errno"] = error.errno or 0
        told["text"] = error.strerror or str(error)
        told["path"] = str(error.filename or "")
    elif isinstance(error, Unsafe):
        told["path"], told["text"] = error.path, error.why
    elif not isinstance(error, (Told, Broken)):
        import traceback

        told["text"] = "".join(traceback.format_exception(type(error), error, error.__traceback__))[-2000:]
    if isinstance(error, Overtaken):
        told["epoch"] = error.epoch
    if place is not None:
        with contextlib.suppress(OSError):
            told["space"] = space(place.root)
    return told
