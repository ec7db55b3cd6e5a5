"""KServe's silent traps, each said before anything is applied; for real in tests/cluster/diagnosis/test_before.py."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pvserve.apply.looking import judged
from pvserve.errors import Refused
from pvserve.facts import Holder, KServeFacts
from pvserve.plan import Plan, build
from pvserve.plan import __file__ as room
from pvserve.plan.admission import with_admission
from pvserve.plan.claim import MODELS
from pvserve.plan.steps import ApplyObject, CheckPath
from pvserve.plan.trap_table import TRAPS
from pvserve.transfer import VolumeReport

from .cases import DIRECTORY, Case, overlaid

SERVE = frozenset({"serve"})
BOTH = frozenset({"load", "serve"})


def planned(
    service: dict[str, Any] | None = None,
    runtime: Any = None,
    claim: dict[str, Any] | None = None,
    holders: tuple[Holder, ...] = (),
    goals: frozenset[str] = BOTH,
    **spec: Any,
) -> Plan:
    """The plan of the seed process with fields laid over its service, its runtime and its claim."""
    case = Case(DIRECTORY / "claim-bound.yaml")
    facts = replace(
        case.facts,
        origin_service=overlaid(case.facts.origin_service, service or {}),
        origin_runtime=None if runtime is False else overlaid(case.facts.origin_runtime, runtime or {}),
        claim=replace(case.facts.claim, object=overlaid(case.facts.claim.object, claim or {}), holders=holders),
    )
    listing = case.listing if "load" in goals else None
    return build(case.spec.model_copy(update=spec), facts, listing, case.content, goals)


def predictor(**fields: Any) -> dict[str, Any]:
    return {"spec": {"predictor": fields}}


def reasons(plan: Plan) -> list[str]:
    return [item.reason for item in plan.refusals]


def test_storage_and_storage_uri_both_set() -> None:
    plan = planned(predictor(model={"storageUri": "s3://models/granite"}))
    assert any("names both storage and storageUri, which KServe does not serve" in note for note in plan.notes)


def test_storage_uris_lose_the_sub_path() -> None:
    plan = planned(predictor(model={"storageUris": [{"uri": "pvc://a/granite"}]}))
    assert any("mounts a claim's root and loses the sub-path" in note for note in plan.notes)


def listing(*entries: tuple[str, str], **model: Any) -> dict[str, Any]:
    """A service that lists its models, as in recording storage-uris-pvc."""
    uris = [{"uri": uri, "mountPath": place} for uri, place in entries]
    return predictor(storageUris=uris, model={"storage": None, **model})


def test_storage_uris_beside_the_model_that_stay_are_told() -> None:
    plan = planned(
        listing(
            ("s3://b/base", "/mnt/base"),
            ("pvc://adapters/lora", "/mnt/lora"),
            ("hf://o/a", "/mnt/more"),
            ("pvc://vllm-model-cache/x", "/mnt/x"),
        )
    )
    assert plan.refusals == ()
    told = " ".join(plan.notes)
    assert "a mount of the model's own directory, at /mnt/base, takes the place of the first" in told
    assert "pvc://adapters/lora stays in storageUris" in told
    assert "its files are at /mnt/lora/lora" in told
    assert "pvc://vllm-model-cache/x of InferenceService llm/granite is mounted at /mnt/x with its path, as" in told
    assert "lists for /mnt/more stays where it is, and KServe copies it" in told


@pytest.mark.parametrize(
    ("service", "why"),
    [
        (listing(("s3://b/base", "/mnt/models"), ("s3://b/lora", "/mnt/models/lora")), "lie inside each other"),
        (listing(("s3://b/base", "/m/base"), ("s3://b/1", "/m/l/1"), ("s3://b/2", "/m/k/2")), "/m, where another"),
        (listing(("s3://b/base", "/mnt/base/x"), ("pvc://a", "/mnt/base")), "lie inside each other"),
        (overlaid(listing(("s3://b/base", "/mnt/base")), predictor(workerSpec={})), "workerSpec"),
    ],
)
def test_several_models_of_which_the_first_cannot_be_moved(service: dict[str, Any], why: str) -> None:
    plan = planned(service)
    assert reasons(plan) == ["SeveralModels"]
    assert why in plan.refusals[0].message


def test_claim_in_another_namespace() -> None:
    case = Case(DIRECTORY / "claim-in-another-namespace.yaml")
    plan = build(case.spec, case.facts, None, None, SERVE)
    assert reasons(plan) == ["ClaimElsewhere"]
    assert any("pvserve share" in line for line in plan.refusals[0].remedy)


def test_path_that_pvserve_did_not_load_is_looked_at_first() -> None:
    plan = planned(goals=SERVE, model=None, path="models/granite")
    assert isinstance(plan.steps[0], CheckPath)
    assert plan.steps[0].pod["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] is True
    recorded = {"metadata": {"annotations": {MODELS: '{"models/granite": {"manifest": "sha256:1"}}'}}}
    again = planned(goals=SERVE, model=None, path="models/granite", claim=recorded)
    assert not [step for step in again.steps if isinstance(step, CheckPath)]


def test_path_on_a_claim_without_a_volume_holds_nothing() -> None:
    fresh = {"spec": {"volumeName": None}, "status": {"phase": "Pending"}}
    assert reasons(planned(goals=SERVE, model=None, path="granite", claim=fresh)) == ["ClaimUnbound"]


def test_path_on_a_claim_that_one_pod_has_is_not_looked_at_and_that_is_said() -> None:
    alone = {"status": {"accessModes": ["ReadWriteOncePod"]}}
    plan = planned(goals=SERVE, model=None, path="granite", claim=alone)
    assert any("whether a model lies there is seen by" in note for note in plan.notes)


def test_claim_that_one_pod_has_is_known_to_be_held() -> None:
    alone = {"status": {"accessModes": ["ReadWriteOncePod"]}}
    words: Any = {"goals": SERVE, "model": None, "path": "granite", "claim": alone}
    held = planned(**words, holders=(Holder("notebook-0", "node2", "Running", False),))
    assert reasons(held) == ["ClaimHeld"]
    assert "held by pod notebook-0 on node node2" in held.refusals[0].message
    own = Holder("granite-pvc-predictor-6d5-x", "node2", "Running", True)
    waits = Holder("waits", "", "Pending", False)
    assert reasons(planned(**words, holders=(own, waits))) == []


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("PathMissing", {"exists": False, "is_directory": False}),
        ("PathIsFile", {"is_directory": False}),
        ("PathEmpty", {}),
        ("", {"extra": ("config.json",)}),
    ],
)
def test_path_missing_empty_or_a_file(code: str, seen: dict[str, Any]) -> None:
    step = planned(goals=SERVE, model=None, path="models/granite").steps[0]
    assert isinstance(step, CheckPath)
    report = VolumeReport(None, 0, (), **{"extra": (), **seen}, **NOTHING)
    if not code:
        judged(report, step, "llm")
        return
    with pytest.raises(Refused) as refused:
        judged(report, step, "llm")
    assert refused.value.reason == code
    assert "pvc://vllm-model-cache/models/granite" in refused.value.message


NOTHING: dict[str, Any] = {
    "changed": (),
    "unreadable": (),
    "free_bytes": 0,
    "free_inodes": 0,
    "uid": 0,
    "gids": (),
}


def test_two_replicas_on_a_claim_of_one_node() -> None:
    plan = planned(predictor(maxReplicas=2))
    assert any(note.startswith("up to 2 replicas share claim vllm-model-cache") for note in plan.notes)
    shared = planned(predictor(maxReplicas=2), claim={"status": {"accessModes": ["ReadWriteMany"]}})
    assert not any("replicas share" in note for note in shared.notes)


def test_rolling_update_on_a_claim_of_one_node() -> None:
    assert any("deploymentStrategy.type: Recreate" in note for note in planned().notes)
    recreate = planned(predictor(deploymentStrategy={"type": "Recreate"}))
    assert not any("a rolling change" in note for note in recreate.notes)


def test_canary_on_a_claim_of_one_node() -> None:
    assert reasons(planned(predictor(canaryTrafficPercent=10))) == ["CanaryOnOneNode"]


def test_connection_brings_s3_back() -> None:
    plan = planned()
    [service] = [step for step in plan.steps if isinstance(step, ApplyObject) and step.id == "service"]
    stored = overlaid(service.object, predictor(model={"storage": {"key": "granite-s3"}, "storageUri": None}))
    assert reasons(with_admission(plan, {"service": stored})) == ["AdmissionUndoesEdit"]


def test_runtime_is_missing() -> None:
    assert reasons(planned(runtime=False)) == ["NoSuchRuntime"]


def test_runtime_is_disabled() -> None:
    plan = planned(runtime={"spec": {"disabled": True}})
    assert reasons(plan) == ["RuntimeDisabled"]
    [remedy] = plan.refusals[0].remedy
    assert remedy == """kubectl -n llm patch servingruntime granite --type merge -p '{"spec":{"disabled":false}}'"""


def test_runtime_is_not_for_the_format() -> None:
    assert reasons(planned(predictor(model={"modelFormat": {"name": "onnx"}}))) == ["FormatUnsupported"]


def test_runtime_that_must_write() -> None:
    plan = planned({"metadata": {"annotations": {"storage.kserve.io/readonly": "false"}}})
    assert any("mounts the model writable" in note for note in plan.notes)


def of_bytes(size: int) -> dict[str, Any]:
    noted = f'{{"granite": {{"manifest": "sha256:1", "bytes": {size}}}}}'
    return {"metadata": {"annotations": {MODELS: noted}}}


def test_progress_deadline_shorter_than_the_load() -> None:
    def said(size: int, **annotations: str) -> list[str]:
        service = {"metadata": {"annotations": annotations}}
        plan = planned(service, claim=of_bytes(size), goals=SERVE, model=None, path="granite")
        return [note for note in plan.notes if "without progress" in note]

    assert said(100 << 30) == []
    [note] = said(200 << 30)
    assert note.startswith("reading 200GiB at 200MiB/s takes 1024 s, and after 600 s")
    assert said(200 << 30, **{"serving.knative.dev/progress-deadline": "30m"}) == []


def test_runtime_that_phones_home() -> None:
    assert any("does not set HF_HUB_OFFLINE=1" in note for note in planned().notes)
    container = {"name": "kserve-container", "image": "vllm:1", "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}]}
    quiet = planned(runtime={"spec": {"containers": [container]}})
    assert not any("HF_HUB_OFFLINE" in note for note in quiet.notes)


def test_knative_without_claims() -> None:
    case = Case(DIRECTORY / "knative-without-claims.yaml")
    assert reasons(build(case.spec, case.facts, case.listing, case.content, case.goals)) == ["KnativeWithoutClaims"]


def test_kserve_that_links_instead_of_mounting_is_recognised() -> None:
    case = Case(DIRECTORY / "claim-bound.yaml")
    facts = replace(case.facts, kserve=KServeFacts(installed=True, direct_claim_mount=False))
    plan = build(case.spec, facts, case.listing, case.content, case.goals)
    assert any("enableDirectPvcVolumeMount: false" in note for note in plan.notes)


def test_every_row_of_the_table_has_a_rule() -> None:
    rooms = Path(room).parents[1]
    files = (file for name in ("plan", "apply") for file in (rooms / name).glob("*.py") if file.stem != "trap_table")
    words = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert {trap.code for trap in TRAPS} <= words
    assert len({trap.code for trap in TRAPS}) == len(TRAPS)
