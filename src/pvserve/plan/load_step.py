"""The load step as a container that needs no client, and the Job around it.

Owns these, and the ConfigMap that brings the program (`transfer.program`). Pure: the one builder for rendered files and
for Jobs that pvserve makes itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from pvserve.plan.edit_service import MANAGED_BY
from pvserve.plan.loader import CONTAINER, MOUNT, SOURCE, without_node
from pvserve.plan.steps import Load

PROGRAM_MOUNT, PROGRAM_START = "/pvserve", "load.py"
PROGRAM_VOLUME = "pvserve-program"
TERMINATION_LOG = "/dev/termination-log"  # Kubernetes puts its text into the pod's status
PLACE = "pvserve.io/place"
BACKOFF_LIMIT = 5
# Exit codes after which the same pod again would end the same way: wrong use, refused, not allowed, other data.
FINAL_CODES = (2, 3, 4, 6)


def program_map(namespace: str, files: Mapping[str, str]) -> dict[str, Any]:
    """The ConfigMap with the program's files; its name tells its content, so a new program is a new object."""
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode())
    name = f"pvserve-load-{digest.hexdigest()[:12]}"
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED_BY: "pvserve"}},
        "immutable": True,
        "data": dict(files),
    }


def step_command() -> list[str]:
    """What starts the program, isolated from whatever the image has installed."""
    return ["python3", "-X", "utf8", "-I", "-S", f"{PROGRAM_MOUNT}/{PROGRAM_START}"]


def step_arguments(load: Load, *, source: str = SOURCE, path: str = "") -> list[str]:
    """The program's arguments; the pod has the source's claim at `source`; `path` stands for the path to load to."""
    directory = f"{source}/{load.source_path}".rstrip("/")
    words = ["load", "--from", plain_word(directory), "--within", source, "--source-name", plain_word(load.source)]
    words += ["--to", path or plain_word(load.path), "--mount", MOUNT, "--claim", load.claim]
    for flag, patterns in (("--include", load.include), ("--exclude", load.exclude)):
        words += [word for pattern in patterns for word in (flag, plain_word(pattern))]
    if load.manifest_digest:
        words += ["--expect", load.manifest_digest]
    return [*words, "--replace"] if load.replace else words


def step_pod(
    load: Load,
    program: str,
    results: Sequence[str] = ("--result", TERMINATION_LOG),
    *,
    source: str = SOURCE,
    path: str = "",
) -> dict[str, Any]:
    """Labels and spec of a pod that loads and ends; `program` is the ConfigMap's name, the rest as `step_arguments`.

    It is the load's own loader pod, with its image, identity, placement and claims. A node by name stays out: it was
    that of a pod which ran when the plan was made.
    """
    spec = deepcopy(dict(load.pod["spec"]))
    without_node(spec)
    container = spec["containers"][0]
    arguments = [*step_arguments(load, source=source, path=path), *results]
    container |= {"name": CONTAINER, "command": step_command(), "args": arguments}
    container["volumeMounts"] = [*container["volumeMounts"], program_mount()]
    spec["volumes"] = [*spec["volumes"], program_volume(program)]
    return {"labels": dict(load.pod["metadata"]["labels"]), "spec": spec}


def program_volume(program: str) -> dict[str, Any]:
    """The volume with the program; `program` is the ConfigMap's name."""
    return {"name": PROGRAM_VOLUME, "configMap": {"name": program}}


def program_mount() -> dict[str, Any]:
    """Where the container has it."""
    return {"name": PROGRAM_VOLUME, "mountPath": PROGRAM_MOUNT, "readOnly": True}


def job_of(
    pod: Mapping[str, Any],
    place: str,
    namespace: str,
    final: Sequence[int] = FINAL_CODES,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A Job that runs such a pod until it is done, or ends with a code of `final`; `place` is pvc://CLAIM/PATH.

    Its name tells its content: a Job's pod cannot be changed, so another load is another Job. It is not removed when
    it has finished: what applies files again would start it anew.
    Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
    """
    content = json.dumps(pod, sort_keys=True).encode()
    annotations = {PLACE: place}
    codes = {"containerName": CONTAINER, "operator": "In", "values": list(final)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"pvserve-load-{hashlib.sha256(content).hexdigest()[:12]}",
            "namespace": namespace,
            "labels": {MANAGED_BY: "pvserve", **(labels or {})},
            "annotations": annotations,
        },
        "spec": {
            "backoffLimit": BACKOFF_LIMIT,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": codes},
                ]
            },
            "template": {"metadata": {"labels": pod["labels"], "annotations": annotations}, "spec": pod["spec"]},
        },
    }


def plain_word(word: str) -> str:
    """As an argument that Kubernetes takes no variable out of."""
    return word.replace("$(", "$$(")
