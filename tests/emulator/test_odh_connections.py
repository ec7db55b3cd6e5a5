"""Open Data Hub's connection rules: 3 types x (secret there, deleted) x (create, update), pure and on the bed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bed.odh_webhook.connections import (
    Connection,
    ConnectionDeniedError,
    changes,
    cleaned,
    injected,
    new_connection,
    old_connection,
)
from tests.bed.kubectl import Kubectl, until

from .services import CONNECTION_VALUES, connection, service

TYPES = ("s3", "uri", "oci")
CONNECTIONS, PATH = "opendatahub.io/connections", "opendatahub.io/connection-path"
PVC = "pvc://models/tiny"


def connected(kind: str) -> dict[str, Any]:
    """An InferenceService after its connection was injected, as it is stored."""
    item = service(annotations={CONNECTIONS: "store", PATH: "tiny"})
    return injected(item, Connection("store", kind, "tiny"), "https://example.com/model.gguf", "")


def converted(stored: dict[str, Any]) -> dict[str, Any]:
    """The update that a naive conversion to a claim would send: no annotation, no storage, the new URI."""
    item: dict[str, Any] = json.loads(json.dumps(stored))
    del item["metadata"]["annotations"][CONNECTIONS]
    item["spec"]["predictor"]["model"].pop("storage", None)
    item["spec"]["predictor"]["model"]["storageUri"] = PVC
    return item


def survivors(item: dict[str, Any]) -> dict[str, Any]:
    """The fields that connections touch, as far as they are there."""
    predictor = item["spec"]["predictor"]
    found = {key: predictor[key] for key in ("serviceAccountName", "imagePullSecrets") if key in predictor}
    return found | {key: predictor["model"][key] for key in ("storage", "storageUri") if key in predictor["model"]}


# Type -> what is there after create; and after the conversion, with the secret still there.
CREATED = {
    "s3": {"serviceAccountName": "store-sa", "storage": {"key": "store", "path": "tiny"}},
    "uri": {"storageUri": "https://example.com/model.gguf"},
    "oci": {"imagePullSecrets": [{"name": "store"}]},
}
CONVERTED = {"s3": {"storageUri": PVC}, "uri": {}, "oci": {"storageUri": PVC}}


@pytest.mark.parametrize("kind", TYPES)
def test_create_injects(kind: str) -> None:
    new = new_connection(service(annotations={CONNECTIONS: "store", PATH: "tiny"}), connection(kind))
    assert changes(None, new) == (False, True)
    assert survivors(connected(kind)) == CREATED[kind]


@pytest.mark.parametrize("kind", ["s3", "uri-v1", "oci-v1"])
def test_deprecated_type_annotation_counts_too(kind: str) -> None:
    secret = connection("s3")
    del secret["metadata"]["annotations"]["opendatahub.io/connection-type-protocol"]
    secret["metadata"]["annotations"]["opendatahub.io/connection-type-ref"] = kind
    assert new_connection(service(annotations={CONNECTIONS: "store"}), secret).kind == kind.removesuffix("-v1")


def test_create_with_a_deleted_secret_is_refused() -> None:
    with pytest.raises(ConnectionDeniedError, match="Secret 'store' referenced in annotation"):
        new_connection(service(annotations={CONNECTIONS: "store"}), None)


@pytest.mark.parametrize("kind", TYPES)
def test_secret_without_a_known_type_injects_nothing(kind: str) -> None:
    secret = connection(kind)
    secret["metadata"]["annotations"]["opendatahub.io/connection-type-protocol"] = "ftp"
    assert new_connection(service(annotations={CONNECTIONS: "store"}), secret) == Connection()


@pytest.mark.parametrize("kind", TYPES)
def test_update_without_the_annotation_cleans_by_the_old_type(kind: str) -> None:
    stored = connected(kind)
    old = old_connection(stored, connection(kind))
    assert changes(old, Connection()) == (True, False)
    assert survivors(cleaned(converted(stored), old)) == CONVERTED[kind]


@pytest.mark.parametrize("kind", TYPES)
def test_update_without_the_annotation_and_without_the_secret_cleans_everything(kind: str) -> None:
    stored = connected(kind)
    old = old_connection(stored, None)
    assert changes(old, Connection()) == (True, False)
    assert survivors(cleaned(converted(stored), old)) == {}


def test_unchanged_annotation_changes_nothing() -> None:
    same = Connection("store", "s3", "tiny")
    assert changes(same, same) == (False, False)
    assert changes(Connection(), Connection()) == (False, False)


@pytest.mark.parametrize("other", [Connection("other", "s3", "tiny"), Connection("store", "s3", "elsewhere")])
def test_other_secret_or_path_replaces(other: Connection) -> None:
    assert changes(Connection("store", "s3", "tiny"), other) == (True, True)


def test_a_users_own_account_and_path_stay() -> None:
    item = service(storage={"path": "mine"})
    item["spec"]["predictor"]["serviceAccountName"] = "own"
    result = injected(item, Connection("store", "s3", "annotated"), "", "old")
    assert survivors(result) == {"serviceAccountName": "own", "storage": {"key": "store", "path": "mine"}}
    assert survivors(cleaned(result, Connection("store", "s3"))) == {"serviceAccountName": "own"}


def test_other_pull_secrets_stay() -> None:
    item = service()
    item["spec"]["predictor"]["imagePullSecrets"] = [{"name": "mine"}]
    result = injected(item, Connection("store", "oci"), "", "")
    assert survivors(result) == {"imagePullSecrets": [{"name": "mine"}, {"name": "store"}]}
    assert survivors(cleaned(result, Connection("store", "oci"))) == {"imagePullSecrets": [{"name": "mine"}]}


@pytest.mark.bed
@pytest.mark.parametrize("secret", ["there", "deleted"])
@pytest.mark.parametrize("kind", TYPES)
def test_create_on_the_bed(kubectl: Kubectl, kind: str, secret: str) -> None:
    item = service(annotations={CONNECTIONS: "store", PATH: "tiny"})
    if secret == "deleted":
        out = kubectl("create", "-f", "-", stdin=json.dumps(item), check=False)
        where = f"not found in namespace '{kubectl.namespace}'"
        assert f"Secret 'store' referenced in annotation '{CONNECTIONS}' {where}" in out
        return
    kubectl.apply(connection(kind))
    kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(item))
    assert "store-sa" not in kubectl("get", "serviceaccounts", "-o", "name")
    kubectl("create", "-f", "-", stdin=json.dumps(item))
    assert survivors(kubectl.get("isvc", "tiny")) == CREATED[kind]
    assert ("store-sa" in kubectl("get", "serviceaccounts", "-o", "name")) == (kind == "s3")


@pytest.mark.bed
@pytest.mark.parametrize("secret", ["there", "deleted"])
@pytest.mark.parametrize("kind", TYPES)
def test_naive_conversion_on_the_bed(kubectl: Kubectl, kind: str, secret: str) -> None:
    kubectl.apply(connection(kind), service(annotations={CONNECTIONS: "store", PATH: "tiny"}))
    if secret == "deleted":
        kubectl("delete", "secret", "store")
        kept = kubectl("label", "isvc", "tiny", "touched=yes", check=False)
        assert "Secret 'store' referenced in annotation" in kept  # even an unrelated update is refused
    predictor = {"model": {"storage": None, "storageUri": PVC}}
    patch = {"metadata": {"annotations": {CONNECTIONS: None}}, "spec": {"predictor": predictor}}
    kubectl("patch", "isvc", "tiny", "--type=merge", "-p", json.dumps(patch))
    expected = CONVERTED[kind] if secret == "there" else {}
    assert survivors(kubectl.get("isvc", "tiny")) == expected


@pytest.mark.bed
@pytest.mark.parametrize("kind", TYPES)
def test_safe_conversion_on_the_bed(kubectl: Kubectl, kind: str) -> None:
    """First the annotation away, then the new URI: the order that keeps it, for every type."""
    kubectl.apply(connection(kind), service(annotations={CONNECTIONS: "store", PATH: "tiny"}))
    kubectl("annotate", "isvc", "tiny", f"{CONNECTIONS}-")
    assert survivors(kubectl.get("isvc", "tiny")) == {}
    kubectl("patch", "isvc", "tiny", "--type=merge", "-p", json.dumps(service(storageUri=PVC)))
    assert survivors(kubectl.get("isvc", "tiny")) == {"storageUri": PVC}


@pytest.mark.bed
def test_storage_config_follows_the_connections(kubectl: Kubectl) -> None:
    def entries() -> set[str]:
        out = kubectl("get", "secret", "storage-config", "--ignore-not-found", "-o", "json")
        return set(json.loads(out)["data"]) if out else set()

    kubectl.apply(connection("s3", "one"), connection("s3", "two", CONNECTION_VALUES["s3"] | {"AWS_S3_BUCKET": "b"}))
    until("both are in it", lambda: entries() == {"one", "two"})
    kubectl("delete", "secret", "one")
    until("a deleted one goes", lambda: entries() == {"two"})
    kubectl("delete", "secret", "two")
    until("the secret goes with the last", lambda: entries() == set())
