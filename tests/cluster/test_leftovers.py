"""`gc` after a client that was killed in the middle: what it left is found and goes, and nothing else."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pvserve.apply.lease import lease_name
from pvserve.cluster import Cluster
from pvserve.facts import Right, name, namespace
from pvserve.plan.rights import required

from .accounts import RBAC, Account
from .offers import image, make_namespace, until
from .test_removal import run, said_by_shell
from .ui_service import gguf, interrupted, leaving_nothing, make, pvserve, runtime

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
LEASE = ("coordination.k8s.io/v1", "Lease")
POD = ("v1", "Pod")
CLAIM = ("v1", "PersistentVolumeClaim")
LEFT = "pvserve-load-left"


def an_ended_pod() -> dict[str, Any]:
    """As a loader pod that nobody removed."""
    container = {"name": "c", "image": image("busybox"), "command": ["true"]}
    metadata = {"name": LEFT, "labels": {"pvserve.io/loader": "left"}}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def gc(cluster: Cluster, *words: str | os.PathLike[str]) -> dict[str, Any]:
    """The last line of the command, with its plan."""
    lines = {line["type"]: line for line in run(cluster, "gc", *words).lines}
    return {**lines["result"], "plan": (lines.get("plan") or lines["result"])["plan"]}


def titles(answer: dict[str, Any]) -> str:
    return "\n".join(str(step) for step in answer["plan"]["steps"])


def left_behind(cluster: Cluster, directory: Path) -> None:
    """A model with what it replaced, a Lease of a claim that is gone, an ended pod, and a load killed in the middle."""
    make(cluster, runtime())
    size = ("--retain", "no", "--size", "512Mi")
    run(cluster, "load", gguf(directory / "one", padding=2_000_000), "pvc://a/granite", *size)
    run(cluster, "load", gguf(directory / "two", padding=3_000_000), "pvc://a/granite", "--replace")
    run(cluster, "load", directory / "one", "pvc://gone/x", *size)
    cluster.delete(*CLAIM, "gone", cluster.namespace)
    until("the claim is gone", lambda: cluster.find(*CLAIM, "gone", cluster.namespace) is None)
    make(cluster, an_ended_pod())
    until(
        "the pod ended",
        lambda: cluster.get(*POD, LEFT, cluster.namespace)["status"].get("phase") == "Succeeded",
    )
    big = gguf(directory / "big", padding=150_000_000)
    words = ("load", big, "pvc://a/big", "--via", "exec", "-n", cluster.namespace, "-y")
    killed = interrupted(words, signal.SIGKILL, '"phase": "send", "bytes_done"')
    assert killed.code == -signal.SIGKILL, killed.explained()


def test_what_a_killed_client_left_goes_and_the_models_stay(cluster: Cluster, tmp_path: Path) -> None:
    with leaving_nothing(cluster):
        left_behind(cluster, tmp_path)
        young = gc(cluster, "--older-than", "0", "--dry-run")
        assert "writes to it" in " ".join(young["plan"]["unchanged"]), "its Lease was renewed just now"
        before = {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}
        cluster.patch(*LEASE, lease_name("a", "big"), cluster.namespace, before)
        kept = gc(cluster, "--dry-run")
        assert "goes on from it" in " ".join(kept["plan"]["unchanged"]), "younger than a day"
        assert "partial transfer" not in titles(kept)

        shown = gc(cluster, "--older-than", "0", "--dry-run")
        for what in ("transfer to pvc://a/big", "replaced at pvc://a/granite", LEFT, lease_name("gone", "x")):
            assert what in titles(shown), shown
        assert any(item["command"].startswith("pvserve rm pvc://a/granite") for item in shown["plan"]["not_done"])

        account = Account(cluster, cluster.namespace, required(("gc",), cluster.namespace))
        done = gc(cluster, "--older-than", "0", "--kubeconfig", account.kubeconfig(tmp_path))
        account.forget()
        assert done["removed"]["bytes"] > 2_000_000
        assert cluster.find(*POD, LEFT, cluster.namespace) is None
        assert lease_name("gone", "x") in titles(gc(cluster, "--older-than", "0")), "not seen without a look at volumes"
        again = gc(cluster, "--older-than", "0")
        assert again["plan"]["steps"] == [], titles(again)
        leases = {name(lease) for lease in cluster.list(*LEASE, cluster.namespace)}
        assert leases == {lease_name("a", "granite"), lease_name("a", "big")}
        assert run(cluster, "verify", "pvc://a/granite").code == 0

        for pod in cluster.list(*POD, cluster.namespace, label_selector="pvserve.io/loader"):
            cluster.delete(*POD, name(pod), cluster.namespace, grace_seconds=0)
        left = said_by_shell(cluster, "find /claim/.pvserve/partial /claim/.pvserve/replaced -type f")
        assert left.strip() == ""


def a_lease_of_a_claim_that_is_gone() -> dict[str, Any]:
    annotations = {"pvserve.io/place": "pvc://gone/x"}
    metadata = {
        "name": lease_name("gone", "x"),
        "labels": {"app.kubernetes.io/managed-by": "pvserve"},
        "annotations": annotations,
    }
    spec = {"holderIdentity": "", "leaseTransitions": 1}
    return {"apiVersion": LEASE[0], "kind": LEASE[1], "metadata": metadata, "spec": spec}


def may_collect_here_too(there: Cluster, account: Account) -> None:
    """Gives the account what `gc` needs in a second namespace."""
    rights = required(("gc",), there.namespace)
    rules = [{"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]} for right in rights]
    subject = {"kind": "User", "name": account.user, "apiGroup": RBAC}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "collects"}
    api = f"{RBAC}/v1"
    make(
        there,
        {"apiVersion": api, "kind": "Role", "metadata": {"name": "collects"}, "rules": rules},
        {
            "apiVersion": api,
            "kind": "RoleBinding",
            "metadata": {"name": "collects"},
            "subjects": [subject],
            "roleRef": reference,
        },
    )


def test_gc_of_all_namespaces_goes_on_where_one_may_not_be_read(
    cluster: Cluster, any_cluster: Cluster, tmp_path: Path
) -> None:
    """By an account that may look everywhere and remove in two namespaces alone: others are at work on this cluster."""
    everywhere = [
        Right("list", "", "persistentvolumeclaims"),
        Right("list", "coordination.k8s.io", "leases"),
        Right("list", "", "persistentvolumes"),
    ]
    with make_namespace(any_cluster) as second, make_namespace(any_cluster) as closed:
        there, elsewhere = Cluster.connect(namespace=second), Cluster.connect(namespace=closed)
        account = Account(cluster, cluster.namespace, [*required(("gc",), cluster.namespace), *everywhere])
        may_collect_here_too(there, account)
        for place in (cluster, there, elsewhere):
            make(place, a_lease_of_a_claim_that_is_gone())
        ran = pvserve("gc", "-A", "-y", "--kubeconfig", account.kubeconfig(tmp_path))
        account.forget()
        left = {namespace(item) for item in any_cluster.list(*LEASE) if name(item) == lease_name("gone", "x")}
        assert closed in left
        assert not left & {cluster.namespace, second}, ran.explained()
        assert ran.code != 0, "what may not be read is not called clean"
        denied = [line for line in ran.lines if line["type"] == "error" and line["namespace"] == closed]
        assert denied[0]["error"]["exitCode"] == 4, ran.explained()


def test_ls_of_all_namespaces_names_each(cluster: Cluster, any_cluster: Cluster) -> None:
    with make_namespace(any_cluster) as second:
        there = Cluster.connect(namespace=second)
        for place in (cluster, there):
            claim = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "models", "annotations": {"pvserve.io/models": '{"granite": {"bytes": 5}}'}},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
            }
            make(place, claim)
        ran = pvserve("ls", "-A")
        assert ran.code in (0, 10), ran.explained()
        rows = {row["namespace"]: row for row in ran.lines[-1]["claims"] if row["claim"] == "models"}
        for where in (cluster.namespace, second):
            assert rows[where]["models"][0]["path"] == "granite"
        assert second not in pvserve("ls", "-n", cluster.namespace).out
