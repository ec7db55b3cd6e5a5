"""What KServe, and the emulator beside it, refuse. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from bed.kserve_emulator.admission import patch
from bed.kserve_emulator.names import Object
from bed.kserve_emulator.validation import complaint_about_runtime, complaint_about_service

from .building import refused
from .services import runtime, service


def edited(**predictor: Any) -> Object:
    item = service(runtime="server", storageUri="pvc://a/b")
    item["spec"]["predictor"] |= predictor
    return item


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (service(name="Upper"), "a InferenceService name must consist of lower case"),
        (service(annotations={"serving.kserve.io/autoscalerClass": "magic"}), "[magic] is not a supported autoscaler"),
        (service(env=[{"name": "PYTHONPATH", "value": "x"}]), "setting PYTHONPATH in container"),
        (edited(minReplicas=3, maxReplicas=2), "'MinReplicas' cannot be greater than MaxReplicas"),
        (edited(minReplicas=-1), "'MinReplicas' cannot be less than 0"),
        (edited(workerSpec={}), "Multinode only supports 'none' autoscaler()"),
        (edited(model={"modelFormat": {"name": "a"}, "name": "x"}), "the 'name' field is not allowed"),
        (edited(containers=[{"name": "kserve-container"}]), "exactly one of [Name, SKLearn"),
        (edited(model={"modelFormat": {"name": "a"}}, storageUris=[{"uri": "s3://a", "mountPath": "/a/.."}]), "'..'"),
        (
            edited(
                model={"modelFormat": {"name": "a"}},
                storageUris=[{"uri": "s3://a", "mountPath": "/a/x"}, {"uri": "s3://b", "mountPath": "/b/x"}],
            ),
            "must have a common parent directory",
        ),
    ],
)
def test_validation_refuses(item: Object, text: str) -> None:
    assert text in complaint_about_service(item, None)


def test_runtime_cannot_lose_its_workers() -> None:
    old = runtime(workerSpec={"containers": [{"name": "worker-container"}]})
    assert complaint_about_runtime(old, None) == ""
    assert "removing workerSpec" in complaint_about_runtime(runtime(), old)


def test_unknown_scheme_is_refused() -> None:
    assert "StorageUri [ftp://a] is not supported" in str(
        refused(service(runtime="server", storageUri="ftp://a"), runtime())
    )


def test_patch_touches_only_what_changed() -> None:
    old = {"metadata": {"name": "a"}, "spec": {"x": 1}}
    assert patch(old, old) == []
    new = {"metadata": {"name": "a", "annotations": {"k": "v"}}, "spec": {"x": 1}}
    assert patch(old, new) == [{"op": "add", "path": "/metadata/annotations", "value": {"k": "v"}}]
    assert patch(new, old) == [{"op": "remove", "path": "/metadata/annotations"}]
