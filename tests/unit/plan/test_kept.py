"""What a conversion keeps: all that the dashboard, Kueue, KServe and the user wrote; storage alone moves."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.facts import Facts
from pvserve.plan import build
from pvserve.plan.claim import new_claim
from pvserve.plan.diff import merged
from pvserve.plan.edit_service import fresh_service, new_service, storage_of, storage_patch
from pvserve.plan.steps import ApplyObject, PatchObject

from .cases import DIRECTORY, Case

RECORDINGS = Path(__file__).parents[2] / "emulator" / "recordings"
MANAGED = {"app.kubernetes.io/managed-by": "pvserve"}
CONNECTION = {"opendatahub.io/connections", "opendatahub.io/connection-path"}
URI = "pvc://vllm-model-cache/granite-7b-lab"


def kept() -> Case:
    return Case(DIRECTORY / "kept-of-the-dashboard.yaml")


def without_storage(spec: Any) -> dict[str, Any]:
    """A service's spec without what says where its model is and who serves it."""
    found: dict[str, Any] = deepcopy(dict(spec))
    predictor = found["predictor"]
    predictor.pop("serviceAccountName", None)  # the connection's
    for field in ("storage", "storageUri", "runtime"):
        predictor["model"].pop(field, None)
    return found


def test_a_new_service_keeps_hardware_profile_queue_token_route_and_every_component() -> None:
    case = kept()
    plan = build(case.spec, case.facts, case.listing, case.content, case.goals)
    assert plan.refusals == ()
    [made] = [step.object for step in plan.steps if isinstance(step, ApplyObject) and step.id == "service"]
    origin = case.facts.origin_service
    assert isinstance(origin, dict)
    assert made["metadata"]["labels"] == {**origin["metadata"]["labels"], **MANAGED}
    expected = {word: text for word, text in origin["metadata"]["annotations"].items() if word not in CONNECTION}
    assert made["metadata"]["annotations"] == expected
    assert without_storage(made["spec"]) == without_storage(origin["spec"])
    assert made["spec"]["predictor"]["workerSpec"] == {"tensorParallelSize": 4}
    assert made["spec"]["predictor"]["model"]["storageUri"] == URI


def test_in_place_only_the_storage_and_the_connection_move() -> None:
    case = kept()
    service = case.facts.origin_service
    facts: Facts = replace(case.facts, service=service, connection="s3")
    spec = case.spec.model_copy(update={"name": "granite", "origin": None, "in_place": True})
    plan = build(spec, facts, case.listing, case.content, case.goals)
    assert plan.refusals == ()
    after: Any = service
    for step in plan.steps:
        after = merged(after, step.patch) if isinstance(step, PatchObject) else after
    assert after["metadata"]["labels"] == service["metadata"]["labels"]
    changed = {**after["metadata"]["annotations"], "pvserve.io/before": None}
    assert set(changed) - set(service["metadata"]["annotations"]) == {"pvserve.io/before"}
    assert set(service["metadata"]["annotations"]) - set(changed) == CONNECTION
    assert without_storage(after["spec"]) == without_storage(service["spec"])
    assert after["spec"]["predictor"]["model"]["storageUri"] == URI


@pytest.mark.parametrize("recording", ["transformer", "worker-multinode", "custom-predictor", "storage-uris-pvc"])
def test_every_form_of_a_recording_moves_its_storage_alone(recording: str) -> None:
    [origin] = [item for item in recorded(recording) if item["kind"] == "InferenceService"]
    origin["metadata"].setdefault("namespace", "llm")
    made = new_service(origin, "new", "llm", "", "pvc://other/place")
    moving = {"storageUri", "storageUris", "value", "volumes", "volumeMounts"}
    assert differing(made["spec"], origin["spec"]) <= {*moving, "runtime"}
    patched = merged(origin, storage_patch(origin, "pvc://other/place"))
    assert differing(patched["spec"], origin["spec"]) <= moving
    assert storage_of(made).uri == storage_of(patched).uri == "pvc://other/place"


def differing(one: Any, other: Any) -> set[str]:
    """The keys at which two trees part."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        parted = {key: differing(one.get(key), other.get(key)) for key in keys if one.get(key) != other.get(key)}
        return {word for key, words in parted.items() for word in (words or {key})}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {word for pair in zip(one, other, strict=True) for word in differing(*pair)}
    return set()


def recorded(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((RECORDINGS / f"{name}.yaml").read_text())["input"]
    return found


def test_the_dashboard_shows_what_pvserve_makes_as_what_its_wizard_made() -> None:
    """Recording odh-style: objects as a run of the wizard makes them."""
    by_kind = {item["kind"]: item for item in recorded("odh-style")}
    wizard = by_kind["InferenceService"]
    made = new_service(wizard, "granite-pvc", "llm", "granite-pvc", "pvc://models/granite-7b-lab")
    assert made["metadata"]["annotations"] == wizard["metadata"]["annotations"]
    assert made["metadata"]["labels"] == {**wizard["metadata"]["labels"], **MANAGED}
    fresh = fresh_service("granite", "llm", "vLLM", "vllm", "pvc://models/granite-7b-lab")
    shown = fresh["metadata"]["annotations"]
    assert shown.keys() <= wizard["metadata"]["annotations"].keys()
    assert shown["opendatahub.io/model-type"] == wizard["metadata"]["annotations"]["opendatahub.io/model-type"]
    assert fresh["metadata"]["labels"].keys() - MANAGED <= wizard["metadata"]["labels"].keys()
    assert fresh["spec"]["predictor"]["model"].items() <= wizard["spec"]["predictor"]["model"].items()
    claim = new_claim("models", "llm", "gp3-csi", "ReadWriteOnce", "1Gi")
    wizards = by_kind["PersistentVolumeClaim"]
    assert claim["spec"] == wizards["spec"]
    assert claim["metadata"]["labels"]["opendatahub.io/dashboard"] == "true"
    assert claim["metadata"]["annotations"]["openshift.io/display-name"] == "models"


def test_a_format_that_is_no_language_model_is_shown_as_predictive() -> None:
    made = fresh_service("iris", "llm", "sklearn", "mlserver", "pvc://models/iris")
    assert made["metadata"]["annotations"]["opendatahub.io/model-type"] == "predictive"
