"""The 25 recordings again, applied to the bed: each recorded object must be seen there, field by field.

A recording is one moment, about 7 s after the objects were applied. So an object passes when the bed showed it equal at
some moment; at the end, the bed must hold the recorded objects and no others.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.bed.kubectl import Kubectl

from . import recorded
from .recorded import Object, Recording, differences, without_times

pytestmark = pytest.mark.bed

SECONDS = 120.0
KINDS = "inferenceservices,deployments,services,horizontalpodautoscalers,pods,events"
Key = tuple[str, str]  # kind and name; for pods, the name without its random parts

# What this bed shows differently, and why. Nothing else may differ.
# - The bed has the storage initializer's image, the rig did not: there the pods never started it, here it runs and
#   finds no source. The recorded model status is compared in test_recordings_pure.
INITIALIZER_RUNS = {"hf-storage-uri", "s3-storage-key", "s3-storage-uri"}
# - At the recorded commit, KServe deletes and makes again the workers' Deployment and both headless Services at every
#   reconcile; the recording holds a moment at which the Deployment was new and one Service gone. The emulator keeps
#   them (docs/emulator.md).
KEPT_BY_EMULATOR = {"worker-multinode": ("Service", "granite-workers-1")}


@dataclass
class Watched:
    """One recording on the bed."""

    recording: Recording
    space: Kubectl
    answers: list[Object] = field(default_factory=list)
    closest: dict[Key, list[str]] = field(default_factory=dict)  # [] once the object was seen equal
    present: set[Key] = field(default_factory=set)
    events: set[tuple[str, str]] = field(default_factory=set)
    done: bool = False

    def compare(self, items: list[Object]) -> None:
        """Takes in what the namespace holds now."""
        now = [normal(item, self.space.namespace) for item in items if item["kind"] not in ("Event", "ReplicaSet")]
        self.present = {key_of(item) for item in now}
        self.events |= {
            (item["reason"], item["message"])
            for item in items
            if item["kind"] == "Event" and item["involvedObject"]["kind"] == "InferenceService"
        }
        for expected in self.recording.objects:
            expected = expected_here(self.recording.case, normal(expected, recorded.NAMESPACE))
            key = key_of(expected)
            if self.closest.get(key) == []:
                continue
            alike = [item for item in now if key_of(item) == key]
            found = [differences(expected, expected_here(self.recording.case, item)) for item in alike]
            self.closest[key] = min(found, key=len, default=["not there"])
        self.done = not any(self.closest.values())

    def end(self) -> None:
        """Frees the node for the recordings still to come; its pods ignore SIGTERM."""
        self.space("delete", "namespace", self.space.namespace, "--wait=false", "--ignore-not-found")
        self.space("delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false")


@pytest.fixture(scope="module")
def watched(emulator_runs: None) -> Iterator[dict[str, Watched]]:
    """All recordings, applied one after the other and looked at until each object was seen as recorded."""
    run = uuid.uuid4().hex[:6]
    cases = {name: Watched(recorded.read(name), Kubectl(f"rec-{run}-{name}")) for name in recorded.names()}
    deadline = time.monotonic() + SECONDS
    try:
        for case in cases.values():
            case.space("create", "namespace", case.space.namespace)
            case.answers = [_apply(case.space, item) for item in case.recording.inputs]
            _look(cases, run)
        while not all(case.done for case in cases.values()) and time.monotonic() < deadline:
            time.sleep(0.3)
            _look(cases, run)
        yield cases
    finally:
        Kubectl("default")("delete", "clusterservingruntime", "vllm-cluster", "--ignore-not-found")
        for case in cases.values():
            case.end()


@pytest.mark.parametrize("name", recorded.names())
def test_recording(name: str, watched: dict[str, Watched]) -> None:
    case = watched[name]
    assert case.answers == case.recording.applied
    assert {key: lines for key, lines in case.closest.items() if lines} == {}
    kept = {KEPT_BY_EMULATOR[name]} if name in KEPT_BY_EMULATOR else set()
    assert case.present - kept == set(case.closest)
    expected = {(reason, text) for kind, reason, text in case.recording.events if kind == "InferenceService"}
    assert case.events == expected


def _apply(space: Kubectl, item: Object) -> Object:
    text = json.dumps(item).replace("rig.local", "bed.local")
    out = space("apply", "-f", "-", stdin=text, check=False)
    ok = "error" not in out.lower()
    return {"kind": item["kind"], "name": item["metadata"]["name"], "ok": ok, "message": "" if ok else out}


def _look(cases: dict[str, Watched], run: str) -> None:
    items: list[Object] = json.loads(Kubectl("default")("get", KINDS, "--all-namespaces", "-o", "json"))["items"]
    for name, case in cases.items():
        mine = f"rec-{run}-{name}"
        if case.answers and not case.done:
            case.compare([item for item in items if item["metadata"]["namespace"] == mine])
            if case.done:
                case.end()


def key_of(item: Object) -> Key:
    return item["kind"], item["metadata"]["name"]


def normal(item: Object, namespace: str) -> Object:
    """An object without names, hashes and times that differ from run to run."""
    text = json.dumps(item).replace(namespace, "NAMESPACE").replace("bed.local", "rig.local")
    pod_name = r"(granite-(?:predictor|transformer)(?:-worker)?)-[0-9a-f]{6,10}(?:-[a-z0-9]{5})?(-?)\b"
    result: Object = json.loads(re.sub(pod_name, r"\1-HASH\2", text))
    metadata = result["metadata"]
    for key in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        metadata.pop(key, None)
    annotations = metadata.get("annotations") or {}
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    for owner in metadata.get("ownerReferences") or ():
        owner.pop("uid", None)
    if result["kind"] == "Pod":
        _normal_pod(result)
    elif result["kind"] == "Service" and result["spec"]["clusterIP"] != "None":
        del result["spec"]["clusterIP"], result["spec"]["clusterIPs"]
    elif result["kind"] == "Deployment":
        result["spec"]["template"]["metadata"].pop("creationTimestamp", None)
    result["status"] = without_times(result.get("status") or {})
    return result


def _normal_pod(pod: Object) -> None:
    labels = pod["metadata"]["labels"]
    labels["pod-template-hash"] = "HASH"
    pod["status"] = {"phase": pod["status"]["phase"]}
    spec = pod["spec"]
    if "nodeName" in spec:
        spec["nodeName"] = "NODE"
    for item in [spec, *spec["containers"], *spec.get("initContainers", ())]:
        for key in ("volumes", "volumeMounts"):
            kept = [entry for entry in item.pop(key, ()) if not entry["name"].startswith("kube-api-access")]
            if kept:
                item[key] = kept


def expected_here(case: str, item: Object) -> Object:
    """The object without what this bed shows differently (see the tables above)."""
    status: dict[str, Any] = item["status"]
    if case in INITIALIZER_RUNS and item["kind"] == "InferenceService":
        status.pop("modelStatus", None)
    if case == "worker-multinode" and item["kind"] == "InferenceService":
        for condition in status.get("conditions", ()):
            if condition["type"] in ("PredictorReady", "Ready"):
                condition.pop("reason", None)
                condition.pop("message", None)
    if case == "worker-multinode" and item["metadata"]["name"] == "granite-predictor-worker":
        item["status"] = {}
        item["metadata"]["annotations"].pop("deployment.kubernetes.io/revision", None)
    return item
