"""What an answer other than 2xx means, as a typed error with a remedy.

Owns the reading of `Status` bodies. Pure: knows requests and answers as values, no connection.

    NotFound       object, namespace or kind is not there (Refused)
    Conflict       somebody else was faster (Temporary)
    └── AlreadyExists
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pvserve.cluster.admission import refused_by_admission
from pvserve.cluster.request import MANAGER, Request
from pvserve.errors import NotAllowed, PvserveError, Refused, Temporary
from pvserve.facts import Right, Unknown


class NotFound(Refused):
    """The object is not there; `reason` NamespaceNotFound and KindNotServed say what is missing instead."""


class Conflict(Temporary):
    """The object was changed by somebody else between our reading and our writing."""


class AlreadyExists(Conflict):
    """An object of this name is there already."""


class FieldConflict(Refused):
    """Fields of the object are owned by the managers `owners`."""

    owners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Response:
    """One answer; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, empty where it is none."""
        try:
            parsed = json.loads(self.body)
        except ValueError:
            return {}
        return parsed if isinstance(parsed, dict) else {}


# apiserver/pkg/endpoints/handlers/responsewriters/errors.go forbiddenMessage: the authorizer's refusals and no others.
_RBAC = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) '
    r'(?:resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]+)")?'
    r'|path "(?P<path>[^"]+)")'
)
ANONYMOUS = "system:anonymous"
AGAIN = ("run the same command again",)


def failure(request: Request, response: Response, server: str) -> PvserveError:
    """The error that `response` (any status but 2xx) means for `request`."""
    status = response.json() if response.json().get("kind") == "Status" else {}
    message = _message(status, response)
    known = {401: _not_logged_in, 403: _forbidden, 404: _absent, 409: _conflict}
    if response.status in known:
        return known[response.status](request, status, message, server)
    if response.status in (400, 413, 422) or _is_untypable(response.status, message):
        return _invalid(request, status, message)
    if 300 <= response.status < 400:
        where = response.headers.get("location", "elsewhere")
        return Refused("NotAnApiServer", f"{server} points to {where}: it is no Kubernetes API server", remedy=_CONFIG)
    if response.status == 410:
        return Temporary("Expired", f"{request.subject}: {message}", remedy=AGAIN)
    if response.status == 429 or response.status >= 500:
        return _temporary(request, status, message, response.status)
    return PvserveError("ApiError", f"{request.subject}: HTTP {response.status}: {message}", subject=request.subject)


_CONFIG = ("kubectl config view --minify", "check the server's address there")


def as_unknown(error: PvserveError) -> Unknown:
    """The error as something that could not be read; raises it where it means something else."""
    if error.reason == "Forbidden":
        return Unknown(error.message, "forbidden")
    if error.reason == "KindNotServed":
        return Unknown(error.message, "no-such-api")
    raise error


def _message(status: Mapping[str, Any], response: Response) -> str:
    text = str(status.get("message") or response.body[:500].decode("utf-8", "replace")).strip()
    return text or f"HTTP {response.status}"


def _not_logged_in(request: Request, _status: Mapping[str, Any], message: str, server: str) -> PvserveError:
    return not_logged_in(f"{server} does not accept the credentials", server, detail=f"{request.subject}: {message}")


def not_logged_in(message: str, server: str, detail: str = "") -> NotAllowed:
    """Nobody is logged in, or the login has expired."""
    remedy = (
        f"oc login {shlex.quote(server)}",
        "or renew the credentials that the kubeconfig names, then run the same command again",
    )
    return NotAllowed("NotLoggedIn", message, remedy=remedy, detail=detail)


def _forbidden(request: Request, status: Mapping[str, Any], message: str, server: str) -> PvserveError:
    """RBAC said no; or admission, a quota or a dying namespace, which no Role mends."""
    found = _RBAC.search(message)
    if found is None:
        causes = {cause.get("reason") for cause in (status.get("details") or {}).get("causes") or ()}
        words = f"the cluster refused {request.subject}: {message}"
        if "NamespaceTerminating" in causes:
            remedy: tuple[str, ...] = (f"kubectl get namespace {request.namespace}", "name another one with -n")
            return Refused("NamespaceTerminating", words, subject=request.subject, remedy=remedy)
        remedy = refused_by_admission(message, request.namespace)
        return Refused("AdmissionDenied", words, subject=request.subject, remedy=remedy)
    user = found["user"]
    if user == ANONYMOUS:
        return not_logged_in(f"{server} knows nobody: no credentials were sent", server, detail=message)
    if found["path"]:
        words = f"user {user} may not {found['verb']} {found['path']}"
        return NotAllowed("Forbidden", words, subject=request.subject, detail=message)
    right = Right(found["verb"], found["group"], found["resource"], found["namespace"] or "")
    words = f"user {user} may not {right}" + ("" if right.namespace else " (cluster-wide)")
    return NotAllowed("Forbidden", words, subject=request.subject, remedy=minimal_role(right, user), detail=message)


def minimal_role(right: Right, user: str) -> tuple[str, ...]:
    """The commands by which an administrator gives `user` this right and no other."""
    resource = right.resource if not right.group else _with_group(right)
    name = f"{MANAGER}-{right.verb}-{right.resource.replace('/', '-')}"
    kind, scope = ("role", f" -n {right.namespace}") if right.namespace else ("clusterrole", "")
    return (
        f"kubectl create {kind} {name} --verb={right.verb} --resource={resource}{scope}",
        f"kubectl create {kind}binding {name} --{kind}={name} {_subject(user)}{scope}",
        "an administrator of the cluster can run these",
    )


def _with_group(right: Right) -> str:
    """`deployments.apps/scale`, as kubectl wants it."""
    plural, slash, subresource = right.resource.partition("/")
    return f"{plural}.{right.group}{slash}{subresource}"


def _subject(user: str) -> str:
    prefix = "system:serviceaccount:"
    if user.startswith(prefix):
        return f"--serviceaccount={user.removeprefix(prefix)}"
    return f"--user={shlex.quote(user)}"


def _absent(request: Request, status: Mapping[str, Any], message: str, _server: str) -> PvserveError:
    details = status.get("details") or {}
    if details.get("kind") == "namespaces" and request.kind != "Namespace":
        name = details.get("name") or request.namespace
        return NotFound(
            "NamespaceNotFound",
            f"namespace {name} does not exist",
            subject=request.subject,
            remedy=(f"kubectl create namespace {name}", "or name another one with -n"),
        )
    if not details.get("name"):
        words = f"the cluster does not serve {request.kind or request.path}"
        remedy = ("install KServe, or choose the cluster that has it with --context",) if _kserve(request) else ()
        return NotFound("KindNotServed", words, subject=request.subject, remedy=remedy, detail=message)
    existing = (_get(request),) if request.right else ()
    return NotFound("NotFound", f"{request.subject} does not exist", subject=request.subject, remedy=existing)


def _kserve(request: Request) -> bool:
    return request.right is not None and request.right.group == "serving.kserve.io"


def _get(request: Request) -> str:
    assert request.right is not None
    plural = request.right.resource.partition("/")[0]
    return f"kubectl get {plural}" + (f" -n {request.namespace}" if request.namespace else "")


def _conflict(request: Request, status: Mapping[str, Any], message: str, _server: str) -> PvserveError:
    details = status.get("details") or {}
    owned = [cause for cause in details.get("causes") or () if cause.get("reason") == "FieldManagerConflict"]
    if owned:
        return _field_conflict(request, owned)
    if status.get("reason") == "AlreadyExists":
        return AlreadyExists(
            "AlreadyExists", f"{request.subject} exists already", subject=request.subject, detail=message
        )
    return Conflict(
        "Changed", f"{request.subject} was changed meanwhile", subject=request.subject, remedy=AGAIN, detail=message
    )


def _field_conflict(request: Request, causes: list[Mapping[str, Any]]) -> FieldConflict:
    """The three ways out are those of https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""
    owners = []
    for cause in causes:
        owner = re.search(r'conflict with "([^"]*)"', str(cause.get("message", "")))
        owners.append(owner[1] if owner else str(cause.get("message")))
    words = [f"field {cause.get('field')} is owned by {owner}" for cause, owner in zip(causes, owners, strict=True)]
    error = FieldConflict(
        "FieldConflict",
        f"{request.subject}: {'; '.join(words)}",
        subject=request.subject,
        remedy=(
            "keep the owner's value: leave these fields out of what you ask for",
            "share the field: ask for the same value as the owner",
            "take it over: --force-conflicts of deploy and plan, where the owner does not set it again",
        ),
    )
    error.owners = tuple(owners)
    return error


def _is_untypable(code: int, message: str) -> bool:
    """A field that the schema lacks comes back from an apply as 500 (seen on 1.34.4), not as 422."""
    return code == 500 and message.startswith("failed to create typed patch object")


def _invalid(request: Request, status: Mapping[str, Any], message: str) -> Refused:
    causes = (status.get("details") or {}).get("causes") or ()
    lines = [f"{cause.get('field') or 'object'}: {cause.get('message')}" for cause in causes]
    undeclared = re.findall(r"(\.[\w.\[\]\"-]+): field not declared in schema", message)
    undeclared += re.findall(r'unknown field "([^"]+)"', message)
    if undeclared:
        fields = ", ".join(sorted({item.lstrip(".") for item in undeclared}))
        words = f"{request.subject}: the cluster knows no field {fields}"
        return Refused("UnknownField", words, subject=request.subject, remedy=_explain(request), detail=message)
    words = f"the cluster refused {request.subject}: {'; '.join(lines) if lines else message}"
    remedy = refused_by_admission(message, request.namespace)
    return Refused("Invalid", words, subject=request.subject, remedy=remedy, detail=message if lines else "")


def _explain(request: Request) -> tuple[str, ...]:
    return (f"kubectl explain {request.right.resource}.spec",) if request.right else ()


def _temporary(request: Request, status: Mapping[str, Any], message: str, code: int) -> Temporary:
    webhook = re.search(r'failed calling webhook "([^"]+)"', message)
    if webhook:
        words = f"{request.subject}: the admission webhook {webhook[1]} does not answer"
        remedy = ("kubectl get pods -A | grep -v Running", *AGAIN)
        return Temporary("WebhookFailed", words, subject=request.subject, remedy=remedy, detail=message)
    reason = "Busy" if code == 429 else str(status.get("reason") or "ServerError")
    return Temporary(
        reason, f"{request.subject}: the API server answers {code}: {message}", subject=request.subject, remedy=AGAIN
    )
