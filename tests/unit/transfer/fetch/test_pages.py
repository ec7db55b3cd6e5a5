"""docs/sources: the keys of a Secret that a source's page lists are those that its program reads, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pvserve.transfer.agent import fetch
from pvserve.transfer.agent.fetch import hub, registry

ROOM = Path(fetch.__file__).parent
DOCS = Path(__file__).parents[4] / "docs"
# Of an entry of storage-config.
FIELDS = {"access_key_id", "secret_access_key", "session_token", "endpoint_url", "region", "bucket", "anonymous"}
CONSTANTS = {"TOKEN_KEYS": hub.TOKEN_KEYS, "CONFIG": (registry.CONFIG,), "OLD_CONFIG": (registry.OLD_CONFIG,)}


def read(module: str, *calls: str) -> set[str]:
    """The keys that a module asks the mounted Secret for, by any of these names of functions."""
    found: set[str] = set()
    for call in (node for node in ast.walk(ast.parse((ROOM / module).read_text())) if isinstance(node, ast.Call)):
        if ast.unparse(call.func).rpartition(".")[2] not in calls:
            continue
        for argument in call.args:
            found |= set(CONSTANTS.get(ast.unparse(argument).lstrip("*"), ()))
            if isinstance(argument, ast.Constant) and argument.value not in FIELDS:
                found.add(str(argument.value))
    return found


def listed(page: str, section: str = "Keys of the Secret that `--connection` names") -> set[str]:
    """The words in the first cells of the section's tables."""
    text = (DOCS / "sources" / page).read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize(
    ("page", "module", "calls"),
    [
        ("s3.md", "s3.py", ("value", "said")),
        ("hf.md", "hub.py", ("value",)),
        ("https.md", "https.py", ("value",)),
        ("oci.md", "registry.py", ("value",)),
    ],
)
def test_a_page_lists_the_keys_that_are_read(page: str, module: str, calls: tuple[str, ...]) -> None:
    keys = read(module, *calls)
    assert len(keys) >= 2
    assert listed(page) - FIELDS == keys


def test_the_fields_of_a_storage_config_entry_are_listed() -> None:
    text = (ROOM / "s3.py").read_text()
    asked = set(re.findall(r'entry\.get\("(\w+)"', text)) | set(re.findall(r'said\("(\w+)"', text))
    assert asked == FIELDS
    assert listed("s3.md") >= FIELDS


def test_every_source_has_a_page() -> None:
    text = (DOCS / "sources.md").read_text(encoding="utf-8")
    pages = {path.name for path in (DOCS / "sources").glob("*.md")}
    assert {Path(link).name for link in re.findall(r"\]\((sources/[^)]+)\)", text)} == pages
