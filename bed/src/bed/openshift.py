"""Of OpenShift's API the kind that pvserve reads: Template, in which Open Data Hub ships its runtimes.

Owns its definition; nothing acts on it, as on OpenShift, where the dashboard reads Templates and makes copies.
Source: https://docs.openshift.com, REST API, template.openshift.io/v1 Template.
"""

from __future__ import annotations

GROUP, VERSION, KIND, PLURAL = "template.openshift.io", "v1", "Template", "templates"


def definition() -> dict[str, object]:
    """The CustomResourceDefinition; what is inside of `objects` is nobody's schema, on OpenShift too."""
    free = {"x-kubernetes-preserve-unknown-fields": True}
    properties = {
        "objects": {"type": "array", "items": {"type": "object", **free}},
        "parameters": {"type": "array", "items": {"type": "object", **free}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "message": {"type": "string"},
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
    }
    names = {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }
