"""Loads beside one another on one claim: the second writer is told of the first, another path is no hindrance, and a
killed load is gone on from through its own pod. All under Pod Security `restricted`, with no warning."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import name

from .offers import make_namespace, until
from .struck import Struck, check_not_sent_again, check_whole, claim, loader, model
from .ui_service import leaving_nothing, own_pods, pvserve

pytestmark = pytest.mark.cluster
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
MADE_BY_SERVER = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "name")


@pytest.fixture
def place(any_cluster: Cluster) -> Iterator[Cluster]:
    with make_namespace(any_cluster, RESTRICTED) as namespace:
        cluster = Cluster.connect(namespace=namespace)
        claim(cluster, "models", "1Gi")
        with leaving_nothing(cluster):
            yield cluster


def warnings(cluster: Cluster, pod: dict[str, object]) -> str:
    """What admission warns of when the pod is made."""
    metadata = {key: value for key, value in pod["metadata"].items() if key not in MADE_BY_SERVER}  # type: ignore[attr-defined]  # JSON
    body = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}).encode()
    path = f"/api/v1/namespaces/{cluster.namespace}/pods?dryRun=All"
    answer = cluster.raw("POST", path, body, {"Content-Type": "application/json"})
    assert answer.status == 201, answer.body
    return answer.headers.get("warning", "")


def test_a_second_writer_another_path_and_the_pod_of_a_killed_client(place: Cluster, tmp_path: Path) -> None:
    source = model(tmp_path / "granite")
    small = tmp_path / "small"
    small.mkdir()
    (small / "weights.bin").write_bytes(b"w" * 3_000_000)
    where = ("-n", place.namespace, "-y")
    struck = Struck("load", source, "pvc://models/granite", *where)
    struck.stopped()
    pod = loader(place)
    assert warnings(place, pod) == ""

    second = pvserve("load", small, "pvc://models/granite", *where)
    assert (second.code, second.error["reason"]) == (3, "WriterActive"), second.explained()
    assert f"pid {struck.process.pid} since 20" in second.error["message"]
    assert re.search(r" since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", second.error["message"])

    beside = pvserve("load", small, "pvc://models/other", *where)
    assert beside.code == 0, beside.explained()

    struck.signal(signal.SIGKILL)
    killed = struck.ended()
    assert killed.code == -signal.SIGKILL
    again = pvserve("load", source, "pvc://models/granite", *where)
    assert again.code == 0, again.explained()
    assert any(f"pod {name(pod)} is starting" in str(line.get("detail")) for line in again.lines), again.explained()
    check_not_sent_again(again, source, struck.durable)
    until("no pod of pvserve is left", lambda: not own_pods(place))
    check_whole(place, "models", "granite", source)
