"""A cluster with KServe, given by KUBECONFIG, and a namespace of its own for each test or module.

Knows nothing of the bed: images come from PVSERVE_TEST_IMAGE_*, classes from the API (see tests/cluster/offers.py).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import name
from pvserve.plan.sizing import shares

from .offers import lacking, make_namespace
from .ui_service import leaving_no_class

ALONE = "classes"  # of the tests with this mark no two run side by side


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `-n 2 --dist loadgroup`: a directory or module with something in common stays on one worker."""
    for item in items:
        home = item.path.parent if item.path.parent != Path(__file__).parent else item.path
        group = ALONE if item.get_closest_marker(ALONE) else home.stem
        item.add_marker(pytest.mark.xdist_group(group))


def _connected() -> Cluster | str:
    """The cluster, or why there is none."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    cluster = Cluster.connect()
    if cluster.serves("serving.kserve.io/v1beta1") is not True:
        return f"{cluster.server} does not serve serving.kserve.io/v1beta1"
    return cluster


@pytest.fixture(scope="session")
def any_cluster() -> Cluster:
    """The cluster with its kubeconfig's own namespace; most tests want `cluster`."""
    found = _connected()
    if isinstance(found, Cluster):
        return found
    lacking(found)


@pytest.fixture(autouse=True)
def _no_class_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a deploy makes for all of the cluster, and another test wants to see made."""
    if request.node.get_closest_marker(ALONE) is None:
        yield
        return
    with leaving_no_class(request.getfixturevalue("any_cluster")):
        yield


@pytest.fixture
def namespace(any_cluster: Cluster) -> Iterator[str]:
    """A fresh namespace for one test, seen by the Open Data Hub dashboard; deleted afterwards."""
    with make_namespace(any_cluster) as made:
        yield made


@pytest.fixture
def cluster(any_cluster: Cluster, namespace: str) -> Cluster:
    """The cluster, with the test's own namespace as the one that is meant."""
    return Cluster.connect(namespace=namespace)


@pytest.fixture(scope="module")
def module_namespace(any_cluster: Cluster) -> Iterator[str]:
    """A fresh namespace for all tests of a module, for scenarios that run side by side."""
    with make_namespace(any_cluster) as made:
        yield made


@pytest.fixture(scope="module")
def module_cluster(module_namespace: str) -> Cluster:
    """The cluster, with the module's own namespace."""
    return Cluster.connect(namespace=module_namespace)


@pytest.fixture(scope="module")
def shared_class(any_cluster: Cluster) -> str:
    """A class whose volumes many nodes mount; skips where there is none."""
    found = [name(item) for item in any_cluster.list("storage.k8s.io/v1", "StorageClass") if shares(item)]
    if not found:
        pytest.skip("no StorageClass here makes volumes that many nodes mount")
    return found[0]


@pytest.fixture(scope="session")
def run_id() -> str:
    """A word that no other test run uses, for names of cluster-wide objects."""
    return uuid.uuid4().hex[:6]
