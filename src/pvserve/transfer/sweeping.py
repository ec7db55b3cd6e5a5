"""What a claim holds that no model needs, told and removed through the agent in a pod that mounts it.

Owns these two questions and their answers. Must not decide what may go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pvserve.errors import Refused, Temporary
from pvserve.facts import Contents, PartialRow, ReplacedRow
from pvserve.model import shown
from pvserve.transfer import causes
from pvserve.transfer.agent.frames import LEFT, REMOVED, SWEEP, Broken, Wire
from pvserve.transfer.answers import answer, answers, understood
from pvserve.transfer.channels import NoAgent, exec_channel
from pvserve.transfer.removing import Removed
from pvserve.transfer.values import Reach, Target

ROWS_LIMIT = 100_000


def contents(reach: Reach, claim: str, mount: str = "/claim") -> Contents:
    """What lies below `.pvserve/` of the claim. Raises Temporary: ReadCut; Refused: RemoveNeedsPython."""
    target = Target("", claim, mount)
    rows: dict[str, list[Any]] = {"partial": [], "replaced": [], "models": []}
    with _wire(reach, target) as wire:
        wire.send_json(LEFT, {"mount": mount})
        for frame in answers(wire, lambda told: causes.failure(told, target)):
            if frame.kind != LEFT:
                raise Broken(f"frame {frame.kind} came out of turn")
            with understood():
                kind, found = frame.json()
                rows[kind] += found
            if sum(map(len, rows.values())) > ROWS_LIMIT:
                raise Broken("the agent sends an endless list")
    with understood():
        return Contents(
            tuple(PartialRow(str(name), int(size), int(files), int(age)) for name, size, files, age in rows["partial"]),
            tuple(
                ReplacedRow(str(key), shown(str(path)), str(name), int(size), int(files))
                for key, path, name, size, files in rows["replaced"]
            ),
            tuple(shown(str(path)) for path in rows["models"]),
        )


def sweep(
    reach: Reach, claim: str, partials: Sequence[str], replaced: Sequence[tuple[str, str]], mount: str = "/claim"
) -> Removed:
    """Removes partial transfers by name, and what was replaced by key and name. Raises as `contents`."""
    target = Target("", claim, mount)
    with _wire(reach, target) as wire:
        wire.send_json(
            SWEEP, {"mount": mount, "partials": list(partials), "replaced": [list(pair) for pair in replaced]}
        )
        frame = answer(wire, REMOVED, target)
        with understood():
            told = frame.json()
            return Removed(True, int(told["bytes"]), int(told["files"]))


@contextmanager
def _wire(reach: Reach, target: Target) -> Iterator[Wire]:
    try:
        channel = exec_channel(reach, "")
    except NoAgent as error:
        raise Refused(
            "RemoveNeedsPython",
            f"claim {target.claim} is looked into by a program that needs Python 3.8 or newer in the pod: {error}",
            subject=str(target),
            remedy=("add --image with an image that has Python 3.8 or newer",),
        ) from error
    try:
        channel.keep_alive()
        yield channel.control
    except (Broken, OSError) as error:
        raise Temporary(
            "ReadCut",
            f"the connection to the pod on claim {target.claim} broke off: {shown(str(error))[:300]}",
            subject=str(target),
            remedy=("run the same command again",),
        ) from error
    finally:
        channel.close()
