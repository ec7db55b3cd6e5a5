"""What is asked of the API server, as values.

Owns paths, queries, media types and bodies of requests. Pure: sends nothing, decides nothing.
Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pvserve.cluster.kinds import Resource
from pvserve.facts import Object, Right

MANAGER = "pvserve"
PAGE = 500  # objects per answer of a list, as kubectl
JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
PatchType = Literal["merge", "strategic", "json"]


@dataclass(frozen=True)
class Request:
    """One HTTP request, with what an error needs to say about it.

    `repeatable`: sending it again after it may have been carried out ends in the same state.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"Accept": JSON})
    right: Right | None = None  # what it takes, for a 403
    subject: str = ""  # "PersistentVolumeClaim llm/cache"
    kind: str = ""
    namespace: str = ""
    repeatable: bool = True


def on(resource: Resource, verb: str, namespace: str = "", name: str = "", subresource: str = "") -> Request:
    """A GET of one object, of a list, or of a subresource; the others are made from it."""
    where = f"{namespace}/" if resource.namespaced and namespace else ""
    asked = f"{resource.plural}/{subresource}" if subresource else resource.plural
    if name:
        subject = f"{resource.kind} {where}{name}"
    else:
        subject = f"{resource.plural}" + (f" in namespace {namespace}" if where else "")
    return Request(
        "GET",
        resource.path(namespace, name, subresource),
        right=Right(verb, resource.group, asked, namespace if resource.namespaced else ""),
        subject=subject,
        kind=resource.kind,
        namespace=namespace if resource.namespaced else "",
    )


def metadata_only(request: Request) -> Request:
    """The same, answered with metadata alone: what is in a Secret never reaches this process."""
    return replace(request, headers={"Accept": METADATA_ONLY})


def page(request: Request, *, label_selector: str, field_selector: str, after: str) -> Request:
    """One page of a list; `after` is the continue token of the page before."""
    query = {"labelSelector": label_selector, "fieldSelector": field_selector, "limit": str(PAGE), "continue": after}
    return replace(request, query=tuple((key, value) for key, value in query.items() if value))


def watching(request: Request, *, label_selector: str, field_selector: str, version: str, seconds: int) -> Request:
    """A watch from resourceVersion `version` on, that the server ends after `seconds`."""
    query = {
        "watch": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(seconds),
        "labelSelector": label_selector,
        "fieldSelector": field_selector,
    }
    return replace(request, query=tuple((key, value) for key, value in query.items() if value))


def applying(resource: Resource, namespace: str, obj: Object, *, dry_run: bool, force: bool) -> Request:
    """A server-side apply of `obj`; JSON is YAML, so the body is written as JSON."""
    request = on(resource, "patch", namespace, str(obj["metadata"]["name"]))
    how = (("fieldManager", MANAGER), ("force", "true" if force else "false"), ("fieldValidation", "Strict"))
    return replace(_with_body(request, "PATCH", obj, "application/apply-patch+yaml"), query=how + _dry(dry_run))


def creating(resource: Resource, namespace: str, obj: Object, *, dry_run: bool) -> Request:
    """A POST of `obj`. Not repeatable: with generateName each one makes another object."""
    request = on(resource, "create", namespace)
    named = str(obj["metadata"].get("name") or obj["metadata"].get("generateName", ""))
    where = f"{namespace}/" if resource.namespaced and namespace else ""
    return replace(
        _with_body(request, "POST", obj, JSON),
        query=(("fieldManager", MANAGER), ("fieldValidation", "Strict"), *_dry(dry_run)),
        subject=f"{resource.kind} {where}{named}",
        repeatable=False,
    )


def patching(request: Request, body: Any, kind: PatchType, *, dry_run: bool, resource_version: str) -> Request:
    """A patch; with `resource_version` the server refuses it when the object has changed since."""
    if resource_version:
        metadata = {**body.get("metadata", {}), "resourceVersion": resource_version}
        body = {**body, "metadata": metadata}
    return replace(
        _with_body(request, "PATCH", body, PATCHES[kind]),
        query=(("fieldManager", MANAGER), ("fieldValidation", "Strict"), *_dry(dry_run)),
        repeatable=kind != "json" and not resource_version,  # a second one would meet the first one's version
    )


def deleting(request: Request, *, uid: str, grace_seconds: int | None) -> Request:
    """A DELETE that leaves dependents to the garbage collector; with `uid` only of that very object."""
    options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    if uid:
        options["preconditions"] = {"uid": uid}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    return _with_body(request, "DELETE", options, JSON)


def access_review(resource: Resource, right: Right, name: str) -> Request:
    """A SelfSubjectAccessReview: may we do this? Creates nothing."""
    plural, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": plural,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": name,
    }
    review = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return _with_body(on(resource, "create"), "POST", review, JSON)


def _dry(dry_run: bool) -> tuple[tuple[str, str], ...]:
    return (("dryRun", "All"),) if dry_run else ()


def _with_body(request: Request, method: str, body: Any, media_type: str) -> Request:
    return replace(
        request,
        method=method,
        body=json.dumps(body, separators=(",", ":")).encode(),
        headers={"Accept": JSON, "Content-Type": media_type},
    )
