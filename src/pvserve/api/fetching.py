"""A load that a Job does in the cluster, looked at again: its state, its log, its end, its removal.

Owns wiring only. Must not print, nor decide.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from pvserve.apply.fetching import ORDER, Fetched, follow, place_of, settle
from pvserve.apply.job_state import LOG_LINES, job_log, look, place_jobs
from pvserve.apply.lease import give_back_of_job
from pvserve.cluster import Cluster
from pvserve.errors import PvserveError, Refused
from pvserve.events import Listener, StepState, Transfer, silent
from pvserve.facts import Object, annotations_of, name
from pvserve.plan.claim import recorded_models
from pvserve.plan.fetch_job import place_label
from pvserve.spec.place import Place


@dataclass(frozen=True)
class PlaceState:
    """What a place holds, or what a Job brings there; `manifest` "" while it is not there."""

    place: str
    manifest: str = ""
    bytes: int = 0
    files: int = 0
    source: str = ""
    job: str = ""
    waiting: str = ""
    transfer: Transfer | None = None

    @property
    def done(self) -> bool:
        """Whether the model is there and no Job is at work."""
        return bool(self.manifest) and not self.job


def place_state(place: Place, cluster: Cluster) -> PlaceState:
    """The place as it is now; a Job that ended is settled: recorded and removed.

    Raises what a failed Job failed with; Refused `NothingThere` where neither a model nor a Job is known.
    """
    job = _job(place, cluster)
    if job is None:
        return _recorded(place, cluster)
    state = look(cluster, name(job))
    if state.ended:
        settle(cluster, job, state)
        return _recorded(place, cluster)
    return PlaceState(
        str(place), source=place_of(job)["source"], job=name(job), waiting=state.waiting, transfer=state.transfer
    )


def follow_place(
    place: Place, cluster: Cluster, *, listen: Listener = silent, cancel: threading.Event | None = None
) -> PlaceState:
    """Waits for the Job of a place to end. Raises as `place_state`. Setting `cancel` ends the looking, not the Job."""
    job = _job(place, cluster)
    if job is not None:
        title = f"fetch {place_of(job)['source']} to {place}"

        def say(detail: str) -> None:
            listen(StepState("load", title, "ongoing", detail))

        state = follow(cluster, name(job), cancel or threading.Event(), listen, say, ours=False)
        settle(cluster, job, state)
    return _recorded(place, cluster)


def place_log(place: Place, cluster: Cluster, *, lines: int = LOG_LINES) -> str:
    """The last lines of the newest pod of the place's Job. Raises Refused `NoJob` where there is none."""
    job = _job(place, cluster)
    if job is None:
        raise _no_job(place)
    return job_log(cluster, name(job), lines)


def cancel(place: Place, cluster: Cluster) -> str:
    """Removes the Job of a place, with its pod; what it fetched stays for the next one. The Job's name."""
    job = _job(place, cluster)
    if job is None:
        raise _no_job(place)
    cluster.delete("batch/v1", "Job", name(job), cluster.namespace, uid=str(job["metadata"]["uid"]))
    give_back_of_job(cluster, place.claim, place.path, name(job))
    return name(job)


@dataclass(frozen=True)
class Cleaned:
    """A Job that fetched; `manifest` of what it brought, or the `error` it ended with; neither while it is at work."""

    job: str
    place: str
    manifest: str = ""
    error: str = ""

    @property
    def removed(self) -> bool:
        """Whether it had ended, and is gone."""
        return bool(self.manifest or self.error)


def clean(cluster: Cluster) -> tuple[Cleaned, ...]:
    """Settles every Job of the namespace that a command of pvserve made and that has ended. Those of files stay.

    Raises what reading the Jobs raises, and Temporary where one could not be settled just now.
    """
    return tuple(_cleaned(cluster, job) for job in place_jobs(cluster, "") if ORDER in annotations_of(job))


def _cleaned(cluster: Cluster, job: Object) -> Cleaned:
    of = place_of(job)
    which = Cleaned(name(job), str(Place(of["claim"], of["path"])))
    state = look(cluster, name(job))
    if not state.ended:
        return which
    if state.error is None:
        return replace(which, manifest=settle(cluster, job, state).manifest_digest)
    try:
        settle(cluster, job, state)
    except PvserveError as error:
        if error is not state.error:
            raise
    return replace(which, error=state.error.message)


def _job(place: Place, cluster: Cluster) -> Object | None:
    return next(iter(place_jobs(cluster, place_label(place.claim, place.path))), None)


def _recorded(place: Place, cluster: Cluster) -> PlaceState:
    claim = cluster.get("v1", "PersistentVolumeClaim", place.claim, cluster.namespace)
    noted = recorded_models(claim).get(place.path)
    if not noted:
        raise Refused(
            "NothingThere",
            f"{place} holds no model that pvserve knows of, and no Job fetches one",
            subject=str(place),
            remedy=(f"pvserve verify {place} looks at the volume itself", "pvserve ls shows what is known"),
        )
    return PlaceState(
        str(place),
        str(noted.get("manifest", "")),
        int(noted.get("bytes", 0)),
        int(noted.get("files", 0)),
        str(noted.get("source", "")),
    )


def _no_job(place: Place) -> Refused:
    return Refused(
        "NoJob",
        f"no Job fetches to {place}",
        subject=str(place),
        remedy=(f"pvserve status {place} says what is there",),
    )


__all__ = ["Cleaned", "Fetched", "PlaceState", "cancel", "clean", "follow_place", "place_log", "place_state"]
