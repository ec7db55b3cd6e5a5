"""Several pods fetch one model to a claim that many nodes can mount: each its share, the last one publishes.

Needs a StorageClass whose volumes many nodes mount; the test looks for one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import annotations_of, name
from tests.unit.transfer.fetch.shop import KEY, SECRET

from .offers import make_namespace, until
from .shop import PORT, contents, host_of, open_shop, secret, trust
from .test_fetch import JOB, digest_of, jobs
from .ui_service import leaving_nothing, own_pods, pvserve

pytestmark = pytest.mark.cluster
S3 = ("--connection", "models-s3")
WHICH = "batch.kubernetes.io/job-completion-index"


@pytest.fixture(scope="module")
def shop(any_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with make_namespace(any_cluster, {"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        cluster = Cluster.connect(namespace=namespace)
        trust(cluster, open_shop(cluster, tmp_path_factory.mktemp("authority")))
        endpoint = f"https://{host_of(cluster)}:{PORT}/s3"
        secret(cluster, "models-s3", AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_S3_ENDPOINT=endpoint)
        with leaving_nothing(cluster):
            yield cluster


def load(shop: Cluster, source: str, target: str, storage_class: str, *more: str) -> list[str]:
    new = ("--storage-class", storage_class, "--access-mode", "ReadWriteMany", "--retain", "no")
    return ["load", source, target, *S3, *new, *more, "-n", shop.namespace, "-y"]


def test_two_pods_fetch_one_model_and_it_is_proven(shop: Cluster, shared_class: str) -> None:
    target = "pvc://shared/granite"
    ran = pvserve(*load(shop, "s3://bucket/granite", target, shared_class, "--shards", "2"))
    assert ran.code == 0, ran.explained()
    assert ran.lines[-1]["manifest"] == digest_of(contents())
    proof = pvserve("verify", target, "-n", shop.namespace)
    assert proof.code == 0, proof.explained()
    assert jobs(shop) == []
    until("no pod of ours is left", lambda: not own_pods(shop))


def test_a_share_that_is_killed_goes_on_alone(shop: Cluster, shared_class: str) -> None:
    target = "pvc://killed/slow"
    left = pvserve(*load(shop, "s3://bucket/slow", target, shared_class, "--shards", "2", "--detach"))
    assert left.code == 0, left.explained()
    job = left.lines[-1]["job"]

    def running() -> list[str]:
        pods = shop.list("v1", "Pod", shop.namespace, label_selector=f"job-name={job}")
        return [name(pod) for pod in pods if pod["status"].get("phase") == "Running" and annotations_of(pod).get(WHICH)]

    pod = until("a share at work", running, seconds=120)[0]
    shop.delete("v1", "Pod", pod, shop.namespace, grace_seconds=1)
    followed = pvserve("status", target, "--follow", "-n", shop.namespace)
    assert followed.code == 0, followed.explained()
    assert followed.lines[-1]["manifest"] == digest_of(contents())
    proof = pvserve("verify", target, "-n", shop.namespace)
    assert proof.code == 0, proof.explained()


def test_a_claim_of_one_node_is_refused(shop: Cluster) -> None:
    argv = ["load", "s3://bucket/granite", "pvc://alone/granite", *S3, "--access-mode", "ReadWriteOnce"]
    ran = pvserve(*argv, "--shards", "2", "-n", shop.namespace, "-y", "--retain", "no")
    assert (ran.code, ran.error["reason"]) == (3, "ShardsNeedSharedClaim"), ran.explained()
    assert [item for item in shop.list(*JOB, shop.namespace) if name(item).startswith("pvserve")] == []
