"""The 25 recordings of real KServe: reading them, and what in them is no decision of KServe's.

A recording holds what was applied, what the API server answered, the objects some 7 s later, and the events. The tables
below name everything that the comparison does not take from KServe: names with random parts, times, and the defaults
that the API server, the built-in admission plug-ins or the kubelet write.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
FOLDER = Path(__file__).with_name("recordings")
NAMESPACE = "NAMESPACE"  # recordings hold this word instead of the namespace they were made in

# Written by the API server into objects that do not say otherwise.
DEPLOYMENT_DEFAULTS = {"replicas": 1, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10}
SERVICE_DEFAULTS = {
    "internalTrafficPolicy": "Cluster",
    "ipFamilies": ["IPv4"],
    "ipFamilyPolicy": "SingleStack",
    "sessionAffinity": "None",
    "type": "ClusterIP",
}
AUTOSCALER_BEHAVIOR = {
    "scaleDown": {"policies": [{"periodSeconds": 15, "type": "Percent", "value": 100}], "selectPolicy": "Max"},
    "scaleUp": {
        "policies": [
            {"periodSeconds": 15, "type": "Pods", "value": 4},
            {"periodSeconds": 15, "type": "Percent", "value": 100},
        ],
        "selectPolicy": "Max",
        "stabilizationWindowSeconds": 0,
    },
}
# Written into pods by the API server and its admission plug-ins (ServiceAccount, Priority, DefaultTolerationSeconds).
POD_DEFAULTS = {
    "enableServiceLinks": True,
    "preemptionPolicy": "PreemptLowerPriority",
    "priority": 0,
    "serviceAccount": "default",
    "serviceAccountName": "default",
}
POD_TOLERATIONS = [
    {"effect": "NoExecute", "key": f"node.kubernetes.io/{state}", "operator": "Exists", "tolerationSeconds": 300}
    for state in ("not-ready", "unreachable")
]
CONTAINER_DEFAULTS = {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}
REVISION = "deployment.kubernetes.io/revision"


@dataclass(frozen=True)
class Recording:
    """One case: `inputs` were applied in this order."""

    case: str
    inputs: list[Object]
    applied: list[Object]
    objects: list[Object]
    events: list[list[str]]

    def of_kind(self, kind: str) -> list[Object]:
        """The recorded objects of one kind."""
        return [deepcopy(item) for item in self.objects if item["kind"] == kind]

    def given(self, kind: str) -> list[Object]:
        """The applied objects of one kind, with a namespace where they have one."""
        found = [deepcopy(item) for item in self.inputs if item["kind"] == kind]
        for item in found:
            if not kind.startswith("Cluster"):
                item["metadata"]["namespace"] = NAMESPACE
        return found

    @property
    def service(self) -> Object:
        """The InferenceService as recorded."""
        return self.of_kind("InferenceService")[0]


def names() -> list[str]:
    """The recordings' names, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Recording:
    """One recording."""
    data = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return Recording(data["case"], data["input"], data["apply"], data["objects"], data["events"])


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """Every place where two values differ, as readable lines; [] when they are equal."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        lines = []
        for key in sorted({*expected, *actual}):
            if key not in actual:
                lines.append(f"{path}.{key}: recorded {expected[key]!r}, missing here")
            elif key not in expected:
                lines.append(f"{path}.{key}: not recorded, here {actual[key]!r}")
            else:
                lines += differences(expected[key], actual[key], f"{path}.{key}")
        return lines
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        return [
            line
            for index, (old, new) in enumerate(zip(expected, actual, strict=True))
            for line in differences(old, new, f"{path}[{index}]")
        ]
    return [] if expected == actual else [f"{path}: recorded {expected!r}, here {actual!r}"]


def without_times(status: Object) -> Object:
    """A status without the times of its conditions."""
    result = deepcopy(status)
    for condition in result.get("conditions") or ():
        for key in ("lastTransitionTime", "lastUpdateTime", "lastProbeTime", "lastHeartbeatTime"):
            condition.pop(key, None)
    return result


def without_server_parts(item: Object) -> Object:
    """A recorded workload as its controller sent it: no status, no cluster address, no revision."""
    result = deepcopy(item)
    result.pop("status", None)
    result["metadata"]["annotations"] = {k: v for k, v in result["metadata"]["annotations"].items() if k != REVISION}
    if item["kind"] == "Service" and result["spec"].get("clusterIP") != "None":
        del result["spec"]["clusterIP"], result["spec"]["clusterIPs"]
    return result


def with_server_defaults(built: Object) -> Object:
    """A built workload as the API server would store it; the owner's uid is left out, as in the recordings."""
    result = deepcopy(built)
    for owner in result["metadata"]["ownerReferences"]:
        owner.pop("uid")
    spec = result["spec"]
    if built["kind"] == "Deployment":
        result["spec"] = {**DEPLOYMENT_DEFAULTS, **spec}
        pod = result["spec"]["template"]["spec"]
        if "serviceAccountName" in pod:
            pod["serviceAccount"] = pod["serviceAccountName"]
    elif built["kind"] == "Service":
        result["spec"] = {**SERVICE_DEFAULTS, **spec}
        if spec.get("clusterIP") == "None":
            result["spec"]["clusterIPs"] = ["None"]
    else:
        assert spec.pop("behavior") == {}
        spec["behavior"] = deepcopy(AUTOSCALER_BEHAVIOR)
    return result


def pod_of(deployment: Object) -> Object:
    """The pod that a ReplicaSet of this Deployment asks for, as the API server hands it to webhooks."""
    template = deepcopy(deployment["spec"]["template"])
    spec = {**POD_DEFAULTS, **template["spec"]}
    spec["tolerations"] = [*(spec.get("tolerations") or ()), *deepcopy(POD_TOLERATIONS)]
    metadata = {key: template["metadata"][key] for key in ("labels", "annotations")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def with_container_defaults(pod: Object) -> Object:
    """A pod after the webhook, with the defaults that containers get when it is stored."""
    result = deepcopy(pod)
    for item in [*result["spec"]["containers"], *result["spec"].get("initContainers", ())]:
        for key, value in CONTAINER_DEFAULTS.items():
            item.setdefault(key, value)
    return result


def without_node_parts(pod: Object) -> Object:
    """A recorded pod without its random name, owner, node, phase, and the empty lists left by removed token mounts."""
    result = deepcopy(pod)
    metadata = result["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key != "pod-template-hash"}
    result["metadata"] = {"labels": labels, "annotations": metadata["annotations"]}
    result.pop("status", None)
    spec = result["spec"]
    spec.pop("nodeName", None)
    for item in [spec, *spec["containers"], *spec.get("initContainers", ())]:
        for key in ("volumes", "volumeMounts"):
            if item.get(key) == []:
                del item[key]
    return result
