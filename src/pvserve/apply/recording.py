"""The note on a claim which model lies at which path, so that the next plan knows without a pod.

Owns the annotations' values. Must not know how the bytes came.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pvserve.cluster import Cluster
from pvserve.plan.claim import MODELS, recorded_models

# What the ODH dashboard shows and prefills its wizard with (ux.md 2.4: PVCInputField.tsx); one pair per claim.
ODH_NAME, ODH_PATH = "dashboard.opendatahub.io/model-name", "dashboard.opendatahub.io/model-path"


def record(cluster: Cluster, claim: str, path: str, **what: str | int) -> None:
    """Notes `what` (manifest, bytes, files, source) of the model there. Raises Conflict where the claim changed."""
    live = cluster.get("v1", "PersistentVolumeClaim", claim, cluster.namespace)
    models = dict(recorded_models(live))
    models[path] = {**what, "loaded": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    noted = {
        MODELS: json.dumps(models, sort_keys=True),
        ODH_NAME: PurePosixPath(path).name,
        ODH_PATH: path,
    }
    cluster.patch(
        "v1",
        "PersistentVolumeClaim",
        claim,
        cluster.namespace,
        {"metadata": {"annotations": noted}},
        resource_version=str(live["metadata"]["resourceVersion"]),
    )
