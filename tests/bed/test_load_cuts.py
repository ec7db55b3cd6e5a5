"""A load goes on over a kubelet or an API server that is started again, and over a network that loses everything.

These need the bed's insides, and disturb whatever else runs on it. PVSERVE_TEST_CUT_SECONDS makes the cut longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed import environment, readiness
from bed.build import installed
from bed.settings import settings
from pvserve.cluster import Cluster
from tests.cluster.offers import until
from tests.cluster.struck import Struck, check_not_sent_again, check_whole, claim, model
from tests.cluster.ui_service import own_namespace, own_pods

from .apart import Apart

pytestmark = pytest.mark.bed
CUT_SECONDS = float(os.environ.get("PVSERVE_TEST_CUT_SECONDS", "15"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("models") / "granite")


@pytest.fixture
def cluster(bed_is_up: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The bed, with a namespace and a claim of the test's own."""
    for variable, value in environment.variables(settings()).items():
        monkeypatch.setenv(variable, value)
    with own_namespace(Cluster.connect()) as made:
        claim(made, "models", "1Gi")
        yield made


def load(cluster: Cluster, source: Path, via: str) -> list[str]:
    return ["load", str(source), "pvc://models/granite", "-n", cluster.namespace, "-y", "--via", via]


def component(action: str, name: str) -> None:
    """Starts, stops or restarts a component of the bed, as a person does."""
    done = subprocess.run([sys.executable, "-m", "bed.cli", action, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_done(cluster: Cluster, source: Path, struck: Struck) -> None:
    done = struck.ended(seconds=200)
    assert done.code == 0, done.explained()
    until("no pod of pvserve is left", lambda: not own_pods(cluster))
    check_whole(cluster, "models", "granite", source)
    check_not_sent_again(done, source)


@pytest.mark.parametrize("via", ["port-forward", "exec"])
def test_kubelet_restarted(via: str, cluster: Cluster, source: Path) -> None:
    struck = Struck(*load(cluster, source, via))
    struck.stopped()
    component("restart", "kubelet")
    struck.go_on()
    check_done(cluster, source, struck)


def test_api_server_restarted(cluster: Cluster, source: Path) -> None:
    """It is away while the load goes on, and comes back when the load has noticed.

    By exec too the load goes on, a minute later (114 s in all): it hears of the end only by the silence.
    """
    struck = Struck(*load(cluster, source, "port-forward"))
    struck.stopped()
    component("stop", "kube-apiserver")
    try:
        struck.go_on()
        until("the load waits", lambda: struck.said('"waiting_for": "the loader pod'), seconds=90)
    finally:
        component("start", "kube-apiserver")
    bed = settings()
    until("the API server is ready", lambda: readiness.api_ready(bed, installed(bed)["kubectl"]))
    check_done(cluster, source, struck)


@pytest.mark.parametrize("via", ["pod", "port-forward"])
def test_network_cut(via: str, cluster: Cluster, source: Path) -> None:
    with Apart() as apart:
        struck = Struck(*load(cluster, source, via), before=apart.prefix)
        struck.stopped()
        apart.cut()
        struck.go_on()
        time.sleep(CUT_SECONDS)  # the fault itself
        apart.mend()
        check_done(cluster, source, struck)
