"""The Role of docs/rights.md is enough for the main job, and each of its verbs is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Right, name
from pvserve.plan.rights import required

from .accounts import Account
from .ui_service import Ran, gguf, leaving_nothing, make, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]

USES = ("load", "serve", "prove")
STATISTICS = Right("get", "", "nodes/proxy")  # for a model server without shell tools, as this one
EACH = [Right(*right[:3], "") for right in required(USES, "any")]  # without the namespace, which tests choose
KINDS = (
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("coordination.k8s.io/v1", "Lease"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf(tmp_path_factory.mktemp("models") / "granite-7b-lab")


def deploy(kubeconfig: Path, model: Path) -> Ran:
    what = ["--from", "granite", "--name", "granite-pvc", "--claim", "vllm-model-cache", "--retain", "no"]
    return pvserve("deploy", model, *what, "-y", "--kubeconfig", kubeconfig)


def test_the_documented_role_is_enough_for_the_main_job(cluster: Cluster, model: Path, tmp_path: Path) -> None:
    make(cluster, runtime(), service({"storage": {"key": "x", "path": "x"}}))
    with leaving_nothing(cluster):
        account = Account(cluster, cluster.namespace, [*required(USES, cluster.namespace), STATISTICS])
        done = deploy(account.kubeconfig(tmp_path), model)
        account.forget()
        assert done.code == 0, done.explained()
        assert set(done.checks.values()) == {"passed"}


@pytest.fixture(scope="module")
def place(module_cluster: Cluster) -> Cluster:
    make(
        module_cluster, runtime(), service({"storage": {"key": "x", "path": "x"}}, **{"serving.kserve.io/stop": "true"})
    )
    return module_cluster


def objects(cluster: Cluster) -> set[tuple[str, str]]:
    return {(kind, name(obj)) for api, kind in KINDS for obj in cluster.list(api, kind, cluster.namespace)}


@pytest.mark.parametrize("missing", EACH, ids=lambda right: f"{right.verb}-{right.resource}")
def test_without_one_of_its_verbs_nothing_is_made(place: Cluster, model: Path, tmp_path: Path, missing: Right) -> None:
    lacking = Right(*missing[:3], place.namespace)
    rights = [right for right in required(USES, place.namespace) if right != lacking]
    account = Account(place, place.namespace, rights)
    before = objects(place)
    ran = deploy(account.kubeconfig(tmp_path), model)
    assert ran.code == 4, ran.explained()
    assert str(lacking) in ran.error["message"]
    role = "\n".join(ran.error["remedy"])
    assert lacking.verb in role
    assert lacking.resource in role
    assert objects(place) == before
