"""A run that ends early leaves nothing half-made, and the same command finishes the work."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster

from .offers import until
from .ui_service import gguf, interrupted, leaving_nothing, make, own_pods, pvserve, runtime, service

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
PADDING = 200_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf(tmp_path_factory.mktemp("models") / "granite-7b-lab", PADDING)


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def command(cluster: Cluster, model: Path) -> list[str]:
    where = ["-n", cluster.namespace, "-y", "--via", "exec"]
    return ["deploy", str(model), "--from", "granite", "--name", "granite-pvc", "--claim", "models", *where]


def test_killed_again_and_again_the_same_command_finishes(cluster: Cluster, model: Path) -> None:
    make(cluster, runtime(), service({"storage": {"key": "granite-s3", "path": "granite"}}))
    for moment in (
        0.7,
        1.6,
        3.0,
        '"phase": "send", "bytes_done"',
        '"step": "runtime"',
        '"step": "ready"',
        '"step": "ready"',
    ):
        cut = interrupted(command(cluster, model), signal.SIGKILL, moment)
        assert cut.code == -signal.SIGKILL, f"it had ended before {moment}: {cut.explained()}"
    done = pvserve(*command(cluster, model))
    assert done.code == 0, done.explained()
    assert set(done.checks.values()) == {"passed"}
    until("no pod of pvserve is left", lambda: not own_pods(cluster))
    assert len(cluster.list("v1", "PersistentVolumeClaim", cluster.namespace)) == 1


def test_ctrl_c_takes_the_loader_pod_away_and_shows_nothing(cluster: Cluster, model: Path) -> None:
    target = ["load", str(model), "pvc://models/granite", "-n", cluster.namespace, "-y", "--via", "exec"]
    cut = interrupted(target, signal.SIGINT, '"phase": "send", "bytes_done"')
    assert cut.code == 130, cut.explained()
    until("no pod of pvserve is left", lambda: not own_pods(cluster), seconds=20)
    seen = pvserve("verify", "pvc://models/granite", "-n", cluster.namespace)
    assert seen.checks["digests"] == "unknown", seen.explained()
    again = pvserve(*target)
    assert again.code == 0, again.explained()
    assert pvserve("verify", "pvc://models/granite", "-n", cluster.namespace).code == 0
