"""Argo CD: what is in which wave, and what Argo must not take away."""

from typing import Any

import pytest
import yaml

from pvserve.errors import Refused, UsageError
from pvserve.plan.steps import Load, Plan
from pvserve.render import render as plainly
from pvserve.render.argocd import SYNC_OPTIONS, WAVE

from . import plans
from .plans import render


def files(plan: Plan) -> dict[str, dict[str, Any]]:
    return {name: yaml.safe_load(text) for name, text in render(plan, "argocd").items()}


def annotation(obj: dict[str, Any], word: str) -> str:
    return str(obj["metadata"].get("annotations", {}).get(word, ""))


def by_kind(plan: Plan, word: str) -> dict[str, str]:
    return {obj["kind"]: annotation(obj, word) for name, obj in files(plan).items() if "/manifests/" in name}


def without_load() -> Plan:
    return plans.whole(steps=tuple(step for step in plans.whole().steps if not isinstance(step, Load)))


def test_claim_and_load_are_in_one_wave_and_the_service_in_the_next() -> None:
    assert by_kind(plans.copying(), WAVE) == {
        "StorageClass": "",
        "PersistentVolumeClaim": "",
        "ConfigMap": "",
        "Job": "",
        "ServingRuntime": "1",
        "InferenceService": "1",
    }


def test_without_a_load_a_claim_that_waits_for_its_first_pod_holds_no_wave_back() -> None:
    assert set(by_kind(without_load(), WAVE).values()) == {""}


def test_argo_takes_no_claim_away() -> None:
    kept = {kind for kind, options in by_kind(plans.copying(), SYNC_OPTIONS).items() if options}
    assert kept == {"StorageClass", "PersistentVolumeClaim"}
    assert by_kind(plans.copying(), SYNC_OPTIONS)["PersistentVolumeClaim"] == "Prune=false,Delete=false"


def test_the_load_is_no_hook_and_never_removed_by_itself() -> None:
    (job,) = (obj for obj in files(plans.copying()).values() if obj["kind"] == "Job")
    assert not annotation(job, "argocd.argoproj.io/hook")
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_but_for_argo_s_annotations_the_objects_are_those_of_yaml() -> None:
    (text,) = render(plans.copying(), "yaml").values()
    made = []
    for name, obj in files(plans.copying()).items():
        if "/manifests/" in name and obj["kind"] not in ("Job", "ConfigMap"):
            annotations = {k: v for k, v in obj["metadata"].pop("annotations", {}).items() if "argoproj" not in k}
            made.append(
                {**obj, "metadata": {**obj["metadata"], **({"annotations": annotations} if annotations else {})}}
            )
    assert made == list(yaml.safe_load_all(text))


def test_the_application_names_the_place_of_the_files() -> None:
    made = files(plans.copying())["granite-pvc/application.yaml"]
    assert made["spec"]["source"] == {
        "repoURL": "https://git.example/models.git",
        "targetRevision": "main",
        "path": "clusters/one/granite-pvc/manifests",
    }
    assert made["spec"]["destination"]["namespace"] == "llm"
    assert "automated" not in made["spec"]["syncPolicy"]


def test_without_a_repository_it_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="Git repository") as caught:
        plainly(plans.copying(), "argocd")
    assert "--repo URL" in caught.value.remedy[0]


def test_a_directory_of_this_machine_is_refused() -> None:
    with pytest.raises(Refused, match="a directory of this machine"):
        render(plans.whole(), "argocd")
