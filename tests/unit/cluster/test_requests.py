"""Paths, queries and bodies of what is asked of the API server."""

from __future__ import annotations

import json

import pytest

from pvserve.cluster import request as asking
from pvserve.cluster.kinds import KNOWN, Resource, discovered
from pvserve.cluster.request import Request, on
from pvserve.cluster.transport import url
from pvserve.facts import Right

CLAIM = KNOWN["v1", "PersistentVolumeClaim"]
SERVICE = KNOWN["serving.kserve.io/v1beta1", "InferenceService"]


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "path"),
    [
        (CLAIM, "llm", "cache", "", "/api/v1/namespaces/llm/persistentvolumeclaims/cache"),
        (CLAIM, "", "", "", "/api/v1/persistentvolumeclaims"),
        (SERVICE, "llm", "", "", "/apis/serving.kserve.io/v1beta1/namespaces/llm/inferenceservices"),
        (KNOWN["v1", "PersistentVolume"], "llm", "pv", "", "/api/v1/persistentvolumes/pv"),
        (KNOWN["v1", "Pod"], "llm", "p", "exec", "/api/v1/namespaces/llm/pods/p/exec"),
        (CLAIM, "llm", "../secrets/x", "", "/api/v1/namespaces/llm/persistentvolumeclaims/..%2Fsecrets%2Fx"),
    ],
)
def test_paths(resource: Resource, namespace: str, name: str, subresource: str, path: str) -> None:
    assert resource.path(namespace, name, subresource) == path


def test_a_server_with_a_path_of_its_own_keeps_it() -> None:
    request = Request("GET", "/version", query=(("labelSelector", "a=b,c in (d)"),))
    assert url("https://rancher/k8s/clusters/c-1", request) == (
        "https://rancher/k8s/clusters/c-1/version?labelSelector=a%3Db%2Cc%20in%20%28d%29"
    )


def test_discovery_finds_a_kind_and_not_its_subresources() -> None:
    listed = {
        "resources": [
            {"name": "templates/status", "kind": "Template", "namespaced": True},
            {"name": "templates", "kind": "Template", "namespaced": True},
        ]
    }
    found = discovered("template.openshift.io/v1", "Template", listed)
    assert found == Resource("template.openshift.io/v1", "Template", "templates")
    assert discovered("template.openshift.io/v1", "Other", listed) is None


def test_apply_names_the_manager_and_is_strict_and_never_forces_by_itself() -> None:
    obj = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "cache"}}
    request = asking.applying(CLAIM, "llm", obj, dry_run=False, force=False)
    assert (request.method, request.path) == ("PATCH", "/api/v1/namespaces/llm/persistentvolumeclaims/cache")
    assert dict(request.query) == {"fieldManager": "pvserve", "force": "false", "fieldValidation": "Strict"}
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert json.loads(request.body or b"") == obj
    assert request.repeatable


def test_dry_run_is_asked_for_in_every_way_of_writing() -> None:
    obj = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "cache"}}
    base = on(CLAIM, "patch", "llm", "cache")
    for request in (
        asking.applying(CLAIM, "llm", obj, dry_run=True, force=False),
        asking.creating(CLAIM, "llm", obj, dry_run=True),
        asking.patching(base, {}, "merge", dry_run=True, resource_version=""),
    ):
        assert ("dryRun", "All") in request.query


def test_a_create_is_not_repeated() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "loader-"}}
    request = asking.creating(KNOWN["v1", "Pod"], "llm", pod, dry_run=False)
    assert (request.method, request.path, request.repeatable) == ("POST", "/api/v1/namespaces/llm/pods", False)
    assert request.subject == "Pod llm/loader-"


def test_a_guarded_patch_carries_the_version_and_keeps_other_metadata() -> None:
    base = on(CLAIM, "patch", "llm", "cache")
    body = {"metadata": {"annotations": {"a": "b"}}}
    request = asking.patching(base, body, "merge", dry_run=False, resource_version="7")
    assert json.loads(request.body or b"") == {"metadata": {"annotations": {"a": "b"}, "resourceVersion": "7"}}
    assert not request.repeatable
    assert body == {"metadata": {"annotations": {"a": "b"}}}
    assert asking.patching(base, body, "merge", dry_run=False, resource_version="").repeatable


def test_delete_of_one_very_object() -> None:
    request = asking.deleting(on(CLAIM, "delete", "llm", "cache"), uid="u-1", grace_seconds=0)
    options = json.loads(request.body or b"")
    assert (request.method, options["preconditions"], options["gracePeriodSeconds"]) == ("DELETE", {"uid": "u-1"}, 0)


def test_access_review_of_a_subresource() -> None:
    resource = KNOWN["authorization.k8s.io/v1", "SelfSubjectAccessReview"]
    request = asking.access_review(resource, Right("create", "", "pods/exec", "llm"), "")
    assert json.loads(request.body or b"")["spec"]["resourceAttributes"] == {
        "verb": "create",
        "resource": "pods",
        "subresource": "exec",
        "namespace": "llm",
    }


def test_metadata_only_says_so_in_accept() -> None:
    request = asking.metadata_only(on(KNOWN["v1", "Secret"], "get", "llm", "s"))
    assert request.headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
