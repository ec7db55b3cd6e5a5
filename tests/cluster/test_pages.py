"""The tutorials' commands, run on a real cluster: they end well, print what the pages show, and what is kept as golden.

The pages walk through the examples, so that each example is run here too.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pvserve.cluster import Cluster
from pvserve.facts import name

from .offers import default_class, image, storage_classes
from .pages import ROOT, Session, cells, commands, lacking
from .ui_service import gguf, leaving_nothing, make, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
TUTORIALS = ROOT / "docs" / "tutorials"
GOLDEN = ROOT / "tests" / "golden" / "pages"
CONSOLE = ("platform-engineer", "gitops", "air-gapped", "pipelines")
STOPPED = {"serving.kserve.io/stop": "true"}  # the service to start from needs no pod
SHARED, DEFAULT = "nfs-rwx", "gp3-csi"  # classes of the examples, and of the cluster that the goldens are of


@pytest.fixture
def session(cluster: Cluster, tmp_path: Path) -> Iterator[Session]:
    """The service of the dashboard is there, and a model directory where each example has its data."""
    make(cluster, runtime(), service({"storage": {"key": "granite-s3", "path": "granite"}}, **STOPPED))
    names = {
        "llm": cluster.namespace,
        "registry.example/ai/python:3.12": image("storage_initializer"),
        "registry.example/llama-server:1": image("llama"),
    }
    session = Session(tmp_path, names, {"KUBECONFIG": _kubeconfig(cluster, tmp_path), **_tools(tmp_path)})
    for example in (tmp_path / "examples").iterdir():
        if example.is_dir():
            gguf(example / "data" / "granite", 1_000_000)
            shutil.copytree(example / "data" / "granite", example / "data" / "phi")
    shutil.copytree(tmp_path / "examples/gitops/data/granite", tmp_path / "examples/ui-service-to-claim/granite")
    with leaving_nothing(cluster):
        yield session


def _kubeconfig(cluster: Cluster, directory: Path) -> str:
    """The tests' own, with the namespace of this test as the one that is meant."""
    config: dict[str, Any] = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = cluster.namespace
    file = directory / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return str(file)


def _tools(directory: Path) -> dict[str, str]:
    """`pvserve` as it would be installed."""
    binaries = directory / "bin"
    binaries.mkdir()
    (binaries / "pvserve").write_text(f'#!/bin/sh\nexec {sys.executable} -m pvserve.cli.main "$@"\n')
    (binaries / "pvserve").chmod(0o755)
    return {"PATH": f"{binaries}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(directory / "cache"), "NO_COLOR": "1"}


@pytest.mark.parametrize("page", CONSOLE)
def test_the_commands_of_a_page_do_what_it_says(
    page: str, session: Session, cluster: Cluster, request: pytest.FixtureRequest
) -> None:
    source = TUTORIALS / f"{page}.md"
    classes = {name(item) for item in storage_classes(cluster)}
    if page == CONSOLE[0] and SHARED not in classes:
        pytest.skip(f"the cluster has no class {SHARED}")
    printed = []
    for command in commands(source):
        out = session.run(command.text)
        missing = list(lacking(command.expected, out))
        assert missing == [], f"{source.name}:{command.line}: $ {command.text}\n{out}"
        printed.append(f"$ {command.text}\n{out}")
    assert printed
    if default_class(cluster) == DEFAULT:  # goldens name it, and what this cluster's admission adds
        _kept(page, "".join(printed), update=request.config.getoption("--update-goldens"))


def test_the_cells_of_the_notebook_run(
    session: Session, cluster: Cluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in session.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(session.directory / "examples" / "notebook-to-service")
    names: dict[str, Any] = {}
    printed = [f"{cell}>>>\n{session.cell(cell, names)}\n" for cell in cells(TUTORIALS / "notebook.md")]
    assert names["outcome"].exit_code == 0
    assert names["drift"].exit_code == 0
    if default_class(cluster) == DEFAULT:
        _kept("notebook", "".join(printed), update=request.config.getoption("--update-goldens"))


def _kept(page: str, printed: str, *, update: bool) -> None:
    file = GOLDEN / f"{page}.txt"
    if update:
        file.write_text(printed, encoding="utf-8")
    assert printed == file.read_text(encoding="utf-8"), "run with --update-goldens, then read the diff"
