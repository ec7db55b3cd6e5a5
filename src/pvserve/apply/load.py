"""The load step: lease, loader pod, bytes, record on the claim; the pod goes whatever happens.

Owns the order of these. Must not decide where the model goes (plan) nor how bytes move (transfer).
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

from pvserve.apply.lease import Held, writing
from pvserve.cluster import Cluster
from pvserve.errors import Interrupted, Temporary
from pvserve.events import Listener, StepState
from pvserve.facts import name
from pvserve.model import Listing
from pvserve.mount import mounted
from pvserve.plan.claim import MODELS, recorded_models
from pvserve.plan.steps import Load
from pvserve.transfer import Loaded, Target, load

# What the ODH dashboard shows and prefills its wizard with (ux.md 2.4: PVCInputField.tsx); one pair per claim.
ODH_NAME, ODH_PATH = "dashboard.opendatahub.io/model-name", "dashboard.opendatahub.io/model-path"


def run_load(cluster: Cluster, step: Load, listing: Listing, listen: Listener, cancel: threading.Event) -> Loaded:
    """Brings the model directory to `pvc://CLAIM/PATH` and records it on the claim.

    Raises what `transfer.load` raises; Refused when another writer is alive or the loader pod cannot start.
    """

    def say(detail: str) -> None:
        listen(StepState(step.id, step.title, "ongoing", detail))
        if cancel.is_set():
            raise Interrupted("Interrupted", "stopped while the loader pod was starting")

    with writing(cluster, step.claim, step.path) as held, mounted(cluster, step.pod, say) as pod:
        loaded = load(
            listing,
            cluster.reach(name(pod), cluster.namespace, str(pod["spec"]["containers"][0]["name"])),
            Target(step.path, step.claim),
            via=step.via,
            replace=step.replace,
            epoch=held.epoch,
            cancel=cancel,
            listen=listen,
        )
        _refuse_lost(held, step)
    _record(cluster, step, loaded)
    return loaded


def _refuse_lost(held: Held, step: Load) -> None:
    if held.lost.is_set():
        raise Temporary(
            "LeaseLost",
            f"the Lease of pvc://{step.claim}/{step.path} was lost while writing",
            remedy=("run the same command again",),
        )


def _record(cluster: Cluster, step: Load, loaded: Loaded) -> None:
    """Notes on the claim what lies where, so that the next plan knows without a pod."""
    claim = cluster.get("v1", "PersistentVolumeClaim", step.claim, cluster.namespace)
    models = dict(recorded_models(claim))
    models[step.path] = {
        "manifest": loaded.manifest_digest,
        "bytes": loaded.manifest.bytes,
        "files": len(loaded.manifest.entries),
        "source": Path(step.source).name,
        "loaded": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    noted = {
        MODELS: json.dumps(models, sort_keys=True),
        ODH_NAME: Path(step.path).name,
        ODH_PATH: step.path,
    }
    cluster.patch(
        "v1",
        "PersistentVolumeClaim",
        step.claim,
        cluster.namespace,
        {"metadata": {"annotations": noted}},
        resource_version=str(claim["metadata"]["resourceVersion"]),
    )
