"""Tutorials and examples belong together; their commands are run by tests/cluster/test_pages.py."""

import json

from tests.cluster.pages import ROOT, cells, commands, lacking

TUTORIALS = ROOT / "docs" / "tutorials"
CONSOLE = ("platform-engineer", "gitops", "air-gapped", "pipelines")


def test_every_example_has_a_page_that_is_run() -> None:
    examples = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    walked = {
        command.text.rpartition("/")[2]
        for page in CONSOLE
        for command in commands(TUTORIALS / f"{page}.md")
        if command.text.startswith("cd ")
    }
    assert examples == walked | {"notebook-to-service"}
    assert {path.stem for path in TUTORIALS.glob("*.md")} == {*CONSOLE, "notebook"}


def test_the_notebook_has_the_cells_of_its_page() -> None:
    notebook = json.loads((ROOT / "examples/notebook-to-service/notebook.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code == [cell.rstrip("\n") for cell in cells(TUTORIALS / "notebook.md")]
    assert not any(cell.get("outputs") for cell in notebook["cells"])


def test_what_a_page_says_is_looked_for_in_order() -> None:
    printed = "one\n  two 17 MiB\nthree\n"
    assert list(lacking(("one", "…", "two … MiB", "three"), printed)) == []
    assert list(lacking(("three", "one"), printed)) == ["one"]
    assert list(lacking(("four",), printed)) == ["four"]
