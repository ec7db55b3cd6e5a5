"""What cannot work is refused before anything changes: one sentence, a stable reason, a remedy, a documented code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import labels, name

from .offers import class_by_mode, image, make_namespace, until
from .ui_service import Ran, make, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]

KINDS = (
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "ConfigMap"),
    ("coordination.k8s.io/v1", "Lease"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
)


@pytest.fixture(scope="module")
def place(module_cluster: Cluster) -> Cluster:
    """A namespace with a service of the dashboard; its own pods are of no interest here."""
    stopped = {"serving.kserve.io/stop": "true"}
    gone = service({"storage": {"key": "x", "path": "x"}}, "runtime-gone", **stopped)
    gone["spec"]["predictor"]["model"]["runtime"] = "gone"
    alone = {**stopped, "serving.kserve.io/autoscalerClass": "none"}
    many = service({"storageUri": "pvc://elsewhere/x"}, "many-nodes", **alone)
    many["spec"]["predictor"]["workerSpec"] = {}
    many["spec"]["predictor"]["model"]["runtime"] = "many-nodes"
    knative = service({"storage": {"key": "x", "path": "x"}}, "knative", **stopped)
    knative["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] = "Serverless"
    make(
        module_cluster,
        knative,
        runtime(),
        _on_two_nodes(runtime()),
        many,
        service({"storage": {"key": "x", "path": "x"}}, **stopped),
        gone,
        _claim("small", "1Gi"),
    )
    return module_cluster


def _on_two_nodes(made: dict[str, Any]) -> dict[str, Any]:
    """The runtime with a head and a worker, as in recording worker-multinode."""
    made["metadata"]["name"] = "many-nodes"
    worker = {"name": "worker-container", "image": image("busybox"), "command": ["/bin/sleep", "600"]}
    made["spec"]["workerSpec"] = {"pipelineParallelSize": 2, "tensorParallelSize": 1, "containers": [worker]}
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two gigabytes that take no room."""
    directory = tmp_path_factory.mktemp("models") / "granite"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    with (directory / "weights.dat").open("wb") as file:
        file.truncate(2 << 30)
    return directory


@pytest.fixture(autouse=True)
def _nothing_is_half_made(place: Cluster) -> Iterator[None]:
    before = _objects(place)
    yield
    assert _objects(place) == before


def _objects(cluster: Cluster) -> set[tuple[str, str]]:
    return {(kind, name(obj)) for api, kind in KINDS for obj in cluster.list(api, kind, cluster.namespace)}


def _claim(claim_name: str, size: str, **more: Any) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **more}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim_name}, "spec": spec}


def deploy(place: Cluster, model: Path, **flags: str) -> Ran:
    """The usual command with some of its flags otherwise."""
    given = {"from": "granite", "name": "granite-pvc", "claim": "models", "namespace": place.namespace} | flags
    return pvserve("deploy", model, "-y", *(part for key, value in given.items() for part in (f"--{key}", value)))


def refused(ran: Ran, code: int, reason: str, *words: str) -> None:
    """That the command ended so, with one sentence that holds `words`, and a remedy."""
    assert (ran.code, ran.error["reason"]) == (code, reason), ran.explained()
    assert ran.error["exitCode"] == code
    assert ran.error["remedy"], ran.error
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.error["message"], ran.error["message"]


def test_missing_directory(place: Cluster, tmp_path: Path) -> None:
    refused(deploy(place, tmp_path / "nothing"), 2, "NoSuchDirectory", "nothing")


def test_empty_directory(place: Cluster, tmp_path: Path) -> None:
    refused(deploy(place, tmp_path), 3, "EmptyDirectory")


def test_unreadable_file(place: Cluster, tmp_path: Path) -> None:
    """A link to nowhere cannot be read by anybody; root reads all else."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights.dat").symlink_to(tmp_path / "gone")
    refused(deploy(place, tmp_path), 3, "UnloadableFiles", "weights.dat")


def test_link_out_of_the_directory(place: Cluster, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "passwd").symlink_to("/etc/passwd")
    refused(deploy(place, tmp_path / "model"), 3, "UnloadableFiles", "passwd")


def test_fifo(place: Cluster, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(deploy(place, tmp_path), 3, "UnloadableFiles", "pipe")


def test_no_such_service(place: Cluster, model: Path) -> None:
    refused(deploy(place, model, **{"from": "granit"}), 3, "NoSuchService", "granit", place.namespace)


def test_no_such_runtime(place: Cluster, model: Path) -> None:
    refused(deploy(place, model, **{"from": "runtime-gone"}), 3, "NoSuchRuntime", "gone")


def test_workers_on_several_nodes_of_a_claim_of_one_node(place: Cluster, model: Path) -> None:
    ran = deploy(place, model, **{"from": "many-nodes", "access-mode": "ReadWriteOnce"})
    refused(ran, 3, "WorkersOnOneNode", "pipelineParallelSize 2", "claim models")
    assert any("pvserve clone models" in line for line in ran.error["remedy"])


@pytest.fixture
def knative_flag_is_off(place: Cluster) -> Iterator[None]:
    """As Knative ships its flags; only where the cluster has no Knative of its own."""
    wanted, mine = ("v1", "Namespace", "knative-serving"), {"pvserve-test": "knative"}
    there = place.find(*wanted)
    if isinstance(there, dict) and not mine.items() <= labels(there).items():
        pytest.skip("the cluster has Knative, whose flags are not a test's")
    until("that of an earlier run is gone", lambda: place.find(*wanted) is None)
    place.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "knative-serving", "labels": mine}})
    try:
        flags = {"kubernetes.podspec-persistent-volume-claim": "disabled"}
        metadata = {"name": "config-features", "namespace": "knative-serving"}
        place.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": flags})
        yield
    finally:
        place.delete(*wanted)


@pytest.mark.usefixtures("knative_flag_is_off")
def test_knative_mode_without_its_flag_for_claims(place: Cluster, model: Path) -> None:
    ran = deploy(place, model, **{"from": "knative"})
    refused(ran, 3, "KnativeWithoutClaims", "kubernetes.podspec-persistent-volume-claim")
    assert any("config-features" in line for line in ran.error["remedy"])


def test_no_such_namespace(place: Cluster, model: Path) -> None:
    refused(deploy(place, model, namespace="pvst-nowhere"), 3, "NoSuchNamespace", "pvst-nowhere")


def test_no_such_class(place: Cluster, model: Path) -> None:
    refused(deploy(place, model, **{"storage-class": "fast"}), 3, "NoSuchClass", "fast")


def test_claim_too_small_for_the_model(place: Cluster, model: Path) -> None:
    until_bound = {"storageClassName": class_by_mode(place, "Immediate"), "accessModes": ["ReadWriteMany"]}
    with make_namespace(place) as other:
        there = Cluster.connect(namespace=other)
        make(there, _claim("small", "1Gi", **until_bound))
        until(
            "claim small is bound",
            lambda: there.get("v1", "PersistentVolumeClaim", "small")["status"]["phase"] == "Bound",
        )
        ran = pvserve("load", model, "pvc://small/granite", "-n", other, "-y")
        refused(ran, 3, "ClaimTooSmall", "small", str((2 << 30) + 2))


def test_new_claim_of_too_small_a_size(place: Cluster, model: Path) -> None:
    refused(deploy(place, model, size="1Gi"), 3, "ClaimTooSmall", "1Gi")


def test_claim_that_another_pod_holds_alone(place: Cluster, model: Path) -> None:
    with make_namespace(place) as other:
        there = Cluster.connect(namespace=other)
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "notebook"},
            "spec": {
                "containers": [{"name": "sh", "image": image("busybox"), "command": ["sleep", "600"],
                                "volumeMounts": [{"name": "claim", "mountPath": "/claim"}]}],
                "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "alone"}}],
            },
        }  # fmt: skip
        make(there, _claim("alone", "5Gi", accessModes=["ReadWriteOncePod"]), pod)
        until("the notebook runs", lambda: there.get("v1", "Pod", "notebook")["status"]["phase"] == "Running")
        ran = pvserve("load", model, "pvc://alone/granite", "-n", other, "-y")
        refused(ran, 3, "ClaimHeld", "alone", "notebook")


def test_claim_of_another_namespace(place: Cluster) -> None:
    with make_namespace(place) as other:
        make(Cluster.connect(namespace=other), runtime(), service({"storage": {"key": "x", "path": "x"}}))
        ran = pvserve("serve", "new", "--from", "granite", "--claim", "small", "--path", "x", "-n", other, "-y")
        refused(ran, 3, "ClaimElsewhere", "small", place.namespace)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("name", "Granite_PVC"), ("name", "g" * 60), ("claim", "Vllm.Cache"), ("path", "../other"), ("path", "/absolute")],
)
def test_names_and_paths_that_cannot_be(place: Cluster, model: Path, flag: str, value: str) -> None:
    ran = deploy(place, model, **{flag: value})
    assert ran.code == 2, ran.explained()
    assert ran.error["message"]
    assert "Traceback" not in ran.err


def test_model_file_with_a_misspelt_key(place: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text("model: ./x\nname: granite\nclaims: models\n")
    ran = pvserve("deploy", "-f", file, "-n", place.namespace)
    assert ran.code == 2, ran.explained()
    assert f"{file}:3:1" in ran.out
    assert "claim" in ran.error["message"] + str(ran.error["detail"]) + str(ran.error["remedy"])


def test_unreachable_api_server(place: Cluster, model: Path, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}"
    )
    ran = deploy(place, model, kubeconfig=str(kubeconfig))
    assert ran.code == 5, ran.explained()
    assert "127.0.0.1:1" in ran.error["message"]


def test_token_that_nobody_knows(place: Cluster, model: Path, tmp_path: Path) -> None:
    """What an expired token looks like to the API server."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        f" clusters: [{{name: c, cluster: {{server: '{place.server}', insecure-skip-tls-verify: true}}}}],"
        " users: [{name: u, user: {token: expired.token}}]}"
    )
    ran = deploy(place, model, kubeconfig=str(kubeconfig))
    refused(ran, 4, "NotLoggedIn")
    assert "expired.token" not in ran.out + ran.err


def test_without_a_terminal_nothing_is_asked(place: Cluster, model: Path) -> None:
    ran = pvserve("deploy", model, "--from", "granite", "--name", "g", "--claim", "models", "-n", place.namespace)
    refused(ran, 2, "NeedsYes")
