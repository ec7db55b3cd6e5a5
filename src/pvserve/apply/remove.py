"""The step that removes a model: lease, a last look at who uses it, pod, record, bytes; the pod goes whatever happens.

Owns the order of these. Must not decide who keeps a model (plan), nor touch the volume (transfer).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from pvserve.apply.lease import Held
from pvserve.apply.recording import ODH_NAME, ODH_PATH
from pvserve.apply.refusing import refuse_all
from pvserve.apply.written import written
from pvserve.cluster import Cluster
from pvserve.cluster.volumes import read_volume_facts
from pvserve.errors import Interrupted, StalePlan, Temporary
from pvserve.events import Listener, StepState
from pvserve.facts import Object, VolumeQuery, annotations_of, name
from pvserve.mount import mounted
from pvserve.plan.claim import MODELS, recorded_models
from pvserve.plan.lifecycle.removing import kept_by
from pvserve.plan.volume_steps import RemoveModel
from pvserve.spec.place import Place
from pvserve.transfer import Removed, Target, remove

CLAIM = ("v1", "PersistentVolumeClaim")


def run_remove(cluster: Cluster, step: RemoveModel, listen: Listener, cancel: threading.Event) -> Removed:
    """Removes what lies at `pvc://CLAIM/PATH`.

    Raises what `transfer.remove` raises; Refused when somebody uses it by now or another writer is alive, StalePlan
    when the claim is another by now.
    """

    def say(detail: str) -> None:
        listen(StepState(step.id, step.title, "ongoing", detail))
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped before anything was removed")

    return written(cluster, step.claim, step.path, cancel, say, lambda held: _through_pod(cluster, step, held, say))


def _through_pod(cluster: Cluster, step: RemoveModel, held: Held, say: Callable[[str], None]) -> Removed:
    def before() -> None:
        if held.lost.is_set():
            raise Temporary("LeaseLost", "the Lease was lost, so another writer may have the place")
        say("nobody uses it: removing")
        _last_look(cluster, step)
        _forget(cluster, step)

    with mounted(cluster, step.pod, say) as pod:
        return remove(
            cluster.reach(name(pod), cluster.namespace, str(pod["spec"]["containers"][0]["name"])),
            Target(step.path, step.claim),
            epoch=held.epoch,
            named=step.named,
            everything=step.everything,
            before=before,
        )


def _last_look(cluster: Cluster, step: RemoveModel) -> None:
    """A service may have been made since the plan."""
    facts = read_volume_facts(cluster, VolumeQuery(cluster.namespace, step.claim, neighbours=True))
    if not isinstance(facts.claim, dict) or facts.claim["metadata"]["uid"] != step.uid:
        raise StalePlan("PlanIsStale", f"claim {step.claim} is another since the plan was made", subject=step.claim)
    refuse_all(kept_by(Place(step.claim, step.path), facts).refusals)


def _forget(cluster: Cluster, step: RemoveModel) -> None:
    """The record goes first: a record of what is gone would make the next load do nothing."""
    claim = cluster.get(*CLAIM, step.claim, cluster.namespace)
    noted = forgotten(claim, step.path)
    if noted:
        version = str(claim["metadata"]["resourceVersion"])
        body = {"metadata": {"annotations": noted}}
        cluster.patch(*CLAIM, step.claim, cluster.namespace, body, resource_version=version)


def forgotten(claim: Object, path: str) -> dict[str, Any]:
    """The annotations without the model; the dashboard's pair names the newest that is left. {}: nothing to change."""
    models = {where: record for where, record in recorded_models(claim).items() if where != path}
    notes = annotations_of(claim)
    out: dict[str, Any] = {}
    if len(models) != len(recorded_models(claim)):
        out[MODELS] = json.dumps(models, sort_keys=True) if models else None
    if notes.get(ODH_PATH) == path:
        newest = max(models, key=lambda where: str(models[where].get("loaded", "")), default=None)
        out |= {ODH_PATH: newest, ODH_NAME: PurePosixPath(newest).name if newest else None}
    return out
