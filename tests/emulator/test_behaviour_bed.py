"""What a user of KServe meets beyond the recordings: refusals, Ready, stopping, updates, deletion. On the bed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bed.kubectl import Kubectl, claim, until

from .services import IDLES, runtime, service

pytestmark = pytest.mark.bed


def refusal(kubectl: Kubectl, item: dict[str, Any], *options: str) -> str:
    """The API server's answer to an object that must not be accepted."""
    out = kubectl("apply", *options, "-f", "-", stdin=json.dumps(item), check=False)
    assert not out.rstrip().endswith(("created", "configured", "unchanged", "applied")), out
    return out


def condition(kubectl: Kubectl, kind: str = "Ready") -> str:
    found = kubectl.get("inferenceservice", "tiny").get("status", {}).get("conditions", [])
    return next((item["status"] for item in found if item["type"] == kind), "")


def events(kubectl: Kubectl) -> set[tuple[str, str]]:
    selector = "involvedObject.kind=InferenceService"
    found = json.loads(kubectl("get", "events", "--field-selector", selector, "-o", "json"))["items"]
    return {(item["reason"], item["message"]) for item in found}


def names(kubectl: Kubectl) -> set[str]:
    out = kubectl("get", "deployments,services,hpa,pods", "-o", "name")
    return set(out.split())


def ready_service(kubectl: Kubectl, **model: Any) -> None:
    kubectl.apply(
        runtime(), claim("models", "16Mi"), service(storageUri="pvc://models/tiny", runtime="server", **model)
    )
    until("the service is Ready", lambda: condition(kubectl) == "True")


@pytest.mark.parametrize("validation", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_misspelt_field_is_refused(kubectl: Kubectl, validation: list[str]) -> None:
    out = refusal(kubectl, service(storageUrl="pvc://models/tiny"), *validation)
    assert "spec.predictor.model.storageUrl" in out


def test_misspelt_field_of_a_runtime_is_refused(kubectl: Kubectl) -> None:
    item = runtime()
    item["spec"]["containers"][0]["imagePullPolcy"] = "Never"
    assert "spec.containers[0].imagePullPolcy" in refusal(kubectl, item)


def test_unknown_field_is_pruned_without_strict_validation(kubectl: Kubectl) -> None:
    kubectl("apply", "--validate=ignore", "-f", "-", stdin=json.dumps(service(storageUrl="x")))
    assert "storageUrl" not in kubectl.get("inferenceservice", "tiny")["spec"]["predictor"]["model"]


def test_wrong_type_is_refused(kubectl: Kubectl) -> None:
    item = service()
    item["spec"]["predictor"]["minReplicas"] = "two"
    out = refusal(kubectl, item, "--validate=false")
    assert "spec.predictor.minReplicas" in out
    assert "integer" in out


def test_list_maps_merge_in_server_side_apply(kubectl: Kubectl) -> None:
    """Two managers own one environment variable each, as KServe's definitions allow (list-map key: name)."""
    for manager, name in (("one", "A"), ("two", "B")):
        item = json.dumps(service(env=[{"name": name, "value": manager}]))
        kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", stdin=item)
    env = kubectl.get("inferenceservice", "tiny")["spec"]["predictor"]["model"]["env"]
    assert {item["name"] for item in env} == {"A", "B"}


def test_both_storage_uri_forms_are_refused_by_the_webhook(kubectl: Kubectl) -> None:
    item = service(storageUri="pvc://models/a")
    item["spec"]["predictor"]["storageUris"] = [{"uri": "pvc://models/b"}]
    out = refusal(kubectl, item)
    expected = 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: '
    assert expected + "Setting both StorageURI and StorageURIs is not supported." in out


def test_mode_of_a_running_service_cannot_change(kubectl: Kubectl) -> None:
    kubectl.apply(runtime(command=IDLES), service(runtime="server", storageUri="pvc://models/tiny"))
    until(
        "the status names the mode", lambda: bool(kubectl.get("isvc", "tiny").get("status", {}).get("deploymentMode"))
    )
    item = service(annotations={"serving.kserve.io/deploymentMode": "Serverless"}, runtime="server")
    out = refusal(kubectl, item)
    assert "deploymentMode cannot be changed from 'Standard' to 'Knative'" in out


def test_service_becomes_ready_and_follows_its_pods(kubectl: Kubectl) -> None:
    ready_service(kubectl)
    until("the model counts as loaded", lambda: _model_state(kubectl) == ("UpToDate", "Loaded", "Loaded"))
    status = kubectl.get("inferenceservice", "tiny")["status"]
    assert status["url"] == f"http://tiny-{kubectl.namespace}.example.com"
    assert status["components"]["predictor"]["url"] == f"http://tiny-predictor-{kubectl.namespace}.example.com"
    assert status["observedGeneration"] == 1
    assert ("InferenceServiceReady", "InferenceService [tiny] is Ready") in events(kubectl)
    columns = kubectl("get", "isvc", "tiny").splitlines()[0].split()
    assert columns == ["NAME", "URL", "READY", "PREV", "LATEST", "PREVROLLEDOUTREVISION", "LATESTREADYREVISION", "AGE"]

    kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
    until("Ready follows the Deployment down", lambda: condition(kubectl) == "False")
    until("and up again", lambda: condition(kubectl) == "True")
    lost = "InferenceService [tiny] is no longer Ready because of: PredictorReady, Ready, Stopped"
    assert ("InferenceServiceNotReady", lost) in events(kubectl)


def test_stopping_deletes_the_pods_and_starting_brings_them_back(kubectl: Kubectl) -> None:
    ready_service(kubectl)
    kubectl("annotate", "isvc", "tiny", "serving.kserve.io/stop=true")
    until("nothing is left", lambda: names(kubectl) == set())
    until("it is called stopped", lambda: condition(kubectl, "Stopped") == "True")
    assert condition(kubectl) == "False"
    kubectl("annotate", "isvc", "tiny", "serving.kserve.io/stop-")
    until("the service is Ready again", lambda: condition(kubectl) == "True")
    assert condition(kubectl, "Stopped") == "False"


def test_edit_of_the_service_rolls_out(kubectl: Kubectl) -> None:
    ready_service(kubectl)
    patch = {"spec": {"predictor": {"model": {"storageUri": "pvc://models/other"}, "nodeSelector": {"a": "b"}}}}
    kubectl("patch", "isvc", "tiny", "--type=merge", "-p", json.dumps(patch))
    until("the Deployment follows", lambda: _pod_template(kubectl)["spec"].get("nodeSelector") == {"a": "b"})
    source = "internal.serving.kserve.io/storage-initializer-sourceuri"
    assert _pod_template(kubectl)["metadata"]["annotations"][source] == "pvc://models/other"
    kubectl("patch", "isvc", "tiny", "--type=json", "-p", '[{"op":"remove","path":"/spec/predictor/nodeSelector"}]')
    until("a removed field goes", lambda: "nodeSelector" not in _pod_template(kubectl)["spec"])


def test_edit_of_the_runtime_rolls_out(kubectl: Kubectl) -> None:
    ready_service(kubectl)
    kubectl.apply(runtime(labels={"changed": "yes"}))
    until("the Deployment follows", lambda: _pod_template(kubectl)["metadata"]["labels"].get("changed") == "yes")


def test_runtime_made_later_is_found(kubectl: Kubectl) -> None:
    kubectl.apply(claim("models", "16Mi"), service(storageUri="pvc://models/tiny", runtime="server"))
    refused = ("InternalError", "No ServingRuntimes or ClusterServingRuntimes with the name: server")
    until("it is refused", lambda: refused in events(kubectl))
    kubectl.apply(runtime())
    until("the service is Ready", lambda: condition(kubectl) == "True")


def test_deletion_takes_everything_along(kubectl: Kubectl) -> None:
    ready_service(kubectl)
    kubectl("delete", "isvc", "tiny")
    until("nothing is left", lambda: names(kubectl) == set())
    assert "models" in kubectl("get", "pvc", "-o", "name")


def test_deleted_workload_comes_back(kubectl: Kubectl) -> None:
    ready_service(kubectl)
    before = kubectl.get("deployment", "tiny-predictor")["metadata"]["uid"]
    kubectl("delete", "deployment", "tiny-predictor")
    until("it is there again", lambda: _uid(kubectl, "deployment", "tiny-predictor") not in ("", before))


def test_service_account_secret_reaches_the_initializer(kubectl: Kubectl) -> None:
    """S3 credentials by KServe's own convention: a secret on the pod's service account, with annotations."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3", "annotations": {"serving.kserve.io/s3-endpoint": "s3.example:9000"}},
        "stringData": {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "S3_USE_HTTPS": "0"},
    }
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "reader"},
        "secrets": [{"name": "s3"}],
    }
    item = service(storageUri="s3://models/tiny", runtime="server")
    item["spec"]["predictor"]["serviceAccountName"] = "reader"
    kubectl.apply(runtime(), secret, account, item)
    until("a pod is made", lambda: bool(_pods(kubectl)))
    (initializer,) = _pods(kubectl)[0]["spec"]["initContainers"]
    env = {entry["name"]: entry.get("value") or entry["valueFrom"]["secretKeyRef"] for entry in initializer["env"]}
    assert env["AWS_ACCESS_KEY_ID"] == {"name": "s3", "key": "AWS_ACCESS_KEY_ID"}
    assert env["AWS_SECRET_ACCESS_KEY"] == {"name": "s3", "key": "AWS_SECRET_ACCESS_KEY"}
    assert env["S3_ENDPOINT"] == "s3.example:9000"
    assert env["AWS_ENDPOINT_URL"] == "http://s3.example:9000"
    assert env["S3_USE_HTTPS"] == "0"


def test_missing_storage_key_keeps_the_pod_from_being_made(kubectl: Kubectl) -> None:
    kubectl.apply(runtime(), service(storage={"key": "nothere", "path": "tiny"}, runtime="server"))

    def failure() -> str:
        found = kubectl.get("inferenceservice", "tiny").get("status", {}).get("conditions", [])
        return next((item.get("message", "") for item in found if item["type"] == "PredictorReady"), "")

    until("the Deployment's failure shows", lambda: "can't read storage secret storage-config" in failure())


def _pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    return found


def _pod_template(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get("deployment", "tiny-predictor")["spec"]["template"]
    return found


def _model_state(kubectl: Kubectl) -> tuple[str, str, str]:
    model = kubectl.get("inferenceservice", "tiny")["status"]["modelStatus"]
    return model["transitionStatus"], model["states"]["activeModelState"], model["states"]["targetModelState"]


def _uid(kubectl: Kubectl, kind: str, name: str) -> str:
    return kubectl("get", kind, name, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")
