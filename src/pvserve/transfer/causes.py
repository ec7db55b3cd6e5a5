"""What the agent says went wrong, as errors a user can act on.

Owns the table from the agent's words to errors. What a pod says is cut and made safe before it is shown.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pvserve.errors import DataDiffers, PvserveError, Refused, Temporary
from pvserve.model.contain import shown
from pvserve.model.walk import Found
from pvserve.transfer.agent.place import FIRST_LEASE
from pvserve.transfer.values import Target

SAID = 500
INODES = 16  # for pvserve's own files
LOOK_AT_STORAGE = "look at the node's kernel log and the storage system; the same command goes on afterwards"
LATER = "an unfinished transfer lies there, of epoch "
LAST_RAISED = FIRST_LEASE + 10**9  # what claims to be later was not written by us; a Lease counts to 2**31
DISTURBED_TRIES = 2  # more, by whoever is disturbed
HEADROOM = 0.06  # of the bytes to come, for the file system itself (CDI reserves the same)


class Disturbed(PvserveError):
    """What failed had been taken over from another writer, who may not know it yet: worth another try at once."""


def failure(told: Any, target: Target, missing: int = 0) -> PvserveError:
    """The error that a FAIL frame stands for; so many bytes were still `missing` on the volume, 0 where unknown."""
    told = told if isinstance(told, dict) else {}
    error = _failure(told, target, missing)
    if told.get("disturbed") is True and error.reason in ("VolumeUnsafe", "AgentFailed"):
        return Disturbed(error.reason, error.message, subject=error.subject, remedy=error.remedy)
    return error


def _failure(told: Mapping[str, Any], target: Target, missing: int) -> PvserveError:
    code, path, number = str(told.get("code")), shown(str(told.get("path"))[:SAID]), told.get("errno")
    text = shown(str(told.get("text"))[-SAID:])
    if number in (errno.ENOSPC, errno.EDQUOT):
        return full(target, path, told.get("space"), missing)
    if number == errno.EROFS:
        return PvserveError(
            "VolumeReadOnly",
            f"the volume of claim {target.claim} became read-only while {path or 'it'} was written",
            subject=str(target),
            remedy=(LOOK_AT_STORAGE,),
        )
    if number == errno.EIO:
        return PvserveError(
            "VolumeBroken",
            f"the volume of claim {target.claim} gave an input/output error while {path or 'it'} was written",
            subject=str(target),
            remedy=(LOOK_AT_STORAGE,),
        )
    if number in (errno.EACCES, errno.EPERM):
        return PvserveError(
            "VolumeNotWritable",
            f"the loader pod's user may not write to claim {target.claim}: {path or text}",
            subject=str(target),
            remedy=("give the volume's files to the namespace's fsGroup, or load with the identity that owns them",),
        )
    if code == "Overtaken":
        return _overtaken(target, told.get("epoch"))
    if code in ("SourceChanged", "SourceUnreadable"):
        return _source(code, text)
    if code == "Occupied":
        return occupied(target)
    if code in ("NotOurs", "Entangled"):
        return not_removable(code, text, target)
    if code == "Unsafe":
        return PvserveError(
            "VolumeUnsafe",
            f"on the volume of claim {target.claim}, {path} {text}; nothing was published",
            subject=str(target),
            remedy=("find out who else writes to this claim",),
        )
    return PvserveError(
        "AgentFailed",
        f"the loader pod's agent stopped: {code if code.isidentifier() else 'unknown'} {text}",
        subject=str(target),
        remedy=("run the same command again; it goes on where this one stopped",),
    )


def _overtaken(target: Target, epoch: Any) -> Temporary:
    """`detail` tells the epoch of what lies there, for `later_epoch`: an error's words are all that a Job hands on."""
    lies = isinstance(epoch, int) and 0 < epoch < LAST_RAISED
    return Temporary(
        "Overtaken",
        f"another writer took {target} over",
        subject=str(target),
        remedy=(
            "run the same command again",
            f"where nobody writes, remove what an interrupted load left: pvserve gc {target.claim} --older-than 0",
        ),
        detail=f"{LATER}{epoch}" if lies else "",
    )


def later_epoch(error: PvserveError) -> int:
    """The epoch of the unfinished transfer that overtook the writer; 0 where it was something else."""
    number = error.detail[len(LATER) :]
    is_number = error.reason == "Overtaken" and error.detail.startswith(LATER) and number.isdecimal()
    return int(number) if is_number and int(number) < LAST_RAISED else 0


def _source(code: str, text: str) -> PvserveError:
    """A source in the pod changed, or cannot be read; `text` begins with the file's name."""
    if code == "SourceUnreadable":
        return PvserveError(
            code,
            f"reading {text}",
            remedy=("check the storage that the source's claim lies on, then run the same command again",),
        )
    return Temporary(
        code,
        f"{text} changed while it was read",
        remedy=("wait until nothing writes to the model directory, then run the same command again",),
    )


def full(target: Target, path: str, space: Any, missing: int = 0) -> PvserveError:
    """The volume filled up while copying, with so many bytes still to come, 0 where that is not known."""
    space = space if isinstance(space, dict) else {}
    free, size = (space.get(key) for key in ("free", "size"))
    known = isinstance(free, int) and isinstance(size, int)
    return PvserveError(
        "ClaimFull",
        f"claim {target.claim} is full: no room for {path}; free now: {free if known else 'an unknown number of'} bytes"
        + (f"; {_would_do(missing, free, size)}" if known and missing > 0 else ""),
        subject=str(target),
        remedy=(f"make claim {target.claim} larger or free space on it; the same command then sends only the rest",),
    )


def no_room(target: Target, missing: int, free: int, size: int) -> Refused:
    """Too few bytes are free, found before the first one was sent."""
    return Refused(
        "ClaimTooSmall",
        f"claim {target.claim} has {free} bytes free and {needed(missing)} are needed "
        f"({missing} to store, and {HEADROOM:.0%} for the file system); {_would_do(missing, free, size)}",
        subject=str(target),
        remedy=(f"make claim {target.claim} larger or free space on it, then run the same command again",),
    )


def _would_do(missing: int, free: int, size: int) -> str:
    return f"{-(-(size + needed(missing) - free) // (1 << 30))}Gi would do"


def size_wanted(error: PvserveError) -> str:
    """The size of the claim that would do, as `full` and `no_room` say it; "" where they do not.

    Read from the message: an error's words are all that a Job hands on.
    """
    found = re.search(r"; (\d+Gi) would do$", error.message)
    return found[1] if found else ""


def no_inodes(target: Target, missing: int, free: int) -> Refused:
    """Too few inodes are free."""
    return Refused(
        "ClaimOutOfInodes",
        f"claim {target.claim} has {free} inodes free and {missing} files and directories are to come",
        subject=str(target),
        remedy=("use a claim whose file system has more inodes, or pack the small files",),
    )


def check_room(target: Target, sizes: Sequence[int], there: Mapping[int, int], space: Mapping[str, int]) -> None:
    """Refuse what does not fit. `there` are the bytes of each file that lie on the volume already.

    `space` also tells `held`: bytes that the partial files take of it, those too that must be written again.
    """
    block = max(1, space["block"])
    rounded = [-(-size // block) * block for size in sizes]
    missing = sum(max(0, size - there.get(number, 0)) for number, size in enumerate(rounded))
    missing = min(missing, max(0, sum(rounded) - max(0, space.get("held", 0))))
    if needed(missing) > space["free"]:
        raise no_room(target, missing, space["free"], space["size"])


def check_inodes(target: Target, paths: Sequence[str], free: int, held: int = 0) -> None:
    """Refuse more files and directories than there are inodes; `held` of them lie in the partial transfer already.

    `free` is -1 where the file system counts none.
    """
    directories: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    new = len(paths) + len(directories) - max(0, held)
    if new > 0 and 0 <= free < new + INODES:
        raise no_inodes(target, new, free)


def needed(missing: int) -> int:
    """Bytes that must be free for `missing` bytes of files."""
    return missing + int(missing * HEADROOM)


def occupied(target: Target) -> Refused:
    """Another content is there and was not to be replaced."""
    return Refused(
        "PathOccupied",
        f"{target} holds other content already",
        subject=str(target),
        remedy=(
            "add --replace: what is there is kept until gc, and pods that serve it keep it until they are restarted",
            "or load to another path",
        ),
    )


def not_removable(code: str, text: str, target: Target) -> Refused:
    """What lies at the path is not pvserve's to remove, or not alone."""
    if code == "NotOurs":
        return Refused(
            "NotOurs",
            f"{target} holds what pvserve did not put there: no manifest on the volume speaks of it",
            subject=str(target),
            remedy=(f"look at it, and if it is to go, type its name: pvserve rm {target} --name {target.path}",),
        )
    return entangled(text, target)


def entangled(other: str, target: Target) -> Refused:
    """Another model lies above or below the path: each would be changed with the other."""
    return Refused(
        "PathHoldsModels",
        f"{target} and the model at {other} on the same claim lie one within the other: neither can change alone",
        subject=str(target),
        remedy=("use another path", f"or remove the other model first: pvserve rm pvc://{target.claim}/{other}"),
    )


def cannot_replace(target: Target) -> Refused:
    """Only a shell is in the pod, and something is at the path."""
    return Refused(
        "ReplaceNeedsPython",
        f"{target} holds other content, and the loader pod has no Python 3.8 or newer: its shell cannot exchange two "
        "directories at once, and for a moment there would be neither version",
        subject=str(target),
        remedy=("add --image with an image that has Python 3.8 or newer", "or load to another path"),
    )


def differs(target: Target, path: str, expected: str, found: str) -> DataDiffers:
    """The volume gave back other bytes than were sent, again and again."""
    return DataDiffers(
        "VolumeCorrupts",
        f"{shown(path)} was written to claim {target.claim} more than once and read back differently each time: "
        f"{shown(found)} instead of {f'sha256 {expected}' if expected else 'what was written'}",
        subject=str(target),
        remedy=("the storage below this claim damages data: tell its administrator",),
    )


def damaged(found: Found, digest: str) -> DataDiffers:
    """The source is not what its publisher promises."""
    return DataDiffers(
        "SourceDamaged",
        f"{shown(found.path)} is not what Hugging Face published: its sha256 is {digest}, "
        f"and should be {found.promised_sha256}",
        subject=str(found.real),
        remedy=(f"rm {found.real}", "download the model again"),
    )


def rotted(source: Target, found: Found, digest: str, stamp: str) -> DataDiffers:
    """A file on a claim has other bytes than when it was published there, though by its stamp nobody wrote to it."""
    return DataDiffers(
        "SourceDamaged",
        f"{shown(found.path)} is not what was loaded to {source}: its sha256 is {digest}, and was {stamp}; nobody has "
        "written to it since, so the storage below has damaged it",
        subject=str(source),
        remedy=(f"pvserve verify {source} names all such files", "load the model to that claim again"),
    )


def unexpected(source: str, wanted: str, found: str) -> DataDiffers:
    """The source is whole, and is not the content that was asked for."""
    return DataDiffers(
        "UnexpectedContent",
        f"{shown(source)} holds {found}, and {wanted} was expected; nothing was published",
        subject=source,
        remedy=("look at what changed the source; to take it as it is, plan or render again",),
    )
