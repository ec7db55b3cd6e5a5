"""Rendered objects of Tekton, Argo Workflows and Argo CD against those projects' own schemas.

Their controllers are in no package registry, but their custom resource definitions are in their Go modules. The API
server validates by them, strictly. Definitions are removed again.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from bed.build import find_go
from bed.settings import settings
from pvserve.render import Options, render
from tests.unit.render import plans

from .kubectl import Kubectl, until

pytestmark = pytest.mark.bed


class Project(NamedTuple):
    """Where a project's definitions are; `sum` is the module's hash, as go.sum has it."""

    module: str
    version: str
    sum: str
    files: tuple[str, ...]
    form: str


PROJECTS = (
    Project(
        "github.com/tektoncd/pipeline",
        "v1.0.0",
        "h1:qq/BtjwtvZV7qhd6BnL5sGoBM4vVqpCtz/+hMbs6p94=",
        tuple(f"config/300-crds/300-{kind}.yaml" for kind in ("task", "pipeline", "pipelinerun")),
        "tekton",
    ),
    Project(
        "github.com/argoproj/argo-workflows/v4",
        "v4.0.5",
        "h1:/1lru5oXUd+k6KEDUps6rLX5OKfi1jTfabgXTly/VFU=",
        tuple(f"manifests/base/crds/full/argoproj.io_{kind}.yaml" for kind in ("workflows", "workflowtemplates")),
        "argo-workflows",
    ),
    Project(
        "github.com/argoproj/argo-cd/v3",
        "v3.5.7",
        "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
        ("manifests/crds/application-crd.yaml",),
        "argocd",
    ),
)


def definitions(project: Project) -> list[dict[str, Any]]:
    """The project's definitions, without the words that would not fit into etcd."""
    command = [find_go(settings()), "mod", "download", "-json", f"{project.module}@{project.version}"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=300)
    told = json.loads(done.stdout)
    assert told.get("Sum") == project.sum, told
    made = []
    for file in project.files:
        definition = yaml.load(Path(told["Dir"], file).read_text(), Loader=yaml.CSafeLoader)
        definition["spec"].pop("conversion", None)  # by a webhook of the controller
        made.append(without_descriptions(definition))
    return made


def without_descriptions(node: Any) -> Any:
    """`description` is a text where it describes, and a mapping where it is the name of a field."""
    if isinstance(node, dict):
        kept = {key: value for key, value in node.items() if not (key == "description" and isinstance(value, str))}
        return {key: without_descriptions(value) for key, value in kept.items()}
    return [without_descriptions(item) for item in node] if isinstance(node, list) else node


def established(kubectl: Kubectl, crd: str) -> bool:
    conditions = kubectl.get("crd", crd)["status"].get("conditions") or ()
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


@pytest.fixture(params=PROJECTS, ids=lambda project: project.form)
def project(request: pytest.FixtureRequest, kubectl: Kubectl) -> Iterator[Project]:
    found: Project = request.param
    made = definitions(found)
    there = [item["metadata"]["name"] for item in made]
    for item in made:
        kubectl("create", "-f", "-", stdin=json.dumps(item))
    try:
        for crd in there:
            until(f"{crd} is established", lambda crd=crd: established(kubectl, crd))
        yield found
    finally:
        kubectl("delete", "crd", *there)


def test_every_object_is_what_the_project_s_schema_admits(project: Project, kubectl: Kubectl) -> None:
    options = Options("https://git.example/models.git")
    plan = plans.copying(namespace=kubectl.namespace)
    files = render(plan, project.form, options).items()
    documents = [found for _, text in files for found in yaml.safe_load_all(text)]
    own = [item for item in documents if item["apiVersion"].partition("/")[0] in ("tekton.dev", "argoproj.io")]
    assert own
    for item in own:
        item["metadata"]["namespace"] = kubectl.namespace
        name = item["metadata"].pop("generateName", "")
        item["metadata"].setdefault("name", f"{name}x")
        until(f"{item['kind']} is served", lambda item=item: accepted(kubectl, item) is not None)
        assert accepted(kubectl, item) == "", item["kind"]
        wrong = {**item, "spec": {**item["spec"], "surprise": 1}}
        assert "surprise" in (accepted(kubectl, wrong) or "")


def accepted(kubectl: Kubectl, item: dict[str, Any]) -> str | None:
    """ "" where the server takes it, else why not; None while it does not serve the kind yet."""
    said = kubectl(
        "create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=json.dumps(item), check=False
    )
    if "no matches for kind" in said:
        return None
    return "" if item["metadata"]["name"] in said and "rror" not in said else said
