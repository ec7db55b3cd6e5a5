"""KServe's own import onto a claim: the object that is rendered, and the directory that an import leaves.

The API server takes or refuses the object by the definition that the cluster has. Where no controller imports, its
Job is made here as kserve's sharedpvc.go (9dc0cc4) makes it, with KServe's own initializer, and its status is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pvserve.cluster import Cluster
from pvserve.cluster.model_caches import read_model_caches
from pvserve.errors import Refused
from pvserve.facts import annotations_of
from pvserve.plan.model_cache import API, KIND, import_path

from .offers import image, lacking, make_namespace, until
from .shop import PORT, contents, host_of, open_shop, trust
from .test_fetch import digest_of
from .ui_service import leaving_nothing, make, pvserve, runtime

pytestmark = pytest.mark.cluster
ONE = "model-00002.safetensors"
IMPORTED = "models"  # the claim


@pytest.fixture(scope="module")
def shop(any_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A namespace with the shop, on a cluster whose KServe imports onto claims."""
    if read_model_caches(any_cluster, any_cluster.namespace).into_claims is not True:
        lacking(f"the cluster's {KIND} has no spec.pvcRef")
    with make_namespace(any_cluster, {"pod-security.kubernetes.io/enforce": "restricted"}) as namespace:
        cluster = Cluster.connect(namespace=namespace)
        trust(cluster, open_shop(cluster, tmp_path_factory.mktemp("authority")))
        make(cluster, runtime())
        with leaving_nothing(cluster):
            yield cluster


def source(shop: Cluster) -> str:
    return f"https://{host_of(shop)}:{PORT}/granite/{ONE}"


def rendering(shop: Cluster, *more: str) -> list[str]:
    served = ("--name", "granite", "--runtime", "llama-server", "--format", "gguf", "--claim", IMPORTED)
    return ["render", source(shop), *served, "--retain", "no", "--to", "kserve-cache", "-n", shop.namespace, *more]


def importing(shop: Cluster, path: str) -> dict[str, Any]:
    """The Job of KServe's controller, with what this namespace asks of every pod, and the shop's CA."""
    mounts = [
        {"name": "kserve-pvc-source", "mountPath": "/mnt/models", "subPath": path},
        {"name": "ca", "mountPath": "/ca"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    container = {
        "name": "kserve-localmodel-download",
        "image": image("storage_initializer"),
        "args": [source(shop), "/mnt/models"],
        "env": [{"name": "REQUESTS_CA_BUNDLE", "value": "/ca/odh-ca-bundle.crt"}, {"name": "HOME", "value": "/tmp"}],
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    volumes = [
        {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": IMPORTED}},
        {"name": "ca", "configMap": {"name": "odh-trusted-ca-bundle"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    who = {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": volumes, "securityContext": who}
    spec = {"backoffLimit": 2, "parallelism": 1, "completions": 1, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "granite-import"}, "spec": spec}


def succeeded(shop: Cluster) -> bool:
    job = shop.get("batch/v1", "Job", "granite-import", shop.namespace)
    return bool(job["status"].get("succeeded"))


def tell(shop: Cluster, status: str, reason: str) -> None:
    """What the controller would write into the cache's status."""
    at = "2026-11-25T12:00:00Z"
    ready = {"type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": at}
    body = json.dumps({"status": {"conditions": [ready]}}).encode()
    path = f"/apis/{API}/namespaces/{shop.namespace}/localmodelnamespacecaches/granite/status"
    answer = shop.raw("PATCH", path, body, {"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200, answer.body


def test_what_kserve_is_to_import_is_rendered_taken_imported_and_understood(shop: Cluster, shared_class: str) -> None:
    shared = ("--storage-class", shared_class, "--access-mode", "ReadWriteMany", "--size", "200Mi")
    made = pvserve(*rendering(shop, *shared))
    assert made.code == 0, made.explained()
    files = made.lines[-1]["files"]
    first, then = (
        list(yaml.safe_load_all(files[f"granite/kserve-cache/{file}.yaml"])) for file in ("import", "service")
    )
    claim, cache = first
    path = import_path(source(shop))
    assert cache["spec"] == {"sourceModelUri": source(shop), "modelSize": "3Mi", "pvcRef": IMPORTED}
    assert then[-1]["spec"]["predictor"]["model"]["storageUri"] == f"pvc://{IMPORTED}/{path}"
    for obj in (claim, cache):
        shop.apply(obj)
    _check_refused(shop, cache)
    again = pvserve(*rendering(shop, *shared))
    assert again.code == 0, again.explained()
    assert again.lines[-1]["files"] == files

    tell(shop, "False", "ImportRunning")
    make(shop, importing(shop, path))
    until("KServe's storage initializer is done", lambda: succeeded(shop), seconds=180, every=1)
    tell(shop, "True", "ImportSucceeded")
    _check_listed(shop, path)
    _check_verified(shop, path)
    kept = pvserve("rm", f"pvc://{IMPORTED}/{path}", "-n", shop.namespace, "-y")
    assert (kept.code, kept.error["reason"]) == (3, "ModelInUse"), kept.explained()
    assert f"{KIND} {shop.namespace}/granite" in kept.error["message"]


def _check_refused(shop: Cluster, cache: dict[str, Any]) -> None:
    """The definition's own rules, as the API server holds the rendered object to them."""
    for change, said in (
        ({"nodeGroups": ["gpu"]}, "mutually exclusive"),
        ({"pvcRef": "other"}, "pvcRef is immutable"),
        ({"modelSize": "much"}, "modelSize"),
    ):
        with pytest.raises(Refused, match=said):
            shop.apply({**cache, "spec": {**cache["spec"], **change}}, dry_run=True)


def _check_listed(shop: Cluster, path: str) -> None:
    listed = pvserve("ls", "-n", shop.namespace)
    assert listed.code == 0, listed.explained()
    (row,) = [item for item in listed.lines[-1]["claims"] if item["claim"] == IMPORTED]
    (model,) = row["models"]
    assert (model["path"], model["source"], model["manifest"]) == (path, source(shop), "")
    assert (model["cache"], model["state"]) == ("granite", "ImportSucceeded")


def _check_verified(shop: Cluster, path: str) -> None:
    """What lies there is digested; that it is right is proven only by a load that compares it with the source."""
    proof = pvserve("verify", f"pvc://{IMPORTED}/{path}", "-n", shop.namespace)
    assert (proof.code, proof.checks) == (10, {"digests": "unknown", "readable": "passed"}), proof.explained()
    (digests,) = [check for check in proof.lines[-1]["proof"]["checks"] if check["name"] == "digests"]
    wanted = digest_of({ONE: contents()[ONE]})
    assert f"{KIND} granite (ImportSucceeded) imported it from {source(shop)}" in digests["evidence"]
    assert f"are {wanted} now" in digests["evidence"]
    loaded = pvserve("load", source(shop), f"pvc://{IMPORTED}/proven", "-n", shop.namespace, "-y", "--retain", "no")
    assert loaded.code == 0, loaded.explained()
    assert loaded.lines[-1]["manifest"] == wanted
    claim = shop.get("v1", "PersistentVolumeClaim", IMPORTED, shop.namespace)
    assert "proven" in json.loads(annotations_of(claim)["pvserve.io/models"])


def test_a_claim_of_one_node_is_refused_before_anything_is_written(shop: Cluster) -> None:
    ran = pvserve(*rendering(shop, "--claim", "alone", "--access-mode", "ReadWriteOnce"))
    assert (ran.code, ran.error["reason"]) == (3, "CacheNeedsSharedClaim"), ran.explained()
