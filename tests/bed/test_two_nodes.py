"""Two nodes: pods and Services of both, volumes of one or of all, and what pvserve finds before anything is changed.

The bed gets its second node for these tests and gives it back; what the tests themselves need to know of the cluster
they learn from its API.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bed import processes
from bed.environment import variables
from bed.leftovers import mounts_below
from bed.nodes import FIRST, SECOND, nodes_of
from bed.s3 import Bucket
from bed.settings import settings
from pvserve.api import models
from pvserve.cluster import Cluster
from pvserve.facts import Object, labels, name
from pvserve.plan.steps import Load
from pvserve.spec import ModelSpec
from tests.cluster.offers import until
from tests.cluster.shop import secret
from tests.cluster.ui_service import gguf, live_pods, make, own_namespace, own_pods, pvserve, runtime, service

from .kubectl import Kubectl, claim, pod

pytestmark = pytest.mark.bed
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
TAINT = {"key": "pvserve.io/test", "value": "apart", "effect": "NoSchedule"}
TOLERATION = {"key": TAINT["key"], "operator": "Exists"}


def bed_up(nodes: int) -> None:
    command = [sys.executable, "-m", "bed.cli", "up", "--nodes", str(nodes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def pids_of_the_first() -> dict[str, int]:
    return {component: processes.pid(settings(), component) for component in FIRST.components}


@pytest.fixture(scope="module")
def two_nodes(bed_is_up: None) -> Iterator[Cluster]:
    """A cluster with two nodes that take pods; the second goes again, where it was made for these tests."""
    had = len(nodes_of(settings()))
    with pytest.MonkeyPatch.context() as patch:
        for key, value in variables(settings()).items():
            patch.setenv(key, value)
        before = pids_of_the_first()
        bed_up(2)
        assert pids_of_the_first() == before
        connected = Cluster.connect()
        assert len(schedulable(connected)) >= 2
        yield connected
        if had < 2:
            bed_up(1)
            assert pids_of_the_first() == before
            nothing_is_left_of_the_second(connected)


def nothing_is_left_of_the_second(cluster: Cluster) -> None:
    assert [name(node) for node in cluster.list("v1", "Node")] == [FIRST.name]
    assert [pod for pod in cluster.list("v1", "Pod") if pod["spec"].get("nodeName") == SECOND.name] == []
    assert [processes.pid(settings(), component) for component in SECOND.components] == [0, 0]
    directories = SECOND.directories(settings())
    assert mounts_below(list(directories)) == []
    assert [directory for directory in directories if directory.exists()] == []
    assert not Path("/sys/class/net", SECOND.bridge).exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{SECOND.cgroup}")) == []
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert SECOND.pod_subnet not in rules


@pytest.fixture
def cluster(two_nodes: Cluster) -> Iterator[Cluster]:
    with own_namespace(two_nodes) as own:
        yield own


@pytest.fixture
def space(cluster: Cluster) -> Kubectl:
    return Kubectl(cluster.namespace)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf(tmp_path_factory.mktemp("models") / "granite", padding=2_000_000)


def schedulable(cluster: Cluster) -> list[Object]:
    """The nodes that take any pod, by name."""
    found = cluster.list("v1", "Node")
    free = [node for node in found if not node["spec"].get("unschedulable") and not node["spec"].get("taints")]
    return sorted(free, key=name)


def on(node: Object, made: dict[str, Any]) -> dict[str, Any]:
    """The pod, on that node and no other."""
    return {**made, "spec": {**made["spec"], "nodeSelector": {HOST: labels(node)[HOST]}}}


def run_on(space: Kubectl, node: Object, made: dict[str, Any]) -> None:
    space.apply(on(node, made))
    wanted = name(made)
    until(f"pod {wanted} runs", lambda: space.get("pod", wanted)["status"].get("phase") == "Running")


def served(cluster: Cluster, **predictor: Any) -> dict[str, Any]:
    """A stopped service of the dashboard whose predictor says more."""
    made = service({"storage": {"key": "x", "path": "x"}}, **{"serving.kserve.io/stop": "true"})
    made["spec"]["predictor"] |= predictor
    return made


def state(cluster: Cluster) -> set[tuple[str, str, str]]:
    kinds = (
        *(("v1", kind) for kind in ("PersistentVolumeClaim", "Pod", "ConfigMap")),
        ("coordination.k8s.io/v1", "Lease"),
        ("serving.kserve.io/v1beta1", "InferenceService"),
        ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    )
    found = [(kind, item) for api, kind in kinds for item in cluster.list(api, kind, cluster.namespace)]
    late = "kube-root-ca.crt"  # which a controller puts into every namespace, some time
    return {(kind, name(item), str(item["metadata"].get("generation"))) for kind, item in found if name(item) != late}


def deploy(cluster: Cluster, model: Path, *more: str, code: int = 0) -> dict[str, Any]:
    what = ["--from", "granite", "--name", "granite-pvc", "--claim", "cache", "--retain", "no", *more]
    ran = pvserve("deploy", model, *what, "-n", cluster.namespace, "-y")
    assert ran.code == code, ran.explained()
    return ran.error if code else {}


def test_pods_of_both_nodes_reach_each_other_by_address_and_by_service(cluster: Cluster, space: Kubectl) -> None:
    first, second = schedulable(cluster)[:2]
    for number, (here, there) in enumerate(((first, second), (second, first))):
        server, client = f"server{number}", f"client{number}"
        spec = {"selector": {"app": server}, "ports": [{"port": 80, "targetPort": 8080}]}
        space.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": server}, "spec": spec})
        run_on(space, here, pod(server, {}))
        run_on(space, there, pod(client, {}))
        space("exec", server, "--", "sh", "-c", "mkdir /tmp/w; echo hi > /tmp/w/x; httpd -p 8080 -h /tmp/w")
        address = space.get("pod", server)["status"]["podIP"]
        for place in (f"{address}:8080", server):
            get = ("exec", client, "--", "wget", "-qO-", f"http://{place}/x")
            until(f"{place} answers", lambda get=get: "hi" in space(*get, check=False))
        assert space("logs", server) == "started\n"


def test_a_shared_volume_is_of_all_nodes_and_a_block_volume_of_the_one_of_its_first_pod(
    cluster: Cluster, space: Kubectl
) -> None:
    first, second = schedulable(cluster)[:2]
    space.apply(claim("shared", "64Mi", "nfs-rwx", "ReadWriteMany"), claim("block", "64Mi"))
    run_on(space, second, pod("writer", {"shared": "shared", "block": "block"}))
    run_on(space, first, pod("reader", {"shared": "shared"}))
    space("exec", "writer", "--", "sh", "-c", "echo hello > /shared/x; echo there > /block/x")
    assert space("exec", "reader", "--", "cat", "/shared/x") == "hello\n"
    space.apply(on(first, pod("elsewhere", {"block": "block"})))
    told = ("get", "events", "--field-selector", "involvedObject.name=elsewhere")
    until("the scheduler says why", lambda: "node affinity" in space(*told))


def test_a_killed_node_comes_back_with_its_pods(cluster: Cluster, space: Kubectl) -> None:
    second = next(node for node in schedulable(cluster) if name(node) == SECOND.name)
    space.apply(claim("block", "64Mi"))
    run_on(space, second, pod("keeper", {"block": "block"}))
    space("exec", "keeper", "--", "sh", "-c", "echo kept > /block/x")
    for component in SECOND.components:
        os.kill(processes.pid(settings(), component), 9)
    bed_up(2)
    until("it answers", lambda: space("exec", "keeper", "--", "cat", "/block/x", check=False) == "kept\n")


def test_a_claim_held_on_a_node_where_the_service_cannot_run_is_found_before_anything_changes(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    first, second = schedulable(cluster)[:2]
    # ReadWriteOnce of a class whose volumes every node can reach, as a network block device has it.
    space.apply(claim("cache", "64Mi", "nfs-rwx"))
    run_on(space, first, pod("notebook", {"cache": "cache"}))
    make(cluster, runtime(), served(cluster, nodeSelector={ZONE: labels(second)[ZONE]}))
    before = state(cluster)
    error = deploy(cluster, model, code=3)
    assert error["reason"] == "ClaimHeld"
    assert f"held by pod notebook on node {name(first)}" in error["message"]
    assert state(cluster) == before
    space("delete", "pod", "notebook", "--force")
    deploy(cluster, model)
    assert {pod["spec"]["nodeName"] for pod in live_pods(cluster, "granite-pvc")} == {name(second)}


def test_a_volume_of_another_zone_than_the_services_is_found_before_anything_changes(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    first, second = schedulable(cluster)[:2]
    space.apply(claim("cache", "64Mi"))
    run_on(space, first, pod("user", {"cache": "cache"}))
    space("delete", "pod", "user", "--force")
    make(cluster, runtime(), served(cluster, nodeSelector={ZONE: labels(second)[ZONE]}))
    before = state(cluster)
    error = deploy(cluster, model, code=3)
    assert error["reason"] == "VolumeElsewhere"
    assert f"{HOST}={labels(first)[HOST]}" in error["message"]
    assert f"{ZONE}={labels(second)[ZONE]}" in error["message"]
    assert state(cluster) == before


def test_a_class_of_another_zone_than_the_services_is_found_before_anything_changes(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    first, second = schedulable(cluster)[:2]
    here, there = labels(first)[ZONE], labels(second)[ZONE]
    zonal = space.get("storageclass", "gp3-csi")
    made = {key: zonal[key] for key in ("apiVersion", "kind", "provisioner", "reclaimPolicy", "volumeBindingMode")}
    made |= {"metadata": {"name": f"{cluster.namespace}-zonal"}}
    made |= {"allowedTopologies": [{"matchLabelExpressions": [{"key": ZONE, "values": [here]}]}]}
    make(cluster, runtime(), served(cluster, nodeSelector={ZONE: there}))
    try:
        space.apply(made)
        before = state(cluster)
        error = deploy(cluster, model, "--storage-class", name(made), code=3)
        assert error["reason"] == "VolumeElsewhere"
        assert state(cluster) == before
    finally:
        space("delete", "storageclass", name(made))


def test_the_loader_runs_where_the_service_can_so_that_the_volume_is_made_there(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    second = schedulable(cluster)[1]
    make(cluster, runtime(), served(cluster, nodeSelector={ZONE: labels(second)[ZONE]}, tolerations=[TOLERATION]))
    cluster.patch("v1", "Node", name(second), "", {"spec": {"taints": [TAINT]}})
    try:
        deploy(cluster, model)
    finally:
        cluster.patch("v1", "Node", name(second), "", {"spec": {"taints": None}})
    made = cluster.get("v1", "PersistentVolumeClaim", "cache", cluster.namespace)
    assert made["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == name(second)
    assert {pod["spec"]["nodeName"] for pod in live_pods(cluster, "granite-pvc")} == {name(second)}


def test_loads_to_two_paths_of_a_claim_of_one_node_share_that_node(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    space.apply(claim("cache", "64Mi", "nfs-rwx"))
    until("it is bound", lambda: space.get("pvc", "cache")["status"].get("phase") == "Bound")
    for node in schedulable(cluster)[:2]:
        for path, selector in (("one", {HOST: labels(node)[HOST]}), ("two", {})):
            planned = loader_of(cluster, model, path)
            planned["metadata"] = {**planned["metadata"], "name": path}
            planned["spec"] = {**planned["spec"], "nodeSelector": selector}
            planned["metadata"].pop("generateName")
            cluster.create(planned)
            until(f"{path} has a node", lambda path=path: space.get("pod", path)["spec"].get("nodeName"))
        assert {space.get("pod", path)["spec"]["nodeName"] for path in ("one", "two")} == {name(node)}
        space("delete", "pod", "one", "two", "--grace-period=0", "--force")
        until("they are gone", lambda: not cluster.list("v1", "Pod", cluster.namespace))
    assert own_pods(cluster) == []


def loader_of(cluster: Cluster, model: Path, path: str) -> dict[str, Any]:
    """The loader pod of a plan that loads to `path`."""
    spec = ModelSpec.model_validate(
        {"model": str(model), "name": path, "claim": "cache", "path": path, "loader": {"image": "bed.local/busybox:1"}}
    )
    planned = models.plan(spec, cluster, goals=frozenset({"load"}))
    [load] = [step for step in planned.plan.steps if isinstance(step, Load)]
    return dict(load.pod)


def served_twice(cluster: Cluster) -> dict[str, Any]:
    """A stopped service of two replicas that are not on one node."""
    apart = {
        "labelSelector": {"matchLabels": {"serving.kserve.io/inferenceservice": "granite-pvc"}},
        "topologyKey": HOST,
    }
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    return served(cluster, minReplicas=2, maxReplicas=2, affinity=affinity)


def each_node_serves(cluster: Cluster) -> None:
    """The service is Ready with its first pod; the autoscaler brings their number to minReplicas."""
    both = {name(node) for node in schedulable(cluster)[:2]}

    def ready() -> set[str]:
        found = live_pods(cluster, "granite-pvc")
        return {
            item["spec"]["nodeName"]
            for item in found
            if any(
                said["type"] == "Ready" and said["status"] == "True" for said in item["status"].get("conditions") or ()
            )
        }

    until("each node has a pod that is ready", lambda: ready() == both, seconds=120)
    verified = pvserve("verify", "granite-pvc", "-n", cluster.namespace)
    assert verified.code == 0, verified.explained()


def test_a_shared_claim_is_served_from_both_nodes(cluster: Cluster, space: Kubectl, model: Path) -> None:
    make(cluster, runtime(), served_twice(cluster))
    deploy(cluster, model, "--storage-class", "nfs-rwx")
    each_node_serves(cluster)


def test_a_claim_of_one_node_becomes_a_read_only_one_that_is_served_in_both_zones(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    make(cluster, runtime(), served_twice(cluster))
    what = ("serve", "granite-pvc", "--from", "granite", "--path", "granite", "-n", cluster.namespace, "-y")
    for words in (
        ("load", model, "pvc://a/granite", "--retain", "no"),
        ("clone", "a", "many", "--access-mode", "ROX", "--storage-class", "pd-rox"),
    ):
        ran = pvserve(*words, "-n", cluster.namespace, "-y")
        assert ran.code == 0, ran.explained()
    assert "up to 2 replicas share claim a, which one node at a time" in pvserve(*what, "--claim", "a", "--dry-run").out
    ran = pvserve(*what, "--claim", "many")
    assert ran.code == 0, ran.explained()
    each_node_serves(cluster)
    assert pvserve("load", model, "pvc://many/other", "-n", cluster.namespace, "-y").error["reason"] == "ClaimReadOnly"


@pytest.fixture
def bucket(model: Path) -> Iterator[Bucket]:
    """A bucket of the bed's own that holds the model."""
    known = {key: os.environ[f"PVSERVE_TEST_S3_{key}"] for key in ("LOCAL_ENDPOINT", "ACCESS_KEY", "SECRET_KEY")}
    endpoint = known["LOCAL_ENDPOINT"].removeprefix("http://")
    made = Bucket(endpoint, known["ACCESS_KEY"], known["SECRET_KEY"], f"two-nodes-{uuid.uuid4().hex[:8]}")
    made.make()
    keys = made.upload(model, "granite")
    yield made
    made.remove(keys)


def test_two_shards_are_fetched_on_two_nodes(cluster: Cluster, space: Kubectl, bucket: Bucket) -> None:
    keys = {"AWS_ACCESS_KEY_ID": bucket.access, "AWS_SECRET_ACCESS_KEY": bucket.secret}
    secret(cluster, "models-s3", **keys, AWS_S3_ENDPOINT=os.environ["PVSERVE_TEST_S3_ENDPOINT"])
    new = ("--storage-class", "nfs-rwx", "--access-mode", "ReadWriteMany", "--retain", "no")
    target, source = "pvc://shared/granite", f"s3://{bucket.name}/granite"
    ran = pvserve(
        "load", source, target, "--connection", "models-s3", *new, "--shards", "2", "-n", cluster.namespace, "-y"
    )
    assert ran.code == 0, ran.explained()

    def places() -> set[str]:
        """Nodes of the Job's pods, which are gone: they are named JOB-INDEX-WORD."""
        said = [event for event in cluster.list("v1", "Event", cluster.namespace) if event["reason"] == "Scheduled"]
        shares = [event for event in said if re.search(r"-[01]-\w{5}$", event["involvedObject"]["name"])]
        return {event["message"].split()[-1] for event in shares}

    both = {name(node) for node in schedulable(cluster)[:2]}
    until("each node had a share", lambda: places() == both)
    proof = pvserve("verify", target, "-n", cluster.namespace)
    assert proof.code == 0, proof.explained()


def test_a_snapshot_becomes_a_volume_that_is_served_in_another_zone(
    cluster: Cluster, space: Kubectl, model: Path
) -> None:
    first, second = schedulable(cluster)[:2]
    space.apply(claim("a", "64Mi"))
    run_on(space, first, pod("user", {"a": "a"}, uid=1000))  # the loader's own: the first pod's fsGroup stays
    for words in (
        ("load", model, "pvc://a/granite", "--retain", "no"),
        ("clone", "a", "many", "--access-mode", "ROX", "--snapshot"),
    ):
        ran = pvserve(*words, "-n", cluster.namespace, "-y")
        assert ran.code == 0, ran.explained()
    make(cluster, runtime(), served(cluster, nodeSelector={ZONE: labels(second)[ZONE]}))
    what = ("serve", "granite-pvc", "--from", "granite", "--claim", "many", "--path", "granite")
    ran = pvserve(*what, "-n", cluster.namespace, "-y")
    assert ran.code == 0, ran.explained()
    assert {item["spec"]["nodeName"] for item in live_pods(cluster, "granite-pvc")} == {name(second)}
