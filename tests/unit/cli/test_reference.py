"""The documents say what the code does: commands, errors, exit codes, the library."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import pvserve
from pvserve import errors
from pvserve.cli.interrupts import TERMINATED_EXIT
from pvserve.cli.plan import PENDING_EXIT
from pvserve.verify.proof import Check, Proof

from . import reasons, reference

DOCS = Path(__file__).parents[3] / "docs"


def rows(page: str, columns: int) -> list[list[str]]:
    """The cells of the tables of a page, without their heads."""
    text = (DOCS / page).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and line.count("|") == columns + 1]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("reason", "code", "name")]


@pytest.mark.parametrize("page", list(reference.PAGES))
def test_the_reference_is_what_the_code_says(page: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == reference.page(page), (
        f"docs/{page} is not what the code says: python tests/unit/cli/reference.py"
    )


def test_every_flag_has_a_meaning() -> None:
    assert "| None |" not in reference.reference()


def test_every_error_is_documented_and_every_documented_one_exists() -> None:
    documented = {row[0].strip("`") for row in rows("errors.md", 3)}
    there = set(reasons.reasons())
    assert documented - there == set(), "documented in docs/errors.md, not in the source"
    assert there - documented == set(), "in the source, not in docs/errors.md"


def test_errors_have_the_documented_exit_codes() -> None:
    documented = {row[0].strip("`"): row[1] for row in rows("errors.md", 3)}
    assert documented == {reason: ", ".join(map(str, sorted(codes))) for reason, codes in reasons.reasons().items()}


def test_errors_are_documented_in_order_and_each_once() -> None:
    documented = [row[0].strip("`") for row in rows("errors.md", 3)]
    assert documented == sorted(set(documented))


def test_exit_codes_are_documented_and_no_others() -> None:
    documented = {int(row[0]) for row in rows("exit-codes.md", 3)}
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.PvserveError)]
    of_proofs = {Proof("x", (Check("mount", "", result, ""),)).exit_code for result in ("passed", "failed", "unknown")}
    assert documented == {kind.exit_code for kind in kinds} | of_proofs | {PENDING_EXIT, TERMINATED_EXIT}


def test_the_order_of_seriousness_is_documented_as_it_is_and_holds_every_code() -> None:
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    assert ", ".join(map(str, errors.SERIOUS)) in text
    assert set(errors.SERIOUS) == {int(row[0]) for row in rows("exit-codes.md", 3)}


def test_the_public_names_are_sorted_and_each_can_be_had() -> None:
    assert len(set(pvserve.__all__)) == len(pvserve.__all__)
    plain = [name for name in pvserve.__all__ if name != "__version__"]
    assert plain == sorted(plain)
    assert set(plain) == set(pvserve._HOMES)
    for name in pvserve.__all__:
        assert getattr(pvserve, name) is not None


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(inspect.getfile(pvserve)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {
        alias.name: f"{line.module}" for line in block.body if isinstance(line, ast.ImportFrom) for alias in line.names
    }
    assert seen == pvserve._HOMES


def test_a_function_is_not_hidden_by_the_room_of_its_name() -> None:
    from pvserve.plan import build
    from pvserve.render import render

    assert callable(build)
    assert pvserve.render is render
    assert callable(pvserve.plan)
    assert callable(pvserve.verify)


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'deply'"):
        _ = pvserve.deply  # type: ignore[attr-defined]


def blocks() -> list[ast.Module]:
    text = (DOCS / "library.md").read_text(encoding="utf-8")
    return [ast.parse(code) for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]


def test_the_library_page_uses_names_that_exist() -> None:
    used = {
        node.attr
        for tree in blocks()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pvserve"
    }
    assert used <= set(pvserve.__all__)
    assert {"plan", "apply", "deploy", "verify", "ls", "diagnose", "render", "progress"} <= used


def test_the_library_page_calls_functions_as_they_can_be_called() -> None:
    calls = [node for tree in blocks() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    checked = 0
    for call in calls:
        name = ast.unparse(call.func)
        if not re.fullmatch(r"pvserve(\.\w+)+", name):
            continue
        function = pvserve
        for part in name.split(".")[1:]:
            function = getattr(function, part)
        given = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        inspect.signature(function).bind(*call.args, **given)  # type: ignore[arg-type]
        checked += 1
    assert checked > 10


def test_functions_of_the_library_table_are_public() -> None:
    named = {name for row in rows("library.md", 2) for name in re.findall(r"`(\w+)\(", row[0])}
    functions = {name for name in pvserve.__all__ if name[0].islower()}
    assert named == functions


def test_a_model_in_the_library_page_is_a_valid_one() -> None:
    (call,) = [
        node
        for tree in blocks()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pvserve.ModelSpec.model_validate"
    ]
    assert pvserve.ModelSpec.model_validate(ast.literal_eval(call.args[0])).origin == "granite"
