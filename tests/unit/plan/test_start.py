"""A service to start from that lies in a file: exported from a cluster, kept in Git, with its runtime or without."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.errors import UsageError
from pvserve.plan import build, facts_query
from pvserve.plan.ahead import with_start
from pvserve.plan.steps import ApplyObject
from pvserve.spec import ModelSpec, read_specs
from pvserve.spec.start import read_start

from .cases import DIRECTORY, Case

ORIGIN: dict[str, Any] = Case(DIRECTORY / "ui-service-to-claim.yaml").facts.origin_service  # type: ignore[assignment]  # it is there
RUNTIME: dict[str, Any] = Case(DIRECTORY / "ui-service-to-claim.yaml").facts.origin_runtime  # type: ignore[assignment]  # it is there
TEMPLATE = {
    "apiVersion": "template.openshift.io/v1",
    "kind": "Template",
    "metadata": {"name": "granite-template"},
    "objects": [RUNTIME],
}


def written(directory: Path, *objects: dict[str, Any], name: str = "granite.yaml") -> str:
    file = directory / name
    file.write_text("---\n".join(yaml.safe_dump(item) for item in objects))
    return str(file)


def planned(file: str, **live: Any) -> Any:
    """The plan of the seed process, whose service and runtime lie in a file and not in the cluster."""
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    spec = case.spec.model_copy(update={"origin": file})
    facts = replace(case.facts, origin_service=None, origin_runtime=live.get("runtime"))
    facts = with_start(facts, read_start(file, "llm"))
    return build(spec, facts, case.listing, case.content, case.goals)


def test_the_cluster_is_not_asked_for_it() -> None:
    assert facts_query(ModelSpec(name="a", origin="x.yaml", claim="c"), {"serve"}, "llm").origin is None  # type: ignore[arg-type]  # claim has a short form


@pytest.mark.parametrize("beside", [RUNTIME, TEMPLATE])
def test_service_and_runtime_are_made_as_from_a_cluster(beside: dict[str, Any], tmp_path: Path) -> None:
    plan = planned(written(tmp_path, ORIGIN, beside))
    assert plan.refusals == ()
    case = Case(DIRECTORY / "ui-service-to-claim.yaml")
    same = build(case.spec, case.facts, case.listing, case.content, case.goals)
    made = {step.id: step.object for step in plan.steps if isinstance(step, ApplyObject)}
    wanted = {step.id: step.object for step in same.steps if isinstance(step, ApplyObject)}
    assert made["service"] == wanted["service"]
    assert made["runtime"]["spec"] == wanted["runtime"]["spec"]
    names = {(item.object.kind, item.object.name) for item in plan.assumed if item.uid}
    assert ("InferenceService", "granite") not in names, "no cluster has it"
    assert ("ServingRuntime", "granite") not in names


def test_a_runtime_that_the_file_lacks_is_that_of_the_cluster(tmp_path: Path) -> None:
    file = written(tmp_path, ORIGIN)
    assert [item.reason for item in planned(file).refusals] == ["NoSuchRuntime"]
    assert planned(file, runtime=RUNTIME).refusals == ()


def test_a_runtime_of_the_whole_cluster_is_copied_into_the_namespace(tmp_path: Path) -> None:
    metadata = {**RUNTIME["metadata"], "namespace": None, "uid": "1"}
    of_cluster = {**RUNTIME, "kind": "ClusterServingRuntime", "metadata": {k: v for k, v in metadata.items() if v}}
    plan = planned(written(tmp_path, ORIGIN), runtime=of_cluster)
    [made] = [step.object for step in plan.steps if isinstance(step, ApplyObject) and step.id == "runtime"]
    assert (made["kind"], made["metadata"]["namespace"], made["spec"]) == ("ServingRuntime", "llm", RUNTIME["spec"])
    [needed] = [item for item in plan.assumed if item.object.kind == "ClusterServingRuntime"]
    assert needed.uid == "1"


def test_json_lists_and_objects_without_namespace(tmp_path: Path) -> None:
    bare = {**ORIGIN, "metadata": {"name": "granite", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    file = tmp_path / "export.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [bare, RUNTIME]}))
    start = read_start(str(file), "here")
    assert start.service["metadata"]["namespace"] == "here"
    assert "uid" not in start.service["metadata"]
    assert [item["kind"] for item in start.runtimes] == ["ServingRuntime"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it holds no object"),
        ("kind: Pod\nmetadata: {name: a}\n", "it holds Pod a"),
        ("a: [", "it is no YAML"),
        ("!!python/object:os.system {}", "it is no YAML"),
        ("just words", "it holds no object"),
        (yaml.safe_dump_all([ORIGIN, ORIGIN]), "it must hold one"),
    ],
)
def test_what_holds_no_service_is_refused(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=why) as refused:
        read_start(str(file), "llm")
    assert refused.value.remedy


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_start(str(tmp_path / "gone.yaml"), "llm")


def test_it_counts_from_the_model_files_directory(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text("name: granite\nfrom: base/granite.yaml\nclaim: models\npath: x\n")
    [spec] = read_specs(str(file)).specs
    assert spec.origin == str(tmp_path / "base/granite.yaml")


def test_in_place_needs_a_service_of_the_cluster() -> None:
    with pytest.raises(ValueError, match="inPlace"):
        ModelSpec(name="granite", origin="granite.yaml", in_place=True, claim="models")  # type: ignore[arg-type]  # claim has a short form
