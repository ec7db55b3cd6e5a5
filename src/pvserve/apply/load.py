"""The load step: lease, loader pod, bytes, record on the claim; the pod goes whatever happens.

Owns the order of these. Must not decide where the model goes (plan) nor how bytes move (transfer).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pvserve.apply.attending import NOT_RENEWED, POD_LOST, attending
from pvserve.apply.lease import Held
from pvserve.apply.recording import record
from pvserve.apply.written import written
from pvserve.cluster import Cluster
from pvserve.cluster.own_pod import own_pod
from pvserve.errors import Interrupted, PvserveError, Refused, Temporary
from pvserve.events import Listener, Note, StepState
from pvserve.facts import Object, Unknown, name
from pvserve.model import Listing
from pvserve.mount import mounted, why_ended
from pvserve.plan.loader import SOURCE
from pvserve.plan.loader_policy import loader_policy
from pvserve.plan.steps import Load
from pvserve.transfer import NOT_COPIED, Loaded, Reach, Target, Terms, copy, load

PODS = 3  # loader pods that one load may use up
SILENCE_SECONDS = 180.0  # of the API server, waited for while nobody can say whether the Lease is still ours
BESIDE_ADDRESS = ("port-forward", "exec")  # channels that do not use the pod's address


def run_load(
    cluster: Cluster, step: Load, listing: Listing | None, listen: Listener, cancel: threading.Event
) -> Loaded:
    """Brings the model directory to `pvc://CLAIM/PATH` and records it on the claim.

    Raises what `transfer.load` raises; Refused when another writer is alive or the loader pod cannot start.
    """

    def say(detail: str) -> None:
        listen(StepState(step.id, step.title, "ongoing", detail))
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped while the loader pod was starting")

    told = _Told(listen, say, cancel)
    loaded = written(
        cluster, step.claim, step.path, cancel, say, lambda held: _through_pods(cluster, step, listing, held, told)
    )
    record(
        cluster,
        step.claim,
        step.path,
        manifest=loaded.manifest_digest,
        bytes=loaded.bytes,
        files=loaded.files,
        source=Path(step.source).name,
    )
    return loaded


class _Told(NamedTuple):
    """Who hears of the load, and who may stop it."""

    listen: Listener
    say: Callable[[str], None]
    cancel: threading.Event


def _through_pods(cluster: Cluster, step: Load, listing: Listing | None, held: Held, told: _Told) -> Loaded:
    """The load, through another pod where one was deleted, evicted or killed: what it had is not sent again."""
    for _ in range(PODS - 1):
        try:
            return _through_pod(cluster, step, listing, held, told)
        except Temporary as error:
            if error.reason != POD_LOST or told.cancel.is_set():
                raise
            told.say(f"{error.message}; another one takes its place")
    return _through_pod(cluster, step, listing, held, told)


def _through_pod(cluster: Cluster, step: Load, listing: Listing | None, held: Held, told: _Told) -> Loaded:
    def shield(pod: Object) -> None:
        _shield(cluster, step, pod, told.listen, pure_copy=listing is None)

    with mounted(cluster, step.pod, told.say, shield) as pod:
        while True:
            try:
                return _once(cluster, step, listing, held, told, pod)
            except Temporary as error:
                if error.reason != NOT_RENEWED or told.cancel.is_set():
                    raise
                told.say(f"{error.message}: waiting for it")
                if not held.certain(told.cancel, SILENCE_SECONDS):
                    raise


def _shield(cluster: Cluster, step: Load, pod: Object, listen: Listener, *, pure_copy: bool) -> None:
    """Keeps others away from the loader pod, where that is allowed; else says so, since key and token still do."""
    by_address = step.via not in BESIDE_ADDRESS and not pure_copy
    try:
        sender = own_pod(cluster) if by_address and step.via != "proxy" else None  # there the API server dials the pod
        policy = loader_policy(pod, None if isinstance(sender, Unknown) else sender, by_address=by_address)
        cluster.create(policy)
    except PvserveError as error:
        listen(Note(f"no NetworkPolicy shields the loader pod, only its key and token: {error.message}"))


def _once(cluster: Cluster, step: Load, listing: Listing | None, held: Held, told: _Told, pod: Object) -> Loaded:
    target = Target(step.path, step.claim)
    with attending(cluster, pod, held, str(target), told.cancel) as attended:
        try:
            container = str(pod["spec"]["containers"][0]["name"])
            reach = cluster.reach(name(pod), cluster.namespace, container)
            loaded = _moved(step, listing, reach, target, held, attended.stop, told.listen)
        except (Interrupted, Temporary) as error:
            raise attended.cause(error) from error
        except PvserveError as error:  # a pod that went just now answers in many ways
            with contextlib.suppress(PvserveError):
                attended.pod_end = why_ended(cluster, pod)
            raise attended.cause(error) from error
    if held.lost.is_set():
        raise attended.cause(Temporary("LeaseLost", "the Lease was lost"))
    return loaded


def _moved(
    step: Load,
    listing: Listing | None,
    reach: Reach,
    target: Target,
    held: Held,
    stop: threading.Event,
    listen: Listener,
) -> Loaded:
    """The bytes: copied in the pod from a claim that it mounts too, else sent.

    A directory of this machine that was found on a claim is sent all the same where the pod cannot copy it.
    """
    terms = Terms(replace=step.replace, epoch=held.epoch, checksum=step.checksum, cancel=stop, listen=listen)
    if step.source_claim:
        source = Target(step.source_path, step.source_claim, SOURCE)
        try:
            return copy(source, reach, target, include=step.include, exclude=step.exclude, same_as=listing, **terms)
        except Refused as error:
            if listing is None or error.reason not in NOT_COPIED:
                raise
            listen(Note(f"the model directory is sent over the network: {error.message}"))
    assert listing is not None
    return load(listing, reach, target, via=step.via, **terms)
