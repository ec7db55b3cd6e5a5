"""The JSON Schema, the examples and the model agree."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

from pvserve.spec import ClaimSpec, LoaderSpec, ModelSpec, read_specs, schema
from pvserve.spec.model import FetchSpec

EXAMPLES = Path(__file__).parents[3] / "examples"


def keys(model: Any) -> set[str]:
    return {info.alias or name for name, info in model.model_fields.items()}


def test_the_short_example_is_five_lines_and_loads() -> None:
    text = (EXAMPLES / "model.yaml").read_text()
    assert len(text.splitlines()) == 5
    found = read_specs(str(EXAMPLES / "model.yaml"))
    assert found.warnings == ()
    assert found.specs[0].destination == "granite-7b-lab"


def test_the_full_example_loads_and_has_every_key() -> None:
    text = (EXAMPLES / "model-full.yaml").read_text()
    found = read_specs(str(EXAMPLES / "model-full.yaml"))
    assert found.warnings == ()
    assert found.specs[0].claim.size == "20Gi"
    # `runtime` and `format` stand in a comment: they exclude `from`.
    written = set(re.findall(r"^(?:#   |  )?([a-zA-Z]+):", text, re.MULTILINE))
    assert written == keys(ModelSpec) | keys(ClaimSpec) | keys(LoaderSpec) | keys(FetchSpec)


def test_every_key_of_the_full_example_is_explained() -> None:
    lines = (EXAMPLES / "model-full.yaml").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"\s*[a-zA-Z]+:", line) and not line.startswith("  name:"):
            assert above.lstrip().startswith("#"), line


def test_the_schema_describes_every_key() -> None:
    found = schema()
    json.dumps(found)
    assert found["$id"].startswith("urn:pvserve:model-file:")
    assert set(found["properties"]) == keys(ModelSpec)
    assert set(found["required"]) == {"name", "claim"}
    shorthand, claim = found["$defs"]["ClaimSpec"]["anyOf"]
    assert shorthand["type"] == "string"
    assert set(claim["properties"]) == keys(ClaimSpec)
    for mapping in (found, claim, found["$defs"]["LoaderSpec"]):
        assert mapping["additionalProperties"] is False
        for key, described in mapping["properties"].items():
            assert described.get("description"), key


def test_the_model_files_of_the_page_load(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "model-file.md").read_text()
    model, values = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "model.yaml").write_text(model)
    (tmp_path / "prod.yaml").write_text(values)
    spec = read_specs(str(tmp_path / "model.yaml"), values=[str(tmp_path / "prod.yaml")]).specs[0]
    assert (spec.namespace, spec.claim.name, spec.claim.storage_class) == ("llm-prod", "models", "fast")
