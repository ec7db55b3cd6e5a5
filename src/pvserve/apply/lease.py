"""One writer per place on a claim, decided by a Lease in the API server.

Owns the Lease: taking, renewing, giving back, and the fencing epoch that goes into the temporary path. Must not know
what is written. File locks lie on shared volumes (huggingface_hub#4228, #4306), so none is used; a Lease does not
fence either (client-go leaderelection), which is what the epoch is for: a writer that was overtaken finds its
temporary directory gone before it can publish.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pvserve.apply.whoami import has_died, machine, whoami
from pvserve.cluster import Cluster, Conflict, NotFound
from pvserve.errors import Interrupted, PvserveError, Refused, Temporary
from pvserve.facts import Object, annotations_of
from pvserve.transfer.agent.place import FIRST_LEASE

DURATION_SECONDS = 60
RENEW_SECONDS = 15.0
DOUBTFUL_SECONDS = 1.0  # between two tries, once it may have been taken
WATCH_SLACK_SECONDS = 5.0
API = "coordination.k8s.io/v1"
JOB_HOLDER = "Job "  # before the name of a Job that holds the Lease: it lives as long as the Job does
MACHINE = "pvserve.io/machine"  # annotation: host names and pids repeat, on laptops and in containers


def elapsed() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps where the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass
class Held:
    """The lease as it is held: `epoch` grows by one with every new holder; `lost` is set when another writer has it."""

    epoch: int
    lost: threading.Event
    renewed: float = field(default_factory=elapsed)

    @property
    def doubtful(self) -> bool:
        """Not renewed for as long as it lasts: another writer may take it, and until that is known nothing begins."""
        return elapsed() - self.renewed > DURATION_SECONDS

    def certain(self, cancel: threading.Event, seconds: float) -> bool:
        """Waits until it was renewed or lost; False after so many seconds, or when `cancel` was set."""
        deadline = elapsed() + seconds
        while self.doubtful and not self.lost.is_set():
            if elapsed() > deadline or cancel.wait(0.2):
                return False
        return True


def lease_name(claim: str, path: str) -> str:
    """The Lease's name for one place; hashed, since a path is no Kubernetes name."""
    return "pvserve-" + hashlib.sha256(f"{claim}/{path}".encode()).hexdigest()[:20]


@contextlib.contextmanager
def writing(
    cluster: Cluster, claim: str, path: str, cancel: threading.Event, say: Callable[[str], None], after: int = 0
) -> Iterator[Held]:
    """Holds the Lease of `pvc://claim/path` in the cluster's namespace while the body runs, as one later than `after`.

    Raises:
        Refused: WriterActive, naming the holder and since when, if another writer is alive.
        Interrupted: `cancel` was set while a Lease that looks abandoned was watched.
    """
    name = lease_name(claim, path)
    lease = _take(cluster, name, _Wish(claim, path, cancel, say, after))
    held = Held(FIRST_LEASE + int(lease["spec"]["leaseTransitions"]), threading.Event())
    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(cluster, lease, stop, held), daemon=True)
    renewing.start()
    try:
        yield held
    finally:
        stop.set()
        renewing.join(timeout=RENEW_SECONDS)
        _give_back(cluster, lease)


def taken(
    cluster: Cluster, claim: str, path: str, cancel: threading.Event, say: Callable[[str], None], after: int = 0
) -> Object:
    """The Lease of the place, taken and not renewed, to be handed to a Job. `after` and errors as of `writing`."""
    return _take(cluster, lease_name(claim, path), _Wish(claim, path, cancel, say, after))


def hand_to_job(cluster: Cluster, lease: Object, job: str) -> None:
    """From now on the Job holds the Lease for as long as it lives: its pod has no token to renew one."""
    version = str(lease["metadata"]["resourceVersion"])
    body = {"spec": {"holderIdentity": f"{JOB_HOLDER}{job}", "renewTime": _now()}}
    cluster.patch(API, "Lease", str(lease["metadata"]["name"]), cluster.namespace, body, resource_version=version)


def give_back_of_job(cluster: Cluster, claim: str, path: str, job: str) -> None:
    """Empties the holder where it is this Job; with "" where it is this process, whose Job was not made."""
    holder = f"{JOB_HOLDER}{job}" if job else whoami()
    with contextlib.suppress(PvserveError):
        now = cluster.get(API, "Lease", lease_name(claim, path), cluster.namespace)
        if now["spec"].get("holderIdentity") == holder:
            body = {"spec": {"holderIdentity": "", "renewTime": _now()}}
            version = str(now["metadata"]["resourceVersion"])
            cluster.patch(API, "Lease", lease_name(claim, path), cluster.namespace, body, resource_version=version)


@dataclass(frozen=True)
class _Wish:
    """What one writer wants, and how it is told to stop."""

    claim: str
    path: str
    cancel: threading.Event
    say: Callable[[str], None]
    after: int = 0  # the epoch is to be later than this one

    def transitions(self, so_far: int) -> int:
        """Of the Lease once it is taken."""
        return max(so_far, self.after - FIRST_LEASE) + 1


def _take(cluster: Cluster, name: str, wish: _Wish) -> Object:
    """The Lease, taken; of writers that come at the same moment one gets it, and the others are told of it."""
    try:
        return _take_if_free(cluster, name, wish)
    except Conflict:
        winner = cluster.get(API, "Lease", name, cluster.namespace)
        if winner["spec"].get("holderIdentity"):
            raise _busy(winner, wish) from None
    try:
        return _take_if_free(cluster, name, wish)
    except Conflict as error:
        raise Temporary(
            "WriterRace",
            f"other pvserves take pvc://{wish.claim}/{wish.path} at the same moment",
            remedy=("run the same command again",),
        ) from error


def _take_if_free(cluster: Cluster, name: str, wish: _Wish) -> Object:
    old = cluster.find(API, "Lease", name, cluster.namespace)
    if old is not None and not isinstance(old, dict):
        raise PvserveError("LeaseUnreadable", f"Lease {name} in namespace {cluster.namespace}: {old.why}")
    me = whoami()
    spec = {
        "holderIdentity": me,
        "leaseDurationSeconds": DURATION_SECONDS,
        "acquireTime": _now(),
        "renewTime": _now(),
        "leaseTransitions": wish.transitions(0),
    }
    if old is None:
        metadata = {
            "name": name,
            "namespace": cluster.namespace,
            "labels": {"app.kubernetes.io/managed-by": "pvserve"},
            "annotations": {"pvserve.io/place": f"pvc://{wish.claim}/{wish.path}", MACHINE: machine()},
        }
        return cluster.create({"apiVersion": API, "kind": "Lease", "metadata": metadata, "spec": spec})
    if not _gone(cluster, old, me, wish):
        raise _busy(old, wish)
    spec["leaseTransitions"] = wish.transitions(int(old["spec"].get("leaseTransitions") or 0))
    version = str(old["metadata"]["resourceVersion"])
    body = {"metadata": {"annotations": {MACHINE: machine()}}, "spec": spec}
    return cluster.patch(API, "Lease", name, cluster.namespace, body, resource_version=version)


def _gone(cluster: Cluster, lease: Object, me: str, wish: _Wish) -> bool:
    """Whether the holder gave it back, was a dead process of this machine, or shows no sign of life.

    Wall clocks differ between machines, so a lease that looks expired, or renewed in a time to come, is watched for one
    renewal by our own clock.
    """
    spec = lease["spec"]
    holder = str(spec.get("holderIdentity") or "")
    if not holder or (annotations_of(lease).get(MACHINE) == machine() and has_died(holder, me)):
        return True
    if holder.startswith(JOB_HOLDER):
        return _job_ended(cluster, holder.removeprefix(JOB_HOLDER))
    renewed = datetime.fromisoformat(str(spec["renewTime"]).replace("Z", "+00:00"))
    if abs(datetime.now(UTC) - renewed) <= timedelta(seconds=int(spec["leaseDurationSeconds"])):
        return False
    wish.say(f"{holder} holds the place and was last heard at {spec['renewTime']}: watching whether it lives")
    if wish.cancel.wait(RENEW_SECONDS + WATCH_SLACK_SECONDS):
        raise Interrupted("Interrupted", "stopped while waiting for another writer; nothing was changed")
    now = cluster.get(API, "Lease", str(lease["metadata"]["name"]), cluster.namespace)
    return bool(now["metadata"]["resourceVersion"] == lease["metadata"]["resourceVersion"])


def _job_ended(cluster: Cluster, job: str) -> bool:
    """Whether the Job that holds the Lease can write no more. One that cannot be read is taken to live."""
    found = cluster.find("batch/v1", "Job", job, cluster.namespace)
    if not isinstance(found, dict):
        return found is None
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(item.get("type") in ("Complete", "Failed") and item.get("status") == "True" for item in conditions)


def _busy(lease: Object, wish: _Wish) -> Refused:
    spec = lease["spec"]
    return Refused(
        "WriterActive",
        f"pvc://{wish.claim}/{wish.path} is being written by {spec['holderIdentity']} since {spec['acquireTime']}",
        subject=f"Lease {lease['metadata']['namespace']}/{lease['metadata']['name']}",
        remedy=(
            "wait for it, or end that process and run the same command again",
            f"a writer that died is overtaken {DURATION_SECONDS} s after its last sign of life",
        ),
    )


def _renew(cluster: Cluster, lease: Object, stop: threading.Event, held: Held) -> None:
    """Renews until stopped or lost. Judged by this process's own clock only: a jumping wall clock steals nothing.

    A silence alone loses nothing: who takes the Lease meanwhile changes it, and that is seen once the server answers.
    """
    version = str(lease["metadata"]["resourceVersion"])
    while not stop.wait(DOUBTFUL_SECONDS if held.doubtful else RENEW_SECONDS):
        asked = elapsed()
        try:
            try:
                version = _renewed(cluster, lease, version)
            except Conflict:
                version = _renewed(cluster, lease, _ours(cluster, lease))
        except (Conflict, NotFound):
            held.lost.set()
            return
        except PvserveError:
            continue
        held.renewed = asked


def _renewed(cluster: Cluster, lease: Object, version: str) -> str:
    """The Lease's new version. Raises Conflict where it was changed since `version`."""
    body = {"spec": {"renewTime": _now()}}
    name = str(lease["metadata"]["name"])
    now = cluster.patch(API, "Lease", name, cluster.namespace, body, resource_version=version)
    return str(now["metadata"]["resourceVersion"])


def _ours(cluster: Cluster, lease: Object) -> str:
    """The version of a Lease that is still ours: it was renewed, and the answer was lost. Raises Conflict otherwise."""
    name = str(lease["metadata"]["name"])
    now = cluster.get(API, "Lease", name, cluster.namespace)
    same = [now["metadata"]["uid"], *(now["spec"].get(key) for key in ("holderIdentity", "leaseTransitions"))]
    if same != [lease["metadata"]["uid"], *(lease["spec"].get(key) for key in ("holderIdentity", "leaseTransitions"))]:
        raise Conflict("Changed", f"Lease {name} has another holder")
    return str(now["metadata"]["resourceVersion"])


def _give_back(cluster: Cluster, lease: Object) -> None:
    """Empties the holder, where it is still us; the epoch stays, so that it only ever grows."""
    with contextlib.suppress(PvserveError):
        name = str(lease["metadata"]["name"])
        now = cluster.get(API, "Lease", name, cluster.namespace)
        if now["spec"].get("leaseTransitions") == lease["spec"]["leaseTransitions"]:
            version = str(now["metadata"]["resourceVersion"])
            body = {"spec": {"holderIdentity": "", "renewTime": _now()}}
            cluster.patch(API, "Lease", name, cluster.namespace, body, resource_version=version)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
