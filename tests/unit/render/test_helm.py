"""A chart: its default output is what `--to yaml` writes, and only what may differ is a value."""

import json
import re
from typing import Any

import pytest
import yaml

from pvserve.plan.steps import Plan
from pvserve.render import render
from pvserve.render.helm import KEEP
from pvserve.spec.model import schema

from . import plans


def chart(plan: Plan) -> dict[str, str]:
    return {name.partition("/")[2]: text for name, text in render(plan, "helm").items()}


def values(plan: Plan) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(chart(plan)["values.yaml"])
    return made


def output(plan: Plan, namespace: str = "llm", **changed: Any) -> list[dict[str, Any]]:
    """As Helm's template engine would: the few words that the templates use (tests/bed has the real one)."""
    given = {**values(plan), **changed}

    def looked_up(path: str) -> str:
        node: Any = {"Values": given, "Release": {"Namespace": namespace}}
        for key in path.strip(".").split("."):
            node = node[key]
        return str(node)

    def evaluated(match: re.Match[str]) -> str:
        words = match[1].strip()
        if words == '"{{"':
            return "{{"
        if printf := re.fullmatch(r'printf "pvc://%s/%s" (\S+) (\S+) \| quote', words):
            return json.dumps(f"pvc://{looked_up(printf[1])}/{looked_up(printf[2])}")
        one = re.fullmatch(r"(\S+) \| quote", words)
        assert one, words
        return json.dumps(looked_up(one[1]))

    def chosen(match: re.Match[str]) -> str:
        return match[3] if looked_up(match[1]) == match[2] else ""  # no class is there yet

    made = []
    for name, text in chart(plan).items():
        if name.startswith("templates/"):
            text = re.sub(r"\{\{- \$.*?-\}\}\n", "", text, flags=re.S)
            text = re.sub(r'\{\{- if and \(eq (\S+) "(.*?)"\) .*?\}\}\n(.*)\{\{- end \}\}\n', chosen, text, flags=re.S)
            made.append(yaml.safe_load(re.sub(r"\{\{(.*?)\}\}", evaluated, text)))
    return [item for item in made if item]


def without_keep(obj: dict[str, Any]) -> dict[str, Any]:
    annotations = {k: v for k, v in obj["metadata"].get("annotations", {}).items() if k not in KEEP}
    metadata = {**obj["metadata"], "annotations": annotations}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if value != {}}}


def documents(plan: Plan) -> list[dict[str, Any]]:
    (text,) = render(plan, "yaml").values()
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize(
    "plan", [plans.whole(), plans.copying(), plans.in_place()], ids=["whole", "copying", "in place"]
)
def test_the_default_output_is_what_yaml_is_object_by_object(plan: Plan) -> None:
    assert [without_keep(obj) for obj in output(plan)] == [without_keep(obj) for obj in documents(plan)]


def test_what_uninstall_must_not_take_is_kept() -> None:
    kept = {
        obj["kind"] for obj in output(plans.whole()) if KEEP.items() <= obj["metadata"].get("annotations", {}).items()
    }
    assert kept == {"StorageClass", "PersistentVolumeClaim"}


def test_values_are_keys_of_the_model_file() -> None:
    assert values(plans.whole()) == {
        "name": "granite-pvc",
        "claim": {
            "name": "vllm-model-cache",
            "size": "20Gi",
            "storageClass": "gp3-csi-retain",
            "accessMode": "ReadWriteOnce",
        },
        "path": "granite-7b-lab",
    }


def test_every_value_has_its_effect_everywhere() -> None:
    changed = {
        "name": "other",
        "path": "v2",
        "claim": {"name": "disk", "size": "1Ti", "storageClass": "nfs", "accessMode": "ReadWriteMany"},
    }
    claim, runtime, service = output(plans.whole(), namespace="prod", **changed)  # and no class: nfs is there
    assert claim["metadata"]["name"] == "disk"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["spec"]["storageClassName"] == "nfs"
    assert claim["spec"]["resources"]["requests"]["storage"] == "1Ti"
    assert runtime["metadata"]["name"] == service["metadata"]["name"] == "other"
    model = service["spec"]["predictor"]["model"]
    assert (model["storageUri"], model["runtime"]) == ("pvc://disk/v2", "other")
    assert {item["metadata"]["namespace"] for item in (claim, runtime, service)} == {"prod"}
    text = yaml.safe_dump([claim, runtime, service])
    for old in ("granite-7b-lab", "vllm-model-cache", "gp3-csi", "llm\n"):
        assert old not in text


def test_the_schema_is_the_model_file_s_cut_to_the_values() -> None:
    made, whole = json.loads(chart(plans.whole())["values.schema.json"]), schema()
    assert made["properties"].keys() == {*values(plans.whole()), "global"}
    assert made["properties"]["name"] == whole["properties"]["name"]
    claim = made["properties"]["claim"]
    assert claim["required"] == list(values(plans.whole())["claim"])
    assert claim["properties"]["accessMode"]["enum"] == ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]
    assert claim["properties"]["size"]["type"] == "string"
    assert made["additionalProperties"] is claim["additionalProperties"] is False


def test_templates_of_others_stay_text() -> None:
    runtime = plans.runtime(MODEL='{{.Name}} }} {{ fail "x" }}')
    (made,) = output(plans.whole(steps=(plans.apply(runtime),)))
    assert made["spec"] == runtime["spec"]


def test_a_claim_that_exists_is_a_value_without_size() -> None:
    plan = plans.whole(steps=(plans.apply(plans.service()),))
    assert values(plan) == {"name": "granite-pvc", "claim": {"name": "vllm-model-cache"}, "path": "granite-7b-lab"}
