"""Kubernetes' strategic merge of containers and pod specs, as KServe applies it to a runtime and a service.

Owns which lists merge by key (the patchMergeKey of k8s.io/api/core/v1) and in which order merged lists come out.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from .names import Object

# Lists that merge element by element; every other list replaces.
MERGE_KEYS = {
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "volumes": "name",
    "containers": "name",
    "initContainers": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
}


def strategic_merge(base: Object, overlay: Object) -> Object:
    """`overlay` laid over `base`; a null in the overlay removes the field. Neither is changed."""
    merged = deepcopy(base)
    for key, value in overlay.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = strategic_merge(merged[key], value)
        elif isinstance(value, list) and key in MERGE_KEYS and merged.get(key):
            merged[key] = _merge_list(merged[key], value, MERGE_KEYS[key])
        else:
            merged[key] = deepcopy(value)
    return merged


def merge_containers(runtime: Object, service: Object) -> Object:
    """A service's container over its runtime's: arguments are appended, the name stays the runtime's.

    Where both give a variable, one as a value and one by reference, the service's form wins: with both, the API server
    would refuse the pod.
    """
    merged = strategic_merge({"resources": {}, **runtime}, {"resources": {}, **service})
    merged["name"] = service.get("name") or runtime["name"]
    arguments = [*(runtime.get("args") or ()), *(service.get("args") or ())]
    if arguments:
        merged["args"] = arguments
    given = {item["name"]: item for item in service.get("env") or ()}
    for item in merged.get("env") or ():
        if item.get("value") and "valueFrom" in item and item["name"] in given:
            item.pop("value" if "valueFrom" in given[item["name"]] else "valueFrom")
    return merged


def _merge_list(base: list[Any], overlay: list[Any], key: str) -> list[Any]:
    """Elements of the overlay keep its order; an element of the base alone stays before those it stood before."""
    by_key = {item.get(key): item for item in base}
    position = {item.get(key): index for index, item in enumerate(base)}
    laid = [strategic_merge(by_key.get(item.get(key), {}), item) for item in overlay]
    names = {item.get(key) for item in overlay}
    alone = [deepcopy(item) for item in base if item.get(key) not in names]
    merged: list[Any] = []
    for item in laid:
        while alone and item.get(key) in position and position[alone[0].get(key)] < position[item.get(key)]:
            merged.append(alone.pop(0))
        merged.append(item)
    return merged + alone
