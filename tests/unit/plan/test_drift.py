"""What differs between a cluster and a model file, after a plan was carried out and somebody changed something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import ClaimFacts, Facts, Unknown
from pvserve.plan.diff import merged
from pvserve.plan.drift import Drift, drift_of, with_volume
from pvserve.show.drift import drift_text
from pvserve.spec import ModelSpec

from .cases import Case, manifest
from .test_again import CASES, _case, _plan, carried_out


def done(name: str) -> tuple[Case, Facts]:
    """The facts after the case's plan was carried out."""
    case = _case(name)
    return case, carried_out(case, _plan(case, case.facts), case.facts)


def drift(case: Case, facts: Facts, **spec: Any) -> Drift:
    wanted = ModelSpec.model_validate({**case.spec.model_dump(by_alias=True), **spec}) if spec else case.spec
    case.spec = wanted
    return drift_of(wanted, facts, _plan(case, facts), case.listing)


def paths(found: Drift) -> dict[str, list[str]]:
    return {
        item.subject: [".".join(map(str, change.path)) for change in item.changes] or [item.kind]
        for item in found.differences
    }


@pytest.mark.parametrize("name", CASES)
def test_what_was_carried_out_does_not_differ(name: str) -> None:
    found = drift(*done(name))
    assert (found.differences, found.unknown, found.refusals, found.exit_code) == ((), (), (), 0)
    assert "No difference" in drift_text(found)


@pytest.mark.parametrize("name", ["ui-service-to-claim", "fresh-from-runtime"])
def test_before_anything_was_done_all_of_it_is_missing(name: str) -> None:
    case = _case(name)
    found = drift(case, case.facts)
    subjects = " ".join(item.subject for item in found.differences if item.kind == "missing")
    assert "InferenceService" in subjects
    assert "pvc://" in subjects
    assert found.exit_code == 9


def test_an_edited_service_differs_by_its_fields_and_additions_of_others_do_not_count() -> None:
    case, facts = done("ui-service-to-claim")
    edit = {"spec": {"predictor": {"model": {"storageUri": "pvc://other/x"}}}, "metadata": {"annotations": {"n": "1"}}}
    found = drift(case, replace(facts, service=merged(facts.service, edit)))
    assert list(paths(found).values()) == [["spec.predictor.model.storageUri"]]
    assert "~ spec.predictor.model.storageUri: pvc://other/x -> pvc://" in drift_text(found)


def test_an_edited_runtime_differs() -> None:
    case, facts = done("ui-service-to-claim")
    assert isinstance(facts.runtime, dict)
    containers = [{**facts.runtime["spec"]["containers"][0], "image": "other:1"}]
    found = drift(case, replace(facts, runtime=merged(facts.runtime, {"spec": {"containers": containers}})))
    assert list(paths(found).values()) == [["spec.containers.0.image"]]


@pytest.mark.parametrize(
    ("claim", "path"),
    [
        ({"size": "30Gi"}, "spec.resources.requests.storage"),
        ({"storageClass": "slow"}, "spec.storageClassName"),
        ({"accessMode": "ReadWriteMany"}, "spec.accessModes"),
    ],
)
def test_what_the_file_states_of_the_claim_is_compared(claim: dict[str, str], path: str) -> None:
    case, facts = done("ui-service-to-claim")
    found = drift(case, facts, claim={"name": case.spec.claim.name, **claim})
    assert paths(found) == {f"claim {case.spec.claim.name}": [path]}


def test_a_volume_that_is_retained_no_more_differs() -> None:
    case, facts = done("ui-service-to-claim")
    lost = merged(facts.claim.volume, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
    found = drift(case, replace(facts, claim=replace(facts.claim, volume=lost)))
    assert paths(found) == {"PersistentVolume pv": ["spec.persistentVolumeReclaimPolicy"]}


def test_a_claim_that_is_gone_is_missing_with_its_model() -> None:
    case, facts = done("ui-service-to-claim")
    found = drift(case, replace(facts, claim=ClaimFacts(case.spec.claim.name, None)))
    kinds = {item.subject.partition(" ")[0].partition(":")[0]: item.kind for item in found.differences}
    assert kinds == {"claim": "missing", "pvc": "missing"}


def test_other_digests_of_the_source_are_other_content() -> None:
    case, facts = done("ui-service-to-claim")
    case.content = manifest({found.path: found.size + 1 for found in case.listing.entries})
    found = drift(case, facts)
    assert [item.kind for item in found.differences] == ["content"]
    assert found.refusals == ()


def test_without_digests_other_sizes_differ_and_equal_sizes_are_unknown() -> None:
    case, facts = done("ui-service-to-claim")
    case.content = None
    assert paths(drift(case, facts)) == {
        str(f"pvc://{case.spec.claim.name}/{case.spec.destination}"): ["bytes", "files"]
    }
    entries = case.listing.entries
    record = {"manifest": "sha256:1", "bytes": case.listing.bytes, "files": len(entries)}
    import json

    models = {"pvserve.io/models": json.dumps({case.spec.destination: record})}
    same = merged(facts.claim.object, {"metadata": {"annotations": models}})
    found = drift(case, replace(facts, claim=replace(facts.claim, object=same)))
    assert (found.differences, found.exit_code) == ((), 10)
    assert "--checksum" in drift_text(found)


def test_what_could_not_be_read_is_never_called_the_same() -> None:
    case, facts = done("ui-service-to-claim")
    hidden = Unknown("you may not get servingruntimes", "forbidden")
    found = drift(case, replace(facts, origin_runtime=hidden))
    assert found.exit_code != 0
    assert any("you may not get servingruntimes" in item for item in found.unknown)
    unread = drift(case, replace(facts, claim=replace(facts.claim, object=hidden)))
    assert [item.reason for item in unread.refusals] == ["Unreadable"]


def test_a_service_that_is_being_deleted_is_not_called_the_same() -> None:
    case, facts = done("ui-service-to-claim")
    going = merged(facts.service, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert drift(case, replace(facts, service=going)).exit_code == 10


def test_a_source_that_only_a_pod_can_list_is_unknown_and_a_claim_that_is_gone_is_missing() -> None:
    case, facts = done("ui-service-to-claim")
    case.listing = case.content = None
    remote = {"model": "https://models.example/granite", "path": case.spec.destination}
    found = drift(case, facts, **remote)
    assert (found.differences, found.exit_code) == ((), 10)
    gone = drift(case, replace(facts, claim=ClaimFacts(case.spec.claim.name, None)))
    assert paths(gone)[f"claim {case.spec.claim.name}"] == ["missing"]
    assert gone.refusals == ()


def test_an_in_place_service_that_went_back_differs() -> None:
    case, facts = done("in-place-no-connection")
    assert isinstance(facts.service, dict)
    back = merged(facts.service, {"spec": {"predictor": {"model": {"storageUri": "s3://b/m"}}}})
    found = drift(case, replace(facts, service=back, origin_service=back))
    assert list(paths(found).values()) == [["spec.predictor.model.storageUri"]]


def test_a_format_that_the_file_states_is_compared_also_where_the_service_is_pvserve_s_own() -> None:
    case, facts = done("fresh-from-runtime")
    assert isinstance(facts.service, dict)
    edited = merged(
        facts.service, {"spec": {"predictor": {"model": {"modelFormat": {"name": "other"}}, "minReplicas": 3}}}
    )
    found = drift(case, replace(facts, service=edited))
    assert list(paths(found).values()) == [["spec.predictor.model.modelFormat.name"]]


@pytest.mark.parametrize(("result", "code"), [("passed", 0), ("failed", 9), ("unknown", 10)])
def test_what_was_seen_on_the_volume_counts(result: Any, code: int) -> None:
    found = with_volume(drift(*done("ui-service-to-claim")), "pvc://c/p", "changed model.gguf", result)
    assert found.exit_code == code
    assert "changed model.gguf" in drift_text(found)
