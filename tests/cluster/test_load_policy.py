"""The loader pod's NetworkPolicy on a real API server: it is there while the pod is, goes with it, and may be lacking.

That it is enforced is the network plugin's work, and not tested: the bed's plugin enforces none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvserve.api import models
from pvserve.cluster import Cluster, own_pod
from pvserve.events import Event, Transfer
from pvserve.facts import Object
from pvserve.plan.rights import required
from pvserve.spec.model import ModelSpec

from .accounts import Account
from .offers import image, until
from .struck import Struck, claim, loader
from .ui_service import leaving_nothing, make, own_pods, pvserve

pytestmark = pytest.mark.cluster
POLICY = ("networking.k8s.io/v1", "NetworkPolicy")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "granite"
    directory.mkdir()
    (directory / "weights.bin").write_bytes(b"w" * 60_000_000)
    return directory


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    claim(cluster, "models", "256Mi")
    with leaving_nothing(cluster):
        yield


def load(cluster: Cluster, source: Path, *more: str) -> list[str]:
    return ["load", str(source), "pvc://models/granite", "-n", cluster.namespace, "-y", *more]


def policy(cluster: Cluster) -> Object:
    [found] = cluster.list(*POLICY, cluster.namespace)
    return found


@pytest.mark.parametrize(
    ("via", "shut_out"),
    [("exec", ["Ingress", "Egress"]), ("port-forward", ["Ingress", "Egress"]), ("auto", ["Egress"])],
)
def test_it_is_there_while_the_pod_is(via: str, shut_out: list[str], cluster: Cluster, source: Path) -> None:
    struck = Struck(*load(cluster, source, *([] if via == "auto" else ["--via", via])), share=0.1)
    struck.stopped()
    made, pod = policy(cluster), loader(cluster)
    struck.go_on()
    done = struck.ended()
    assert done.code == 0, done.explained()
    assert made["spec"]["policyTypes"] == shut_out
    assert not made["spec"].get("ingress")
    assert not made["spec"].get("egress")
    selector = made["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= pod["metadata"]["labels"].items()
    assert [owner["uid"] for owner in made["metadata"]["ownerReferences"]] == [pod["metadata"]["uid"]]
    until("the policy is gone with its pod", lambda: not cluster.list(*POLICY, cluster.namespace))


def test_without_the_right_the_load_goes_on_and_says_so(cluster: Cluster, source: Path, tmp_path: Path) -> None:
    account = Account(cluster, cluster.namespace, required(("load",), cluster.namespace))
    try:
        where = ["--kubeconfig", str(account.kubeconfig(tmp_path)), "--image", image("llama")]
        done = pvserve(*load(cluster, source, *where))
    finally:
        account.forget()
    assert done.code == 0, done.explained()
    [said] = [line["text"] for line in done.lines if line["type"] == "note" and "NetworkPolicy" in line["text"]]
    assert "may not create networkpolicies" in said
    assert own_pods(cluster) == []


@pytest.fixture
def notebook(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Object:
    """A pod of the cluster for which this process takes itself, by what every process in a pod finds there."""
    security: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "sh", "image": image("busybox"), "command": ["sleep", "600"], "securityContext": security}
    spec = {
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    labels = {"notebook-name": "nb", "app": "nb"}
    make(cluster, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nb-0", "labels": labels}, "spec": spec})
    until("the pod has an address", lambda: cluster.get("v1", "Pod", "nb-0", cluster.namespace)["status"].get("podIP"))
    pod = cluster.get("v1", "Pod", "nb-0", cluster.namespace)
    (tmp_path / "namespace").write_text(cluster.namespace)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "a pod has it")
    monkeypatch.setattr(own_pod, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(own_pod.socket, "gethostname", lambda: "nb-0")
    monkeypatch.setattr(own_pod, "_mounts", lambda: own_pod.Mounts(pod["metadata"]["uid"], ()))
    return pod


def test_from_a_pod_that_pod_is_admitted(cluster: Cluster, notebook: Object, source: Path) -> None:
    seen: list[Object] = []

    def look(event: Event) -> None:
        if isinstance(event, Transfer) and not seen:
            seen.append(policy(cluster))

    spec = {"name": "m", "model": str(source), "claim": "models", "path": "granite"}
    models.load(ModelSpec.model_validate(spec), cluster, listen=look)
    [peer] = seen[0]["spec"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"] == {"notebook-name": "nb", "app": "nb"}
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": cluster.namespace}
