"""The objects of a plan as a Helm chart whose values are those of the model file that differ between environments.

Owns the chart's layout, and which words of the objects are substituted. What else a plan decides (runtime, format, what
the service was made from) is no value: changing it is rendering again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from pvserve.facts import Object, name
from pvserve.plan.steps import Plan
from pvserve.render.header import header
from pvserve.render.kustomize import file_name
from pvserve.render.objects import objects_of
from pvserve.render.scalars import dump
from pvserve.spec.model import schema

CHART_VERSION = "0.1.0"  # of the files that are written here, for Helm, which wants one
KEEP = {"helm.sh/resource-policy": "keep"}  # https://helm.sh/docs/howto/charts_tips_and_tricks/
_OPEN = "{{"


NAMESPACE = "{{ .Release.Namespace | quote }}"
NAME = "{{ .Values.name | quote }}"
CLAIM = "{{ .Values.claim.name | quote }}"
SIZE = "{{ .Values.claim.size | quote }}"
CLASS = "{{ .Values.claim.storageClass | quote }}"
MODE = "{{ .Values.claim.accessMode | quote }}"
URI = '{{ printf "pvc://%s/%s" .Values.claim.name .Values.path | quote }}'


def helm(plan: Plan) -> dict[str, str]:
    """`NAME/` with Chart.yaml, values.yaml, values.schema.json and one template for each object."""
    root = plan.service or plan.claim
    objects = objects_of(plan)
    values = _values(plan, objects)
    chart = {
        "apiVersion": "v2",
        "name": root,
        "description": f"InferenceService {plan.service} from pvc://{plan.claim}/{plan.path}"
        if plan.service
        else f"Claim {plan.claim}",
        "type": "application",
        "version": CHART_VERSION,
    }
    templates = {f"{root}/templates/{file_name(obj, objects)}": _template(obj, values) for obj in objects}
    return {
        f"{root}/Chart.yaml": dump(chart),
        f"{root}/values.yaml": header(plan) + _VALUES_HEAD + dump(values),
        f"{root}/values.schema.json": json.dumps(_schema(values), indent=2) + "\n",
        **templates,
    }


# With another class as value there is none to make. Nor where it is there and not this release's: several charts may
# want one class, and Helm lets only one own it.
_CLASS_TEMPLATE = """\
{{{{- $there := lookup "storage.k8s.io/v1" "StorageClass" "" {name} -}}}}
{{{{- $notes := dig "metadata" "annotations" (dict) $there -}}}}
{{{{- $ours := and (eq (get $notes "meta.helm.sh/release-name") .Release.Name)
    (eq (get $notes "meta.helm.sh/release-namespace") .Release.Namespace) -}}}}
{{{{- if and (eq .Values.claim.storageClass {name}) (or (not $there) $ours) }}}}
{text}{{{{- end }}}}
"""
_VALUES_HEAD = """\
#
# The values are keys of the model file, those that may differ between environments. The namespace is Helm's own: -n.
"""


def _values(plan: Plan, objects: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Of the model file, what the objects hold."""
    claim: dict[str, Any] = {"name": plan.claim}
    made = next((obj for obj in objects if obj["kind"] == "PersistentVolumeClaim" and name(obj) == plan.claim), None)
    if made is not None:
        spec = made["spec"]
        claim["size"] = spec["resources"]["requests"]["storage"]
        if "storageClassName" in spec:
            claim["storageClass"] = spec["storageClassName"]
        claim["accessMode"] = spec["accessModes"][0]
    head = {"name": plan.service} if plan.service else {}
    return {**head, "claim": claim, "path": plan.path}


def _schema(values: dict[str, Any]) -> dict[str, Any]:
    """The model file's schema, cut to the values; all of them are needed, since the templates have no defaults."""
    whole = schema()
    (_, mapping) = whole["$defs"]["ClaimSpec"]["anyOf"]
    claim = {key: _not_null(mapping["properties"][key]) for key in values["claim"]}
    properties = {key: _not_null(whole["properties"][key]) for key in values if key != "claim"}
    properties["claim"] = {
        "type": "object",
        "description": mapping["description"],
        "properties": claim,
        "required": list(claim),
        "additionalProperties": False,
    }
    return {
        "$schema": whole["$schema"],
        "title": "values of the chart: keys of a pvserve model file",
        "type": "object",
        "properties": {**properties, "global": {"description": "Helm's own", "type": "object"}},
        "required": list(values),
        "additionalProperties": False,
    }


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    """A field that must be given: without the null that stands for its default."""
    kept = {key: value for key, value in field.items() if key not in ("default", "anyOf")}
    choices = [choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"]
    return {**(choices[0] if choices else {}), **kept}


def _template(obj: dict[str, Any], values: dict[str, Any]) -> str:
    """The object's YAML with the words of the values in it; what looks like a template in it stays text."""
    words: dict[str, str] = {}

    def put(word: str) -> str:
        """A text that stands for a template's word until all else is escaped."""
        mark = f"PVSERVE{hashlib.sha256(word.encode()).hexdigest()[:16]}WORD"
        words[mark] = word
        return mark

    text = dump(_substituted(obj, values, put)).replace(_OPEN, '{{ "{{" }}')
    for mark, word in words.items():
        text = text.replace(mark, word)
    if obj["kind"] == "StorageClass" and values["claim"].get("storageClass") == name(obj):
        return _CLASS_TEMPLATE.format(name=json.dumps(name(obj)), text=text)
    return text


def _substituted(obj: dict[str, Any], values: dict[str, Any], put: Callable[[str], str]) -> dict[str, Any]:
    metadata = dict(obj["metadata"])
    if "namespace" in metadata:
        metadata["namespace"] = put(NAMESPACE)
    made = {**obj, "metadata": metadata}
    kind = obj["kind"]
    if kind == "StorageClass":
        _keep(metadata)
    elif kind == "PersistentVolumeClaim" and name(obj) == values["claim"]["name"]:
        _keep(metadata)
        metadata["name"] = put(CLAIM)
        made["spec"] = _claim_spec(obj["spec"], put)
    elif kind == "ServingRuntime" and name(obj) == values.get("name"):
        metadata["name"] = put(NAME)
    elif kind == "InferenceService" and name(obj) == values.get("name"):
        metadata["name"] = put(NAME)
        made["spec"] = _service_spec(obj, values, put)
    return made


def _keep(metadata: dict[str, Any]) -> None:
    """`helm uninstall` leaves the data."""
    metadata["annotations"] = {**metadata.get("annotations", {}), **KEEP}


def _claim_spec(spec: Object, put: Callable[[str], str]) -> dict[str, Any]:
    resources = {**spec["resources"], "requests": {**spec["resources"]["requests"], "storage": put(SIZE)}}
    made = {**spec, "accessModes": [put(MODE)], "resources": resources}
    return {**made, "storageClassName": put(CLASS)} if "storageClassName" in spec else made


def _service_spec(obj: Object, values: dict[str, Any], put: Callable[[str], str]) -> dict[str, Any]:
    """The model's place, wherever the predictor names it, and the runtime that is made under the service's name."""
    made: dict[str, Any] = _replaced(obj["spec"], f"pvc://{values['claim']['name']}/{values['path']}", put(URI))
    model = made["predictor"].get("model")
    if isinstance(model, dict) and model.get("runtime") == values["name"]:
        model["runtime"] = put(NAME)
    return made


def _replaced(node: Any, old: str, new: str) -> Any:
    if isinstance(node, Mapping):
        return {key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_replaced(item, old, new) for item in node]
    return new if node == old else node
