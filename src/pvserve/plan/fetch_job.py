"""The Job that fetches a source, its program's ConfigMap, and the same pod as others run it.

Owns these objects. Must not decide whether anything is fetched. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pvserve.facts import Facts, Object
from pvserve.plan.connecting import connection, mount_sources
from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.load_step import PLACE, PROGRAM_MOUNT, PROGRAM_START, plain_word, program_mount, program_volume
from pvserve.plan.loader import CONTAINER, without_node
from pvserve.plan.loading import LOADER_LABEL, planned_pod
from pvserve.plan.of_here import without_given
from pvserve.plan.shards import SHARDS, shared_out
from pvserve.plan.steps import LoadJob
from pvserve.spec.model import ModelSpec
from pvserve.spec.place import Place
from pvserve.spec.remote import INITIALIZER, parse_remote

QUEUE = "kueue.x-k8s.io/queue-name"
MEMORY = "256Mi"
INITIALIZER_MEMORY = "2Gi"  # of KServe's libraries, beside ours; its own default is 1Gi
RETRIES = 6
KEPT_SECONDS = 24 * 3600  # a finished Job that nobody came back for
# After these exit codes the same pod would end the same way; 5 and signals are tried again (docs/exit-codes.md).
FINAL_CODES = (1, 2, 3, 4, 6, 8)


def job_to_be(spec: ModelSpec, facts: Facts, image: str, place: Place) -> dict[str, Any]:
    """The Job but for its name, its program and the writer's epoch.

    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
    """
    labels = {LOADER_LABEL: place_label(place.claim, place.path)}
    pod = planned_pod(spec, facts, image, labels)
    inner = pod["spec"]
    container = inner["containers"][0]
    container["command"] = ["python3", "-X", "utf8", "-I", "-S", f"{PROGRAM_MOUNT}/{PROGRAM_START}"]
    remote = parse_remote(spec.model or "", spec.fetch.storage_initializer)
    most = INITIALIZER_MEMORY if remote.scheme == INITIALIZER else MEMORY
    container["resources"] = {"requests": {"cpu": "200m", "memory": MEMORY}, "limits": {"memory": most}}
    container["volumeMounts"] = [*container["volumeMounts"], program_mount()]
    mount_sources(spec, inner, connection(spec, facts))
    annotations = {PLACE: str(place)}
    codes = {"containerName": CONTAINER, "operator": "In", "values": list(FINAL_CODES)}
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": codes},
    ]
    queue = {QUEUE: spec.fetch.queue} if spec.fetch.queue else {}
    job: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "",
            "namespace": facts.namespace.name,
            "labels": {MANAGED_BY: "pvserve", **labels, **queue},
            "annotations": annotations,
        },
        "spec": {
            "backoffLimit": RETRIES,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": {"rules": rules},
            "template": {
                "metadata": {"labels": pod["metadata"]["labels"], "annotations": annotations},
                "spec": inner,
            },
        },
    }
    shared_out(job, spec.fetch.shards)
    return job


def fetch_job(step: LoadJob, epoch: int) -> dict[str, Any]:
    """The Job as it is made; its name tells place and writer. Its program is a ConfigMap of the same name."""
    job = deepcopy(dict(step.job))
    name = job_name(step.claim, step.path, epoch)
    job["metadata"]["name"] = name
    pod = job["spec"]["template"]["spec"]
    pod["containers"][0]["args"] = ["load", json.dumps({**step.order, "epoch": epoch}, separators=(",", ":"))]
    pod["volumes"] = [*pod["volumes"], program_volume(name)]
    return job


def fetch_pod(step: LoadJob, program: str, results: Sequence[str] = ()) -> dict[str, Any]:
    """Labels and spec of the same pod as others run it, for whom nobody holds a Lease; `results` are more arguments."""
    template = step.job["spec"]["template"]
    spec = deepcopy(dict(template["spec"]))
    without_node(spec)
    asked = {key: value for key, value in without_given(step.order).items() if key != SHARDS}  # without a Lease, alone
    order = json.dumps({**asked, "epoch": 0}, separators=(",", ":"), sort_keys=True)
    spec["containers"][0]["args"] = ["load", plain_word(order), *results]
    spec["volumes"] = [*spec["volumes"], program_volume(program)]
    return {"labels": dict(template["metadata"]["labels"]), "spec": spec}


def job_name(claim: str, path: str, epoch: int) -> str:
    """Of the Job of one writer of a place."""
    return f"pvserve-load-{place_label(claim, path)[:12]}-{epoch}"


def place_label(claim: str, path: str) -> str:
    """What the pods and Jobs of one place bear as LOADER_LABEL."""
    return hashlib.sha256(str(Place(claim, path)).encode()).hexdigest()[:20]


def job_program(job: Object, files: dict[str, str]) -> dict[str, Any]:
    """The ConfigMap with the program of a Job that was made: it goes with that Job, whoever removes it.

    The Job is made first, and its pod waits for the ConfigMap: the other way round a client that is killed between
    the two leaves an object that nobody owns.
    """
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {MANAGED_BY: "pvserve"},
            "ownerReferences": [owner],
        },
        "data": files,
    }
