"""What `ls` says of claims, services, pods and volumes, and what it does not know."""

from __future__ import annotations

import json
from typing import Any

from pvserve.facts import InventoryFacts, Object, Unknown
from pvserve.inventory import inventory
from pvserve.plan.model_cache import import_path
from pvserve.show.inventory import inventory_text

RECORD = {"manifest": "sha256:0123456789abcdef", "bytes": 5, "files": 1, "source": "g", "loaded": "2026-01-01"}
MODELS = json.dumps({"granite": RECORD})
FORBIDDEN = Unknown("forbidden", "forbidden")


def a_claim(claim_name: str, models: str = "") -> Object:
    annotations = {"pvserve.io/models": models} if models else {}
    return {
        "metadata": {"name": claim_name, "namespace": "llm", "annotations": annotations},
        "spec": {"volumeName": f"pv-{claim_name}", "storageClassName": "fast", "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
    }


def a_volume(claim_name: str, phase: str, models: str = "") -> Object:
    return {
        "metadata": {"name": f"pv-{claim_name}", "annotations": {"pvserve.io/models": models} if models else {}},
        "spec": {
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": "llm", "name": claim_name},
            "capacity": {"storage": "1Gi"},
        },
        "status": {"phase": phase},
    }


def a_service(service_name: str, spec: Any) -> Object:
    return {"metadata": {"name": service_name, "namespace": "llm"}, "spec": spec}


def a_pod(pod_name: str, claim_name: str, phase: str) -> Object:
    volume = {"name": "c", "persistentVolumeClaim": {"claimName": claim_name}}
    return {
        "metadata": {"name": pod_name, "namespace": "llm"},
        "spec": {"volumes": [volume]},
        "status": {"phase": phase},
    }


VOLUME = {"name": "pvserve-model", "persistentVolumeClaim": {"claimName": "a"}}
MOUNT = {"name": "pvserve-model", "mountPath": "/mnt/base", "subPath": "granite"}


def test_services_of_any_kind_and_field_and_live_pods_are_joined_to_the_claim() -> None:
    services = (
        a_service("plain", {"predictor": {"model": {"storageUri": "pvc://a/granite"}}}),
        a_service("several", {"predictor": {"model": {"storageUris": [{"uri": "pvc://a/granite"}]}}}),
        a_service("llm", {"model": {"uri": "pvc://a/other"}}),
        a_service("beside", {"predictor": {"model": {"volumeMounts": [MOUNT]}, "volumes": [VOLUME]}}),
    )
    pods = (a_pod("live", "a", "Running"), a_pod("ended", "a", "Succeeded"), a_pod("else", "b", "Running"))
    seen = InventoryFacts((a_claim("a", MODELS), a_claim("b")), services, pods, (a_volume("a", "Bound"),))
    [row] = inventory(seen)
    assert row.services == ("beside", "llm", "plain", "several")
    assert row.models[0].services == ("beside", "plain", "several")
    assert row.pods == ("live",)
    assert row.reclaim == "Retain"


def test_what_may_not_be_read_is_unknown_and_not_absent() -> None:
    [row] = inventory(InventoryFacts((a_claim("a", MODELS),), FORBIDDEN, FORBIDDEN, FORBIDDEN))
    assert (row.services, row.pods, row.reclaim, row.free_bytes) == (("unknown",), ("unknown",), "unknown", None)


def test_a_released_volume_that_holds_models_is_listed_with_the_way_back() -> None:
    volumes = (a_volume("gone", "Released", MODELS), a_volume("empty", "Released"), a_volume("live", "Bound", MODELS))
    rows = inventory(InventoryFacts((), (), (), volumes))
    assert [(row.phase, row.namespace, row.claim, row.volume) for row in rows] == [
        ("Released", "llm", "gone", "pv-gone")
    ]
    text = inventory_text(rows)
    assert (
        "pv-gone           llm/gone   1Gi    granite   5 B     1       -          g        2026-01-01   0123456789ab"
        in text
    )
    assert "pvserve adopt VOLUME" in text


def test_free_bytes_are_those_of_the_claim_of_that_namespace() -> None:
    seen = InventoryFacts((a_claim("a", MODELS),), (), (), (), {("llm", "a"): 7, ("other", "a"): 9})
    assert inventory(seen)[0].free_bytes == 7


def a_cache(**spec: Any) -> Object:
    ready = {"type": "Ready", "status": "True", "reason": "ImportSucceeded", "lastTransitionTime": "2026-02-02"}
    led = [{"name": "led", "namespace": "llm"}, {"name": "other"}]
    return {
        "kind": "LocalModelNamespaceCache",
        "metadata": {"name": "llama", "namespace": "llm"},
        "spec": {"sourceModelUri": "hf://org/llama", "modelSize": "1Gi", **spec},
        "status": {"conditions": [ready], "inferenceServices": led},
    }


def test_what_kserve_imports_itself_is_shown_as_what_it_is() -> None:
    path = import_path("hf://org/llama")
    services = (
        a_cache(pvcRef="a"),
        a_service("direct", {"predictor": {"model": {"storageUri": f"pvc://a/{path}/sub"}}}),
    )
    [row] = inventory(InventoryFacts((a_claim("a"), a_claim("b")), services, (), ()))
    assert row.services == ("direct", "led", "other")
    [model] = row.models
    assert (model.path, model.source, model.manifest, model.loaded) == (path, "hf://org/llama", "", "2026-02-02")
    assert (model.cache, model.state, model.services) == ("llama", "ImportSucceeded", ("direct", "led", "other"))
    text = inventory_text([row])
    assert "KServe's llama: ImportSucceeded" in text
    assert "0 B" not in text  # nobody noted how large it is


def test_a_cache_that_copies_to_nodes_is_on_no_claim() -> None:
    assert inventory(InventoryFacts((a_claim("a"),), (a_cache(nodeGroups=["gpu"]),), (), ())) == ()
