"""What Open Data Hub's webhook does to an InferenceService because of `opendatahub.io/connections`. Pure."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from bed.kserve_emulator.names import Object, annotations_of

CONNECTION = "opendatahub.io/connections"
PATH = "opendatahub.io/connection-path"
PROTOCOL = "opendatahub.io/connection-type-protocol"
TYPE_REF = "opendatahub.io/connection-type-ref"  # deprecated, looked at where the protocol is missing
KNOWN = {PROTOCOL: ("s3", "uri", "oci"), TYPE_REF: ("s3", "uri-v1", "oci-v1")}
URI_KEYS = ("https-host", "URI")


class ConnectionDeniedError(Exception):
    """The webhook refuses; `code` is the HTTP status of the answer."""

    def __init__(self, message: str, code: int = 403) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Connection:
    """What an InferenceService says about its connection, with the type its secret has now.

    `kind` is "s3", "uri" or "oci", another word of the secret's, or "" when the secret is gone or says nothing.
    """

    secret: str = ""
    kind: str = ""
    path: str = ""


def old_connection(service: Object, secret: Object | None) -> Connection:
    """The connection that the stored InferenceService names; `secret` None when it was deleted meanwhile."""
    name = annotations_of(service).get(CONNECTION, "")
    if not name:
        return Connection()
    kind, _ = _kind(secret) if secret is not None else ("", False)
    return Connection(name, kind, annotations_of(service).get(PATH, ""))


def new_connection(service: Object, secret: Object | None) -> Connection:
    """The connection that is asked for; empty when there is none to inject.

    Raises:
        ConnectionDeniedError: the secret does not exist.
    """
    name = annotations_of(service).get(CONNECTION, "")
    if not name:
        return Connection()
    if secret is None:
        where = service["metadata"].get("namespace", "")
        raise ConnectionDeniedError(
            f"Secret '{name}' referenced in annotation '{CONNECTION}' not found in namespace '{where}'"
        )
    kind, known = _kind(secret)
    return Connection(name, kind, annotations_of(service).get(PATH, "")) if known else Connection()


def _kind(secret: Object) -> tuple[str, bool]:
    """The connection type and whether it is one that can be injected; `uri-v1` and `uri` are the same."""
    for annotation, known in KNOWN.items():
        value = annotations_of(secret).get(annotation, "")
        if value:
            return value.removesuffix("-v1"), value in known
    return "", False


def changes(old: Connection | None, new: Connection) -> tuple[bool, bool]:
    """Whether to clean up after the old connection, and whether to inject the new one; `old` None on create."""
    if old is None:
        return False, True
    if not old.secret or not new.secret:
        return bool(old.secret), bool(new.secret)
    same = old.kind == new.kind and old.secret == new.secret
    if same and (new.kind != "s3" or old.path == new.path):
        return False, False
    return True, True


def cleaned(service: Object, old: Connection) -> Object:
    """The InferenceService without what the old connection had put there.

    Of an unknown type (its secret is gone), everything goes that any type could have put: `storage`, `storageUri` (also
    one that is new in this very update) and the pull secret.
    """
    result = deepcopy(service)
    predictor = result["spec"]["predictor"]
    model = predictor.get("model") or {}
    if old.kind in ("oci", ""):
        secrets = [item for item in predictor.get("imagePullSecrets") or () if item.get("name") != old.secret]
        predictor.pop("imagePullSecrets", None)
        if secrets:
            predictor["imagePullSecrets"] = secrets
    if old.kind in ("uri", ""):
        model.pop("storageUri", None)
    if old.kind in ("s3", ""):
        model.pop("storage", None)
        if predictor.get("serviceAccountName") == account_name(old.secret):
            del predictor["serviceAccountName"]
    return result


def injected(service: Object, new: Connection, uri: str, old_path: str) -> Object:
    """The InferenceService with the connection in it.

    Args:
        uri: the secret's value, for the type "uri".
        old_path: `storage.path` of the stored InferenceService, for want of another.

    Raises:
        ConnectionDeniedError: there is no `model` to put S3 storage into.
    """
    result = deepcopy(service)
    predictor = result["spec"]["predictor"]
    if new.kind == "oci":
        secrets = predictor.setdefault("imagePullSecrets", [])
        if not any(item.get("name") == new.secret for item in secrets):
            secrets.append({"name": new.secret})
    elif new.kind == "uri":
        predictor.setdefault("model", {})["storageUri"] = uri
    elif new.kind == "s3":
        if "model" not in predictor:
            raise ConnectionDeniedError("not found .spec.predictor.model in resource", 500)
        if not predictor.get("serviceAccountName"):
            predictor["serviceAccountName"] = account_name(new.secret)
        storage = predictor["model"].setdefault("storage", {})
        storage["key"] = new.secret
        path = storage.get("path") or new.path or old_path
        if path:
            storage["path"] = path
    return result


def account_name(secret: str) -> str:
    """The service account that the webhook makes for an S3 connection."""
    return f"{secret}-sa"


def account(secret: str, namespace: str) -> Object:
    """That service account; it refers to the secret, so KServe finds the credentials there too."""
    metadata = {"name": account_name(secret), "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "secrets": [{"name": secret}]}
