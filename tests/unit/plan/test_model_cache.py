"""What KServe imports itself: the object, the directory, and what such an import cannot do."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from pvserve.facts import CacheFacts, Facts, Object, Unknown
from pvserve.model.elsewhere import Told, told_listing
from pvserve.model.listing import Listing
from pvserve.model.walk import Found
from pvserve.plan import build, facts_query
from pvserve.plan.fetching import listing_order
from pvserve.plan.model_cache import CACHE, import_of, import_path, kserve_uri, pvserve_uri
from pvserve.plan.steps import ApplyObject, LoadJob, Plan
from pvserve.spec.model import FetchSpec, ModelSpec

from .cases import DIRECTORY, Case

GOALS = frozenset({"load", "serve", "files", CACHE})
MODEL = "hf://ibm-granite/granite-7b-lab@main"
PATH = import_path("hf://ibm-granite/granite-7b-lab:main")
THERE = CacheFacts(True)


def listing(size: int = 5 << 20) -> Listing:
    row = Told(Found("model.safetensors", size, 0, 0, 1, 0, False, "model.safetensors"))
    return replace(told_listing([row], "hf://ibm-granite/granite-7b-lab@c0ffee"), name="granite")


def spec(model: str = MODEL, fetch: FetchSpec | None = None, **changes: Any) -> ModelSpec:
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    claim = case.spec.claim.model_copy(update={"access_mode": "ReadWriteMany"})
    update = {"model": model, "path": None, "fetch": fetch or FetchSpec(), "claim": claim, **changes}
    return case.spec.model_copy(update=update)


def facts(caches: CacheFacts | None = THERE, **changes: Any) -> Facts:
    return replace(Case(DIRECTORY / "ui-service-to-claim.yaml").facts, model_caches=caches, **changes)


def planned(wanted: ModelSpec | None = None, seen: Facts | None = None, found: Listing | None = None) -> Plan:
    return build(wanted or spec(), seen or facts(), found or listing(), None, GOALS)


def reasons(plan: Plan) -> list[tuple[str, int]]:
    return [(item.reason, item.exit_code) for item in plan.refusals]


def cache_of(plan: Plan) -> Object:
    assert plan.refusals == ()
    (step,) = [step for step in plan.steps if isinstance(step, ApplyObject) and step.id == "cache"]
    return step.object


def test_kserve_imports_what_the_service_is_served_from() -> None:
    plan = planned()
    made = cache_of(plan)
    assert (made["apiVersion"], made["kind"]) == ("serving.kserve.io/v1alpha1", "LocalModelNamespaceCache")
    assert made["metadata"]["name"] == plan.service
    assert made["spec"] == {
        "sourceModelUri": "hf://ibm-granite/granite-7b-lab:main",
        "modelSize": "5Mi",
        "pvcRef": plan.claim,
    }
    assert plan.path == PATH
    service = next(
        s.object for s in plan.steps if isinstance(s, ApplyObject) and s.object["kind"] == "InferenceService"
    )
    assert service["spec"]["predictor"]["model"]["storageUri"] == f"pvc://{plan.claim}/{PATH}"
    assert not [step for step in plan.steps if isinstance(step, LoadJob)]
    assert any("compares no digest" in note for note in plan.notes)


def test_the_directory_is_named_by_the_address_as_kserve_names_it() -> None:
    """The first 16 hex digits of its sha256 (GetStorageKey)."""
    uri = "hf://meta-llama/Meta-Llama-3-8B"
    assert import_path(uri) == f"models/{hashlib.sha256(uri.encode()).hexdigest()[:16]}"
    assert import_path(uri) != import_path(uri + "/")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("hf://a/b@main", "hf://a/b:main"), ("hf://a/b", "hf://a/b"), ("s3://bucket/a@b:c", "s3://bucket/a@b:c")],
)
def test_addresses_are_written_in_kserves_form_and_back(ours: str, theirs: str) -> None:
    assert kserve_uri(ours) == theirs
    assert pvserve_uri(theirs) == ours


def credentials(fetch: FetchSpec, seen: Facts) -> dict[str, Any]:
    made = cache_of(planned(spec("s3://models/granite", fetch), seen))["spec"]
    return {key: made[key] for key in ("storage", "serviceAccountName") if key in made}


def test_credentials_are_named_as_kserve_looks_for_them() -> None:
    """An entry of storage-config; else, of a service as the dashboard makes it, its own entry or account."""
    entry = FetchSpec(connection="storage-config", key="granite")
    assert credentials(entry, facts()) == {"storage": {"key": "granite"}}
    origin: Any = copy.deepcopy(facts().origin_service)
    predictor = origin["spec"]["predictor"]
    predictor["model"]["storage"] = {"key": "models", "path": "granite"}
    assert credentials(FetchSpec(), facts(origin_service=origin)) == {"storage": {"key": "models"}}
    del predictor["model"]["storage"]
    account = predictor["serviceAccountName"]
    assert credentials(FetchSpec(), facts(origin_service=origin)) == {"serviceAccountName": account}
    assert (
        credentials(
            FetchSpec(), facts(origin_service={**origin, "metadata": {**origin["metadata"], "annotations": {}}})
        )
        == {}
    )


def test_a_connection_that_kserve_could_not_find_is_refused() -> None:
    plan = planned(spec("s3://models/granite", FetchSpec(connection="models-s3")))
    assert reasons(plan) == [("CacheCredentials", 3)]
    assert "storage-config" in plan.refusals[0].message


@pytest.mark.parametrize(
    ("caches", "reason", "code"),
    [
        (CacheFacts(False), "NoModelCache", 3),
        (CacheFacts(Unknown("not yours", "forbidden")), "Unreadable", 4),
        (None, "Unreadable", 3),
    ],
)
def test_a_cluster_whose_kserve_cannot_is_refused(caches: CacheFacts | None, reason: str, code: int) -> None:
    assert reasons(planned(seen=facts(caches))) == [(reason, code)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "elsewhere"}, "nowhere else"),
        ({"include": ("*.json",)}, "--include"),
        ({"exclude": ("*.json",)}, "--exclude"),
        ({"fetch": FetchSpec(endpoint="https://mirror.example")}, "--endpoint"),
        ({"fetch": FetchSpec(queue="models", shards=2)}, "--queue, --shards"),
        ({"model": "hf://gpt2"}, "hf://ORG/MODEL"),
        ({"model": "s3:///granite"}, "s3://BUCKET/PREFIX"),
    ],
)
def test_what_kserves_import_cannot_do_is_refused(change: dict[str, Any], words: str) -> None:
    plan = planned(spec(**change))
    assert reasons(plan) == [("CacheCannotImport", 3)]
    assert words in plan.refusals[0].message


def test_a_signed_address_is_refused_and_not_shown() -> None:
    plan = planned(spec("https://models.example/a.gguf?X-Amz-Signature=hush"))
    assert reasons(plan) == [("SecretInObject", 3)]
    assert "hush" not in str(plan.refusals)


def test_a_directory_of_this_machine_has_no_address() -> None:
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    plan = build(spec("./granite"), facts(), case.listing, None, GOALS)
    assert reasons(plan) == [("CacheCannotImport", 3)]


def test_a_claim_of_one_node_is_refused() -> None:
    claim = spec().claim.model_copy(update={"access_mode": "ReadWriteOnce"})
    assert reasons(planned(spec(claim=claim))) == [("CacheNeedsSharedClaim", 3)]


def on_claim(requested: str, models: str = "{}") -> Facts:
    seen = Case(DIRECTORY / "claim-bound.yaml").facts
    live: Any = seen.claim.object
    live = {
        **live,
        "metadata": {**live["metadata"], "annotations": {"pvserve.io/models": models}},
        "spec": {**live["spec"], "accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": requested}}},
        "status": {**live["status"], "accessModes": ["ReadWriteMany"]},
    }
    return replace(seen, model_caches=THERE, claim=replace(seen.claim, object=live))


def test_a_claim_that_asks_for_less_than_the_model_is_refused_as_kserve_would() -> None:
    assert cache_of(planned(seen=on_claim("20Gi")))
    plan = planned(seen=on_claim("1Mi"))
    assert reasons(plan) == [("ClaimTooSmall", 3)]
    assert "pvserve resize" in plan.refusals[0].remedy[0]


def test_what_pvserve_loaded_there_is_not_written_over() -> None:
    plan = planned(seen=on_claim("20Gi", f'{{"{PATH}": {{"manifest": "sha256:1"}}}}'))
    assert reasons(plan) == [("PathOccupied", 3)]


def a_cache(called: str, source: str = "hf://ibm-granite/granite-7b-lab:main", **where: Any) -> Object:
    metadata = {"name": called, "namespace": "llm"}
    return {"kind": "LocalModelNamespaceCache", "metadata": metadata, "spec": {"sourceModelUri": source, **where}}


def test_one_cache_has_a_directory_and_keeps_to_it() -> None:
    claim, own = spec().claim.name, spec().name
    assert cache_of(planned(seen=facts(CacheFacts(True, (a_cache(own, pvcRef=claim),)))))
    others = (a_cache("other", pvcRef=claim), a_cache(own, "hf://a/b", pvcRef=claim), a_cache(own, nodeGroups=["gpu"]))
    for other in others:
        assert reasons(planned(seen=facts(CacheFacts(True, (other,))))) == [("CacheTaken", 3)]
    assert cache_of(planned(seen=facts(CacheFacts(True, (a_cache("other", "hf://a/b", pvcRef=claim),)))))


def test_a_size_that_nobody_knows_must_be_said() -> None:
    source = told_listing([Told(Found("source", 0, 0, 0, 1, 0, False, "source"))], "gs://models/granite")
    source = replace(source, estimated=True, packed=True)
    assert [reason for reason, _ in reasons(planned(spec("gs://models/granite"), found=source))] == ["SizeUnknown"]
    claim = spec().claim.model_copy(update={"size": "20Gi"})
    assert cache_of(planned(spec("gs://models/granite", claim=claim), found=source))["spec"]["modelSize"] == "20Gi"


def test_all_files_are_listed_since_kserve_leaves_none_out() -> None:
    assert listing_order(spec(), facts(), everything=True)["everything"] is True
    assert "everything" not in listing_order(spec(), facts())


def test_the_cluster_is_asked_only_for_this_form() -> None:
    assert facts_query(spec(), GOALS, "llm").model_caches
    assert not facts_query(spec(), GOALS - {CACHE}, "llm").model_caches


def test_an_import_is_read_as_its_status_tells_it() -> None:
    cache: Any = a_cache("llama", "hf://a/b", pvcRef="models")
    found = import_of(cache)
    assert found is not None
    assert (found.claim, found.path, found.ready, str(found)) == (
        "models",
        import_path("hf://a/b"),
        False,
        "LocalModelNamespaceCache llama",
    )
    running = {"type": "Ready", "status": "False", "reason": "ImportRunning", "lastTransitionTime": "x"}
    found = import_of({**cache, "status": {"conditions": [running], "inferenceServices": [{"name": "b"}]}})
    assert found is not None
    assert (found.ready, found.services, str(found)) == (
        False,
        (("llm", "b"),),
        "LocalModelNamespaceCache llama (ImportRunning)",
    )
    assert import_of(a_cache("llama", nodeGroups=["gpu"])) is None
