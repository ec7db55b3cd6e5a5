"""A plan as frozen data: what will be done, in order, and what will not, with reasons.

Owns the types that are shown, rendered and applied. Must not read or change anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pvserve.facts import Object, Right
from pvserve.facts.objects import ObjectKey
from pvserve.plan.volume_steps import (
    DeleteObject,
    ReleaseClaim,
    RemoveModel,
    SweepVolume,
    WaitBound,
    WaitCloned,
    WaitResized,
    WaitSnapshot,
)

Op = Literal["add", "remove", "change"]
SOME = "some"  # uid of an assumed object that a plan before this one makes: it must be there, whichever it is


@dataclass(frozen=True)
class Change:
    """One difference between two objects, at a path of keys and list positions."""

    op: Op
    path: tuple[str | int, ...]
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Assumed:
    """What the plan was made for: applied only while it still holds.

    `uid` "" means absent, SOME that any will do; `content` is `copies.content_digest`, or "" where only the identity
    counts.
    """

    object: ObjectKey
    uid: str = ""
    content: str = ""


@dataclass(frozen=True)
class ApplyObject:
    """Server-side apply `object` with field manager `pvserve`; `before` is the live object or None.

    `force` takes fields over that another manager owns; else they are a conflict.
    """

    id: str
    title: str
    object: Object
    before: Object | None = None
    changes: tuple[Change, ...] = ()
    why: str = ""
    rights: tuple[Right, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class PatchObject:
    """JSON merge patch of an object that somebody else made, guarded by `version` (its resourceVersion) where given.

    `expect` lists (path, value) pairs that must hold in what the server stored afterwards, None = absent:
    admission may undo an edit (ux.md 2.3: the ODH connection webhook).
    """

    id: str
    title: str
    target: ObjectKey
    patch: Object
    before: Object | None = None
    changes: tuple[Change, ...] = ()
    expect: tuple[tuple[tuple[str, ...], Any], ...] = ()
    why: str = ""
    rights: tuple[Right, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Load:
    """Bring the model directory onto the claim with a loader pod, and remove the pod."""

    id: str
    title: str
    source: str
    claim: str
    path: str
    pod: Object  # the loader pod as it will be created; its name gets a suffix then
    bytes: int
    files: int
    fingerprint: str  # of the model directory at planning time: names, sizes, times
    manifest_digest: str = ""  # of its content, where it was known without reading every byte
    via: Literal["auto", "pod", "proxy", "port-forward", "exec"] = "auto"
    replace: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    source_claim: str = ""  # the pod mounts it beside the target: no byte crosses the network
    source_path: str = ""
    checksum: bool = False  # no digest of an earlier time is trusted
    why: str = ""
    rights: tuple[Right, ...] = ()


@dataclass(frozen=True)
class LoadJob:
    """Have the cluster fetch the model from its source, with a Job that holds the place's Lease.

    `job` lacks its name, its program and the writer's epoch (`plan.fetch_job`); `order` is what the program
    is asked. With `detach` the step ends once the Job runs.
    """

    id: str
    title: str
    source: str
    claim: str
    path: str
    job: Object
    order: Object
    bytes: int
    files: int
    fingerprint: str  # of the source's list at planning time: names, sizes, ETags
    replace: bool = False
    detach: bool = False
    why: str = ""
    rights: tuple[Right, ...] = ()


@dataclass(frozen=True)
class RetainVolume:
    """Set `persistentVolumeReclaimPolicy: Retain` on the volume bound to the claim (known only once bound)."""

    id: str
    title: str
    claim: str
    why: str = ""
    rights: tuple[Right, ...] = ()


@dataclass(frozen=True)
class WaitReady:
    """Wait until the service is Ready for its present generation, or hopeless."""

    id: str
    title: str
    service: str
    timeout_seconds: int = 1800


@dataclass(frozen=True)
class Prove:
    """Read everything again and check it."""

    id: str
    title: str
    service: str
    digests: Literal["full", "quick"] = "full"


@dataclass(frozen=True)
class CheckPath:
    """See through a pod that the path on the claim is a directory with files; where it is not, nothing is written."""

    id: str
    title: str
    claim: str
    path: str
    pod: Object  # as it will be created
    why: str = ""
    rights: tuple[Right, ...] = ()


Step = (
    ApplyObject
    | PatchObject
    | Load
    | LoadJob
    | RetainVolume
    | CheckPath
    | WaitReady
    | Prove
    | ReleaseClaim
    | RemoveModel
    | SweepVolume
    | DeleteObject
    | WaitBound
    | WaitCloned
    | WaitSnapshot
    | WaitResized
)


@dataclass(frozen=True)
class Refusal:
    """Why the whole plan is not carried out; `remedy` are lines to copy. Codes: docs/errors.md."""

    reason: str
    message: str
    remedy: tuple[str, ...] = ()
    exit_code: Literal[2, 3, 4] = 3


@dataclass(frozen=True)
class NotDone:
    """One thing the plan leaves out, why, and the exact command for who may do it."""

    what: str
    why: str
    command: str = ""


@dataclass(frozen=True)
class Plan:
    """What one command will do. The same value is shown, rendered and applied."""

    namespace: str
    service: str
    claim: str
    path: str
    steps: tuple[Step, ...] = ()
    unchanged: tuple[str, ...] = ()  # what was looked at and is already as wanted
    refusals: tuple[Refusal, ...] = ()
    not_done: tuple[NotDone, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[Assumed, ...] = ()
    admission: dict[str, tuple[Change, ...]] = field(default_factory=dict)  # step id -> what the server would alter
    afterwards: tuple[str, ...] = ()  # commands that go on from here, said when all is done

    @property
    def changes_pending(self) -> bool:
        """Whether applying it would change the cluster or the volume."""
        waits = CheckPath | WaitReady | WaitBound | WaitCloned | WaitSnapshot | WaitResized | Prove
        return any(not isinstance(step, waits) for step in self.steps)
