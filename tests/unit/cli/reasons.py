"""The `reason` of every error that the source can raise, with its exit codes, read from the source itself."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from pvserve.errors import PvserveError

SOURCE = Path(__file__).parents[3] / "src" / "pvserve"
WORD = re.compile(r"[A-Z][a-z]+([A-Z][a-z]*)*")
REFUSALS = ("refused", "Refusal", "stop")  # of a plan: 3 but where `code` or `exit_code` says otherwise
WEIGHTS = {"_Wrong": 0, "_checked": 0, "Problem": 1}  # model.weights: position of the reason; Refused


def reasons() -> dict[str, set[int]]:
    """Reason -> exit codes."""
    found: dict[str, set[int]] = defaultdict(set)
    for file in sorted(SOURCE.rglob("*.py")):
        if "agent" in file.parts and "fetch" not in file.parts:  # in a pod; its words become errors in transfer.causes
            continue
        module = ".".join(("pvserve", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for function in _functions(ast.parse(file.read_text(encoding="utf-8"))):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                for reason, codes in _of_call(call, module, function):
                    found[reason] |= codes
    return dict(found)


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def _of_call(call: ast.Call, module: str, function: ast.FunctionDef) -> Iterator[tuple[str, set[int]]]:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name in WEIGHTS and module == "pvserve.model.weights":
        if not _keyword(call, "fatal"):
            yield from ((reason, {3}) for reason in _words(call.args[WEIGHTS[name]], function, module))
    elif name in REFUSALS:
        codes = {node.value for node in ast.walk(_keyword(call, "code") or ast.Constant(3)) if _is_code(node)}
        yield from ((reason, codes or {3}) for reason in _words(call.args[0], function, module))
    elif name and (kind := _error(module, name)) is not None and call.args:
        yield from ((reason, {kind.exit_code}) for reason in _words(call.args[0], function, module))


def _error(module: str, name: str) -> type[PvserveError] | None:
    found = getattr(import_module(module), name, None)
    if found is None:  # imported inside a function
        found = getattr(import_module("pvserve.errors"), name, None)
    return found if isinstance(found, type) and issubclass(found, PvserveError) else None


def _is_code(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value in (2, 3, 4)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _words(value: ast.expr, function: ast.FunctionDef, module: str) -> set[str]:
    """The reasons that an expression can be: a constant, or what a name is set to in the same function or module."""
    if isinstance(value, ast.Name):
        if isinstance(constant := getattr(import_module(module), value.id, None), str):
            return _constants(ast.Constant(constant))
        sources = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and any(isinstance(to, ast.Name) and to.id == value.id for to in node.targets)
        ]
        return {word for source in sources for word in _constants(source)}
    return _constants(value)


def _constants(value: ast.expr) -> set[str]:
    if isinstance(value, ast.Attribute):  # finding.code, error.reason: documented where it comes from
        return set()
    constants = (node.value for node in ast.walk(value) if isinstance(node, ast.Constant))
    return {word for word in constants if isinstance(word, str) and WORD.fullmatch(word)}
