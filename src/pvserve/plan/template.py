"""The ServingRuntime inside an OpenShift Template: the form in which Open Data Hub and OpenShift AI ship runtimes.

Owns how a Template becomes a runtime. Pure. Sources: https://docs.openshift.com (Templates: `${NAME}` in strings,
`${{NAME}}` for a whole value); opendatahub-io/odh-dashboard, deployServer.ts (the annotations that its wizard writes).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pvserve.facts import Object, annotations_of, name, namespace

API, KIND = "template.openshift.io/v1", "Template"
RUNTIME = "ServingRuntime"
_PARAMETER = re.compile(r"\$\{(\w+)\}")
_WHOLE = re.compile(r"\$\{\{(\w+)\}\}")
# What the dashboard takes over from a Template to the runtime that it makes of it.
_TAKEN_OVER = (
    "opendatahub.io/apiProtocol",
    "opendatahub.io/runtime-version",
    "opendatahub.io/recommended-accelerators",
)


def template_of(templates: Iterable[Object], wanted: str) -> Object | None:
    """The first Template that is named `wanted`, or holds a ServingRuntime of that name."""
    found = [template for template in templates if _runtimes(template)]
    by_name = [template for template in found if name(template) == wanted]
    by_runtime = [template for template in found if wanted in (name(each) for each in _runtimes(template))]
    return next(iter(by_name + by_runtime), None)


def runtime_of(template: Object, wanted: str) -> Object:
    """Its ServingRuntime, with the values of its parameters filled in, as an object of the Template's namespace."""
    runtimes = _runtimes(template)
    chosen = next((each for each in runtimes if name(each) == wanted), runtimes[0])
    values = {str(item["name"]): item["value"] for item in template.get("parameters") or () if "value" in item}
    runtime: dict[str, Any] = _filled(chosen, values)
    notes = {key: value for key in _TAKEN_OVER if (value := annotations_of(template).get(key))}
    notes["opendatahub.io/template-name"] = name(template)
    notes["opendatahub.io/template-display-name"] = _title(template)
    metadata = {**runtime["metadata"], "namespace": namespace(template)}
    metadata["annotations"] = {**annotations_of(runtime), **notes}
    return {**runtime, "metadata": metadata}


def _runtimes(template: Object) -> list[Object]:
    return [each for each in template.get("objects") or () if each.get("kind") == RUNTIME]


def _title(template: Object) -> str:
    """As the dashboard lists it: the display name of the runtime, or of the Template."""
    own = annotations_of(template).get("openshift.io/display-name")
    return annotations_of(_runtimes(template)[0]).get("openshift.io/display-name") or own or name(template)


def _filled(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, Mapping):
        return {key: _filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(item, values) for item in node]
    if not isinstance(node, str):
        return node
    whole = _WHOLE.fullmatch(node)
    if whole and whole[1] in values:
        try:
            return json.loads(str(values[whole[1]]))
        except ValueError:
            return values[whole[1]]
    return _PARAMETER.sub(lambda found: str(values.get(found[1], found[0])), node)
