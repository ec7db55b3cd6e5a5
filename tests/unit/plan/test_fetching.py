"""A source that the cluster reads itself: the Job, what it is asked, how secrets get in, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.facts import KServeFacts, Surroundings, Unknown
from pvserve.model.elsewhere import Told, told_listing
from pvserve.model.listing import Listing
from pvserve.model.walk import Found
from pvserve.plan import build, facts_query
from pvserve.plan.claim import MODELS
from pvserve.plan.connecting import connection
from pvserve.plan.fetch_job import fetch_job, job_program
from pvserve.plan.fetching import listing_order, listing_pod
from pvserve.plan.rights import required
from pvserve.plan.saved import plan_to_json, plans_from_json
from pvserve.plan.steps import ApplyObject, LoadJob, Plan
from pvserve.render import Options, render
from pvserve.spec.model import FetchSpec, ModelSpec
from pvserve.transfer.ask import key_of

from .cases import DIRECTORY, Case

LOAD = frozenset({"load"})
CONNECTED = FetchSpec(connection="models-s3")
NOTHING = Surroundings()


def listing(tag: int = 1) -> Listing:
    files = {"config.json": 2, "model.safetensors": 5 << 20}
    rows = [Told(Found(name, size, 0, 0, tag, 0, False, Path(name))) for name, size in files.items()]
    return replace(told_listing(rows, "s3://models/granite"), name="granite")


def spec(fetch: FetchSpec = CONNECTED, model: str = "s3://models/granite", **changes: Any) -> ModelSpec:
    case = Case(DIRECTORY / "claim-bound.yaml")
    return case.spec.model_copy(update={"model": model, "path": "some/granite", "fetch": fetch, **changes})


def planned(
    wanted: ModelSpec,
    found: Listing | None = None,
    recorded: str = "",
    goals: Any = LOAD,
    here: Surroundings = NOTHING,
) -> Plan:
    facts = replace(Case(DIRECTORY / "claim-bound.yaml").facts, surroundings=here)
    facts = replace(facts, kserve=replace(facts.kserve, storage_initializer_image="kserve/storage-initializer:1"))
    if recorded:
        live = dict(facts.claim.object)  # type: ignore[call-overload]
        live["metadata"] = {**live["metadata"], "annotations": {MODELS: recorded}}
        facts = replace(facts, claim=replace(facts.claim, object=live))
    return build(wanted, facts, found or listing(), None, goals)


def job_of(plan: Plan) -> LoadJob:
    assert plan.refusals == ()
    [step] = [step for step in plan.steps if isinstance(step, LoadJob)]
    return step


def made(step: LoadJob) -> dict[str, Any]:
    return fetch_job(step, 1_000_000_007)


def test_the_job_is_asked_for_everything_and_told_no_secret() -> None:
    step = job_of(planned(spec(FetchSpec(connection="models-s3", region="eu-west-1"))))
    container = made(step)["spec"]["template"]["spec"]["containers"][0]
    command, order = container["args"]
    assert command == "load"
    asked = json.loads(order)
    assert asked["source"] == {
        "scheme": "s3", "uri": "s3://models/granite", "bucket": "models", "prefix": "granite",
        "region": "eu-west-1", "secret": "models-s3",
    }  # fmt: skip
    assert asked["place"] == {"mount": "/claim", "path": "some/granite", "key": key_of("some/granite")}
    assert (asked["epoch"], asked["fingerprint"]) == (1_000_000_007, listing().fingerprint)
    assert [name["name"] for name in container["env"]] == ["HOME"]


def test_a_secret_comes_in_as_files_and_by_reference_alone() -> None:
    pod = made(job_of(planned(spec(FetchSpec(connection="storage-config", key="granite")))))["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    items = [{"key": "granite", "path": "storage.json"}]
    assert volumes["connection"]["secret"] == {"secretName": "storage-config", "items": items}
    assert volumes["ca"]["configMap"] == {"name": "odh-trusted-ca-bundle", "optional": True}
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert (mounts["connection"]["mountPath"], mounts["connection"]["readOnly"]) == ("/pvserve-secret", True)


def test_a_ca_that_was_named_must_be_there() -> None:
    pod = made(job_of(planned(spec(FetchSpec(ca="mine")))))["spec"]["template"]["spec"]
    assert {"name": "ca", "configMap": {"name": "mine"}} in pod["volumes"]


def test_the_pod_is_admitted_under_restricted_and_has_no_token() -> None:
    job = made(job_of(planned(spec())))
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert (pod["restartPolicy"], pod["securityContext"]["runAsNonRoot"]) == ("Never", True)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"] == "256Mi"


def test_only_what_trying_again_can_mend_is_tried_again() -> None:
    job = made(job_of(planned(spec())))["spec"]
    assert (job["backoffLimit"], job["ttlSecondsAfterFinished"]) == (6, 24 * 3600)
    rules = job["podFailurePolicy"]["rules"]
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert 5 not in rules[1]["onExitCodes"]["values"]
    assert {1, 2, 3, 4, 6, 8} == set(rules[1]["onExitCodes"]["values"])


def test_the_image_is_one_that_has_python() -> None:
    step = job_of(planned(spec()))
    assert step.job["spec"]["template"]["spec"]["containers"][0]["image"] == "kserve/storage-initializer:1"


def test_a_queue_is_a_label_of_the_job() -> None:
    job = made(job_of(planned(spec(FetchSpec(queue="gpu")))))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"


def test_what_is_recorded_from_this_very_list_is_not_fetched_again() -> None:
    recorded = json.dumps({"some/granite": {"manifest": "sha256:aa", "listing": listing().fingerprint}})
    plan = planned(spec(), recorded=recorded)
    assert not [step for step in plan.steps if isinstance(step, LoadJob)]
    assert any("sha256:aa" in line for line in plan.unchanged)


def test_other_content_there_is_refused_unless_it_may_be_replaced() -> None:
    recorded = json.dumps({"some/granite": {"manifest": "sha256:aa", "listing": "other", "source": "s3://old"}})
    assert [item.reason for item in planned(spec(), recorded=recorded).refusals] == ["PathOccupied"]
    loader = spec().loader.model_copy(update={"replace": True})
    assert job_of(planned(spec(loader=loader), recorded=recorded)).replace


@pytest.mark.parametrize("other", ["some", "some/granite/adapter"])
def test_no_model_is_fetched_into_or_around_another(other: str) -> None:
    loader = spec().loader.model_copy(update={"replace": True})
    plan = planned(spec(loader=loader), recorded=json.dumps({other: {"manifest": "sha256:aa"}}))
    assert [item.reason for item in plan.refusals] == ["PathHoldsModels"]


def test_a_service_cannot_be_made_of_a_load_that_is_left_alone() -> None:
    plan = planned(spec(FetchSpec(detach=True)), goals=frozenset({"load", "serve"}))
    assert ("DetachedServe", 2) in [(item.reason, item.exit_code) for item in plan.refusals]


def test_a_saved_plan_is_the_same_plan() -> None:
    plan = planned(spec())
    (again,) = plans_from_json(plan_to_json(plan), "plan.json")
    assert plan_to_json(again) == plan_to_json(plan)


def test_the_rights_to_make_a_job_are_asked_for() -> None:
    asked = facts_query(spec(), LOAD, "llm").rights
    assert set(required(("load", "fetch"), "llm")) <= set(asked)


def test_the_source_is_listed_by_a_pod_that_mounts_no_claim() -> None:
    case = Case(DIRECTORY / "claim-bound.yaml")
    pod, why = listing_pod(spec(), case.facts)
    assert pod is not None, why
    volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
    assert volumes == ["tmp", "ca", "connection"]
    assert listing_order(spec(), case.facts)["fingerprint"] == ""


def test_without_any_image_nothing_can_list() -> None:
    facts = replace(
        Case(DIRECTORY / "claim-bound.yaml").facts,
        kserve=KServeFacts(installed=False, storage_initializer_image=Unknown("it is not installed")),
        origin_runtime=Unknown("not asked"),
    )
    assert listing_pod(spec(), facts) == (
        None,
        "no runtime is known, and KServe's own image is not: it is not installed",
    )


def test_the_program_belongs_to_its_job_which_mounts_it() -> None:
    job = made(job_of(planned(spec())))
    live = {**job, "metadata": {**job["metadata"], "uid": "u-1"}}
    program = job_program(live, {"load.py": "1"})
    name = job["metadata"]["name"]
    assert program["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "u-1"}
    ]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    assert {"name": "pvserve-program", "configMap": {"name": program["metadata"]["name"]}} in volumes


@pytest.mark.parametrize("fetch", [{"key": "k"}, {"anonymous": True, "connection": "c"}, {"proxy": "http://u:p@h:1"}])
def test_contradictions_are_wrong_use(fetch: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`"):
        FetchSpec(**fetch)


@pytest.mark.parametrize(
    ("annotations", "namespace", "wanted"),
    [
        ({}, "llm", ("storage-config", "granite-s3", True)),
        ({"opendatahub.io/connections": "models"}, "llm", ("models", "", True)),
        ({}, "elsewhere", ("", "", False)),  # a Secret cannot be mounted across namespaces
    ],
)
def test_the_connection_of_the_service_to_start_from_is_used(
    annotations: dict[str, str], namespace: str, wanted: tuple[str, str, bool]
) -> None:
    service = {
        "metadata": {"name": "granite", "namespace": namespace, "annotations": annotations},
        "spec": {"predictor": {"model": {"storage": {"key": "granite-s3", "path": "granite"}}}},
    }
    facts = replace(Case(DIRECTORY / "claim-bound.yaml").facts, origin_service=service)
    assert connection(spec(FetchSpec()), facts) == wanted
    assert connection(spec(), facts) == ("models-s3", "", False)
    assert connection(spec(FetchSpec(anonymous=True)), facts) == ("", "", False)
    assert connection(spec(FetchSpec(), model="hf://a/b"), facts) == ("", "", False)


def with_mode(mode: str, shards: int, found: Listing | None = None) -> Plan:
    facts = Case(DIRECTORY / "claim-bound.yaml").facts
    facts = replace(facts, kserve=replace(facts.kserve, storage_initializer_image="kserve/storage-initializer:1"))
    live = dict(facts.claim.object)  # type: ignore[call-overload]
    live["status"] = {**live["status"], "accessModes": [mode]}
    facts = replace(facts, claim=replace(facts.claim, object=live))
    return build(spec(FetchSpec(connection="models-s3", shards=shards)), facts, found or listing(), None, LOAD)


def test_several_pods_are_one_indexed_job_spread_over_nodes() -> None:
    step = job_of(with_mode("ReadWriteMany", 3))
    job = made(step)["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 3, 3)
    (spread,) = job["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= step.job["metadata"]["labels"].items()
    assert json.loads(job["template"]["spec"]["containers"][0]["args"][1])["shards"] == 3


def test_one_pod_is_no_indexed_job() -> None:
    job = made(job_of(with_mode("ReadWriteMany", 1)))["spec"]
    assert "completionMode" not in job
    assert "shards" not in job["template"]["spec"]["containers"][0]["args"][1]


def test_several_pods_are_refused_on_a_claim_of_one_node() -> None:
    (refusal,) = with_mode("ReadWriteOnce", 2).refusals
    assert refusal.reason == "ShardsNeedSharedClaim"
    assert "ReadWriteOnce" in refusal.message


def test_several_pods_are_refused_for_a_source_that_comes_as_one() -> None:
    packed = replace(listing(), packed=True)
    (refusal,) = with_mode("ReadWriteMany", 2, packed).refusals
    assert (refusal.reason, refusal.exit_code, refusal.remedy) == ("ShardsNeedFiles", 2, ("leave out --shards",))
    assert "s3://models/granite comes as one" in refusal.message
    assert job_of(with_mode("ReadWriteMany", 1, packed))


def unlisted(size: str | None) -> Plan:
    """Of a source that nobody can list, to a claim that is to be made."""
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    source = told_listing([Told(Found("source", 0, 0, 0, 1, 0, False, "source"))], "gs://models/granite")
    wanted = case.spec.model_copy(update={"model": "gs://models/granite", "path": "granite", "fetch": FetchSpec()})
    wanted = wanted.model_copy(update={"claim": wanted.claim.model_copy(update={"size": size})})
    return build(wanted, case.facts, replace(source, estimated=True, packed=True), None, LOAD)


def test_a_new_claim_of_a_source_that_nobody_can_list_needs_its_size() -> None:
    (refusal,) = unlisted(None).refusals
    assert (refusal.reason, refusal.exit_code) == ("SizeUnknown", 3)
    assert "gs://models/granite" in refusal.message
    assert "--size" in refusal.remedy[0]


def test_with_a_size_the_claim_is_made_of_it() -> None:
    plan = unlisted("20Gi")
    assert not plan.refusals
    claim = next(step.object for step in plan.steps if isinstance(step, ApplyObject) and step.id == "claim")
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"


def test_files_fetch_with_one_pod_which_holds_no_lease() -> None:
    texts = "".join(render(with_mode("ReadWriteMany", 3), "job", Options()).values())
    assert '"shards"' not in texts
    assert "Indexed" not in texts


HERE = Surroundings("PEM", ("AWS_CA_BUNDLE",), {"https": "http://p:1"}, ".svc", ("not handed on",))


def test_what_this_machine_says_of_cas_and_proxies_is_handed_on_and_told() -> None:
    plan = planned(spec(), here=HERE)
    asked = json.loads(made(job_of(plan))["spec"]["template"]["spec"]["containers"][0]["args"][1])
    assert asked["given"] == {"ca": "PEM", "proxies": {"https": "http://p:1"}, "noProxy": ".svc"}
    said = " ".join(plan.notes)
    assert "AWS_CA_BUNDLE" in said
    assert "http://p:1" in said
    assert "not handed on" in said


@pytest.mark.parametrize("form", ["job", "tekton"])
def test_files_are_the_same_whatever_machine_they_are_made_on(form: str) -> None:
    assert render(planned(spec(), here=HERE), form, Options()) == render(planned(spec()), form, Options())


@pytest.mark.parametrize("form", ["job", "argocd"])
def test_files_hold_the_job_with_its_program_and_no_lease(form: str) -> None:
    files = render(planned(spec()), form, Options("https://git.example/x"))
    assert files == render(planned(spec()), form, Options("https://git.example/x"))
    objects = [obj for text in files.values() for obj in yaml.safe_load_all(text) if obj]
    job = next(obj for obj in objects if obj["kind"] == "Job")
    program = next(obj for obj in objects if obj["kind"] == "ConfigMap")
    pod = job["spec"]["template"]["spec"]
    assert {"name": "pvserve-program", "configMap": {"name": program["metadata"]["name"]}} in pod["volumes"]
    assert json.loads(pod["containers"][0]["args"][1])["epoch"] == 0
    assert "ttlSecondsAfterFinished" not in job["spec"]
    other = render(planned(spec(), listing(tag=2)), form, Options("https://git.example/x"))
    assert files.values() != other.values()  # another list is another Job


@pytest.mark.parametrize("form", ["tekton", "kfp", "argo-workflows"])
def test_a_pipelines_step_fetches_by_the_same_words(form: str) -> None:
    (order,) = set(re.findall(r"'(\{.*\"epoch\":0.*\})'", "".join(render(planned(spec()), form, Options()).values())))
    assert json.loads(order)["source"]["uri"] == "s3://models/granite"
