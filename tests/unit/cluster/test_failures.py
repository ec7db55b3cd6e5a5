"""What answers other than 2xx mean. Messages are those of a kube-apiserver 1.34.4."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pvserve.cluster import AlreadyExists, Conflict, NotFound, Response
from pvserve.cluster.failures import as_unknown, failure
from pvserve.cluster.kinds import KNOWN
from pvserve.cluster.request import Request, on
from pvserve.errors import NotAllowed, PvserveError, Refused, Temporary, UsageError

SERVER = "https://api.example:6443"
POD = on(KNOWN["v1", "Pod"], "get", "llm", "loader")
SERVICE = on(KNOWN["serving.kserve.io/v1beta1", "InferenceService"], "patch", "llm", "granite")


def means(code: int, message: str, reason: str = "", request: Request = POD, **details: Any) -> PvserveError:
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "details": details}
    return failure(request, Response(code, {}, json.dumps({**body, "code": code}).encode()), SERVER)


def test_a_missing_right_names_verb_resource_and_the_minimal_role() -> None:
    message = (
        'pods "loader" is forbidden: User "jane doe" cannot create resource "pods/exec" in API group "" '
        'in the namespace "llm"'
    )
    error = means(403, message, "Forbidden")
    assert isinstance(error, NotAllowed)
    assert (error.exit_code, error.reason) == (4, "Forbidden")
    assert error.message == "user jane doe may not create pods/exec in namespace llm"
    assert error.remedy[:2] == (
        "kubectl create role pvserve-create-pods-exec --verb=create --resource=pods/exec -n llm",
        "kubectl create rolebinding pvserve-create-pods-exec --role=pvserve-create-pods-exec --user='jane doe' -n llm",
    )


def test_a_missing_cluster_wide_right_asks_for_a_cluster_role() -> None:
    message = (
        'storageclasses.storage.k8s.io is forbidden: User "system:serviceaccount:llm:bot" cannot create resource '
        '"storageclasses" in API group "storage.k8s.io" at the cluster scope'
    )
    error = means(403, message, "Forbidden")
    assert "(cluster-wide)" in error.message
    assert error.remedy[0] == (
        "kubectl create clusterrole pvserve-create-storageclasses --verb=create "
        "--resource=storageclasses.storage.k8s.io"
    )
    assert error.remedy[1].endswith("--clusterrole=pvserve-create-storageclasses --serviceaccount=llm:bot")


def test_nobody_and_an_expired_token_are_not_logged_in() -> None:
    nobody = means(403, 'forbidden: User "system:anonymous" cannot get path "/version"', "Forbidden")
    expired = means(401, "Unauthorized", "Unauthorized")
    for error in (nobody, expired):
        assert isinstance(error, NotAllowed)
        assert error.reason == "NotLoggedIn"
        assert error.remedy[0] == f"oc login {SERVER}"


@pytest.mark.parametrize(
    ("message", "causes", "reason"),
    [
        ('pods "loader" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true', (), ""),
        ('pods "loader" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1', (), ""),
        (
            'pods "loader" is forbidden: unable to create new content in namespace llm because it is being terminated',
            ({"reason": "NamespaceTerminating", "message": "namespace llm is being terminated"},),
            "NamespaceTerminating",
        ),
    ],
)
def test_refusals_that_no_role_mends_are_not_called_missing_rights(message: str, causes: Any, reason: str) -> None:
    error = means(403, message, "Forbidden", causes=list(causes))
    assert isinstance(error, Refused)
    assert error.reason == (reason or "AdmissionDenied")
    assert message in error.message


@pytest.mark.parametrize(
    ("code", "message", "command"),
    [
        (403, 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0', "resourcequota q -n llm"),
        (403, 'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: pvserve', "resourcequota q -n llm"),
        (403, 'pods "x" is forbidden: maximum memory usage per Container is 64Mi, but', "describe limitrange -n llm"),
        (422, 'Invalid value: "200m": must be less than or equal to cpu limit of 100m', "describe limitrange -n llm"),
        (
            403,
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": host',
            "get namespace llm --show-labels",
        ),
        (403, 'admission webhook "scc.example" denied the request: no', "validatingwebhookconfigurations"),
    ],
)
def test_what_admission_refused_is_looked_at_by_a_command(code: int, message: str, command: str) -> None:
    error = means(code, message, "Forbidden" if code == 403 else "Invalid")
    assert isinstance(error, Refused)
    assert command in error.remedy[0]


def test_object_namespace_and_kind_are_told_apart() -> None:
    missing = means(404, 'pods "loader" not found', "NotFound", name="loader", kind="pods")
    assert (missing.reason, missing.message) == ("NotFound", "Pod llm/loader does not exist")
    namespace = means(404, 'namespaces "llm" not found', "NotFound", name="llm", kind="namespaces")
    assert (namespace.reason, namespace.message) == ("NamespaceNotFound", "namespace llm does not exist")
    unserved = failure(SERVICE, Response(404, {}, b"404 page not found\n"), SERVER)
    assert (unserved.reason, unserved.message) == ("KindNotServed", "the cluster does not serve InferenceService")
    assert "KServe" in unserved.remedy[0]
    for error in (missing, namespace, unserved):
        assert isinstance(error, NotFound)


def test_conflicts_of_field_managers_name_field_and_owner_and_the_three_ways_out() -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "dashboard" using v1', "field": ".spec.x"}
    error = means(409, "Apply failed with 1 conflict: …", "Conflict", SERVICE, causes=[cause])
    assert isinstance(error, Refused)
    assert error.message == "InferenceService llm/granite: field .spec.x is owned by dashboard"
    assert len(error.remedy) == 3


def test_a_changed_object_and_an_existing_one_are_told_apart() -> None:
    changed = means(409, "the object has been modified", "Conflict", name="loader")
    exists = means(409, 'pods "loader" already exists', "AlreadyExists", name="loader")
    assert type(changed) is Conflict
    assert type(exists) is AlreadyExists
    assert changed.exit_code == exists.exit_code == Temporary.exit_code


@pytest.mark.parametrize(
    ("code", "message", "field"),
    [
        (
            500,
            "failed to create typed patch object (llm/granite; serving.kserve.io/v1beta1, Kind=InferenceService): "
            ".spec.predictr: field not declared in schema",
            "spec.predictr",
        ),
        (400, 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spek"', "spek"),
    ],
)
def test_a_misspelt_field_is_named_whatever_the_status(code: int, message: str, field: str) -> None:
    error = means(code, message, "BadRequest" if code == 400 else "", SERVICE)
    assert isinstance(error, Refused)
    assert error.reason == "UnknownField"
    assert error.message == f"InferenceService llm/granite: the cluster knows no field {field}"


def test_an_invalid_object_lists_each_field() -> None:
    causes = [
        {"reason": "FieldValueInvalid", "message": "Invalid value: 0", "field": "spec.replicas"},
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.selector"},
    ]
    error = means(422, "… is invalid: […]", "Invalid", causes=causes)
    assert isinstance(error, Refused)
    assert error.message.endswith("spec.replicas: Invalid value: 0; spec.selector: Required value")


def test_a_webhook_that_is_down_is_named() -> None:
    message = (
        'Internal error occurred: failed calling webhook "inferenceservice.kserve-webhook-server.defaulter": '
        'failed to call webhook: Post "https://…": dial tcp 10.96.0.7:443: connect: connection refused'
    )
    error = means(500, message, "InternalError", SERVICE)
    assert isinstance(error, Temporary)
    assert error.reason == "WebhookFailed"
    assert "inferenceservice.kserve-webhook-server.defaulter" in error.message


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_or_broken_server_is_temporary(code: int) -> None:
    error = means(code, "etcdserver: request timed out")
    assert isinstance(error, Temporary)
    assert error.exit_code == 5


def test_a_redirect_is_no_api_server() -> None:
    error = failure(POD, Response(302, {"location": "https://sso.example/login"}), SERVER)
    assert isinstance(error, Refused)
    assert "https://sso.example/login" in error.message


def test_only_forbidden_and_not_served_become_unknown() -> None:
    forbidden = NotAllowed("Forbidden", "user jane may not list pods")
    assert as_unknown(forbidden).cause == "forbidden"
    assert as_unknown(NotFound("KindNotServed", "no KServe")).cause == "no-such-api"
    for error in (NotAllowed("NotLoggedIn", "who?"), UsageError("Usage", "…"), Temporary("Unreachable", "…")):
        with pytest.raises(type(error)):
            as_unknown(error)
