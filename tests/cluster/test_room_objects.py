"""Objects of a real API server: read, written, refused, paged."""

from __future__ import annotations

from typing import Any

import pytest

from pvserve.cluster import AlreadyExists, Cluster, Conflict, NotFound
from pvserve.errors import Refused
from pvserve.facts import Object, Right, Unknown

pytestmark = pytest.mark.cluster

CLAIM = ("v1", "PersistentVolumeClaim")
MAP = ("v1", "ConfigMap")
SERVICE = ("serving.kserve.io/v1beta1", "InferenceService")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str, **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "test"}, "storageUri": "pvc://claim/model"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "annotations": {"serving.kserve.io/stop": "true"}},
        "spec": {"predictor": {"model": model, **predictor}},
    }


def test_an_object_is_created_read_changed_and_deleted(cluster: Cluster) -> None:
    made = cluster.create(config_map("a", x="1"))
    assert cluster.get(*MAP, "a")["data"] == {"x": "1"}
    with pytest.raises(AlreadyExists, match=r"ConfigMap pvst-.*/a exists already"):
        cluster.create(config_map("a"))
    cluster.patch(*MAP, "a", "", {"data": {"y": "2"}})
    assert cluster.get(*MAP, "a")["data"] == {"x": "1", "y": "2"}
    cluster.delete(*MAP, "a", uid="of-another-object")
    assert cluster.find(*MAP, "a") is not None
    cluster.delete(*MAP, "a", uid=made["metadata"]["uid"])
    assert cluster.find(*MAP, "a") is None
    cluster.delete(*MAP, "a")  # is gone already: nothing to do


def test_a_change_meanwhile_is_a_conflict(cluster: Cluster) -> None:
    before = cluster.create(config_map("a", x="1"))["metadata"]["resourceVersion"]
    cluster.patch(*MAP, "a", "", {"data": {"x": "theirs"}})
    with pytest.raises(Conflict, match="was changed meanwhile"):
        cluster.patch(*MAP, "a", "", {"data": {"x": "ours"}}, resource_version=before)
    assert cluster.get(*MAP, "a")["data"] == {"x": "theirs"}
    assert cluster.apply(config_map("a", x="ours"), force=True)["data"] == {"x": "ours"}


def test_json_and_strategic_patches(cluster: Cluster) -> None:
    cluster.create(config_map("a", x="1"))
    cluster.patch(*MAP, "a", "", [{"op": "replace", "path": "/data/x", "value": "2"}], type="json")
    stored = cluster.patch(*MAP, "a", "", {"metadata": {"labels": {"l": "1"}}}, type="strategic")
    assert (stored["data"], stored["metadata"]["labels"]) == ({"x": "2"}, {"l": "1"})


def test_apply_creates_changes_and_gives_up_fields(cluster: Cluster) -> None:
    cluster.apply(config_map("a", x="1", y="1"))
    stored = cluster.apply(config_map("a", x="2"))
    assert stored["data"] == {"x": "2"}
    managers = [entry["manager"] for entry in stored["metadata"]["managedFields"]]
    assert managers == ["pvserve"]


def test_apply_names_the_field_and_its_owner_and_force_takes_it(cluster: Cluster) -> None:
    other = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"theirs"}}'
    path = f"/api/v1/namespaces/{cluster.namespace}/configmaps/a?fieldManager=dashboard"
    media = {"Content-Type": "application/apply-patch+yaml"}
    assert cluster.raw("PATCH", path, other.encode(), media).status == 201
    with pytest.raises(Refused, match=r"field \.data\.x is owned by dashboard") as caught:
        cluster.apply(config_map("a", x="ours"))
    assert caught.value.reason == "FieldConflict"
    assert cluster.get(*MAP, "a")["data"] == {"x": "theirs"}


def test_apply_goes_over_what_our_own_patch_set(cluster: Cluster) -> None:
    cluster.apply(config_map("a", x="1"))
    cluster.patch(*MAP, "a", cluster.namespace, {"data": {"x": "2"}})
    assert cluster.apply(config_map("a", x="3"))["data"] == {"x": "3"}


def test_a_dry_run_shows_what_would_be_stored_and_stores_nothing(cluster: Cluster) -> None:
    claim: Object = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "a"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    for stored in (cluster.apply(claim, dry_run=True), cluster.create(claim, dry_run=True)):
        assert stored["spec"]["volumeMode"] == "Filesystem"  # a default that the server adds
    assert cluster.find(*CLAIM, "a") is None
    cluster.create(config_map("b", x="1"))
    assert cluster.patch(*MAP, "b", "", {"data": {"x": "2"}}, dry_run=True)["data"] == {"x": "2"}
    assert cluster.get(*MAP, "b")["data"] == {"x": "1"}


@pytest.mark.parametrize("how", ["apply", "create"])
def test_a_misspelt_field_is_refused_by_name(cluster: Cluster, how: str) -> None:
    for obj, field in (
        (service("a", replicaz=1), "spec.predictor.replicaz"),
        ({**config_map("a"), "dataa": {}}, "dataa"),
    ):
        with pytest.raises(Refused, match=f"the cluster knows no field .*{field}") as caught:
            getattr(cluster, how)(obj)
        assert caught.value.reason == "UnknownField"
    assert cluster.find(*SERVICE, "a") is None


def test_a_field_with_a_wrong_value_is_refused_by_name(cluster: Cluster) -> None:
    with pytest.raises(Refused, match=r"spec\.accessModes") as caught:
        cluster.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}, "spec": {}})
    assert caught.value.reason == "Invalid"


def test_unknown_fields_of_a_stored_object_survive_a_patch(cluster: Cluster) -> None:
    cluster.create(service("a", minReplicas=0))
    cluster.patch(*SERVICE, "a", "", {"metadata": {"annotations": {"k": "v"}}})
    stored = cluster.get(*SERVICE, "a")
    assert stored["spec"]["predictor"]["minReplicas"] == 0
    assert stored["metadata"]["annotations"]["k"] == "v"


def test_what_is_not_there_is_told_apart(cluster: Cluster) -> None:
    with pytest.raises(NotFound, match=r"ConfigMap pvst-.*/none does not exist"):
        cluster.get(*MAP, "none")
    with pytest.raises(NotFound) as caught:
        cluster.create({**config_map("a"), "metadata": {"name": "a", "namespace": "pvst-no-such-namespace"}})
    assert caught.value.reason == "NamespaceNotFound"
    assert "kubectl create namespace" in caught.value.remedy[0]
    with pytest.raises(NotFound) as caught:
        cluster.get("nobody.example/v1", "Nothing", "a")
    assert caught.value.reason == "KindNotServed"
    assert isinstance(cluster.find("nobody.example/v1", "Nothing", "a"), Unknown)
    assert cluster.serves("nobody.example/v1") is False
    assert cluster.serves("serving.kserve.io/v1beta1") is True


def test_a_kind_that_is_not_in_the_table_is_found_by_discovery(cluster: Cluster) -> None:
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"}}
    cluster.create({**budget, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}})
    assert cluster.get("policy/v1", "PodDisruptionBudget", "a")["kind"] == "PodDisruptionBudget"


def test_lists_are_whole_over_many_pages_and_carry_their_kind(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pvserve.cluster.request.PAGE", 3)
    for number in range(7):
        labels = {"parity": "even" if number % 2 == 0 else "odd"}
        cluster.create({**config_map(f"m{number}"), "metadata": {"name": f"m{number}", "labels": labels}})
    found = [item for item in cluster.list(*MAP, cluster.namespace) if item["metadata"]["name"] != "kube-root-ca.crt"]
    assert sorted(item["metadata"]["name"] for item in found) == [f"m{number}" for number in range(7)]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
    assert len(cluster.list(*MAP, cluster.namespace, label_selector="parity=even")) == 4
    assert len(cluster.list(*MAP, cluster.namespace, field_selector="metadata.name=m1")) == 1


def test_the_content_of_a_secret_stays_on_the_server(cluster: Cluster) -> None:
    metadata = {"name": "s", "annotations": {"opendatahub.io/connection-type": "s3"}}
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"KEY": "canary"}})
    found = cluster.find_metadata("v1", "Secret", "s")
    assert isinstance(found, dict)
    assert found["metadata"]["annotations"]["opendatahub.io/connection-type"] == "s3"
    assert "data" not in found


def test_raw_answers_whatever_the_status(cluster: Cluster) -> None:
    assert cluster.raw("GET", "/readyz").body == b"ok"
    missing = cluster.raw("GET", f"/api/v1/namespaces/{cluster.namespace}/pods/none")
    assert (missing.status, missing.json()["reason"]) == (404, "NotFound")


def test_version_and_rights_of_the_tests_own_user(cluster: Cluster) -> None:
    assert cluster.version().startswith("v1.")
    assert cluster.can(Right("create", "", "pods/exec", cluster.namespace)) is True
