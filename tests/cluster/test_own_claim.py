"""A notebook: pvserve runs in a pod, as the pod's own account, and the model lies on the pod's own claim."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pvserve as package
from pvserve.cluster import Cluster
from pvserve.plan.rights import required

from .accounts import Account
from .offers import image, until
from .ui_service import Ran, leaving_nothing, make, pvserve

pytestmark = [pytest.mark.cluster, pytest.mark.classes]
HOME, SITE = "/home/jovyan", "/site"
MODEL = f"{HOME}/models/granite"
ENVIRONMENT = {"PYTHONPATH": SITE, "HOME": SITE, "PVSERVE_CACHE_DIR": f"{SITE}/cache"}


@pytest.fixture(autouse=True)
def _nothing_left(cluster: Cluster) -> Iterator[None]:
    with leaving_nothing(cluster):
        yield


def wheelhouse() -> bytes:
    """pvserve and all that it depends on, as installed here, in one archive."""
    pending, seen, held = ["pvserve"], set(), io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz", compresslevel=1) as archive:
        while pending:
            distribution = metadata.distribution(pending.pop())
            if distribution.name in seen:
                continue
            seen.add(distribution.name)
            for text in distribution.requires or ():
                wanted = Requirement(text)
                if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                    pending.append(wanted.name)
            for file in distribution.files or () if distribution.name != "pvserve" else ():
                if ".." not in file.parts and file.suffix != ".pth" and Path(str(file.locate())).is_file():
                    archive.add(str(file.locate()), str(file))
        archive.add(Path(package.__file__).parent, "pvserve")
    return held.getvalue()


class Notebook:
    """A pod with the claim `workbench` at HOME, of which it sees only a part, and an account that may load."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        rights = required(("load",), cluster.namespace)
        account = Account(cluster, cluster.namespace, [right for right in rights if right.namespace])
        size = {"requests": {"storage": "1Gi"}}
        make(
            cluster,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": "workbench"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": size},
            },
            self._pod(account.name),
        )
        until("the notebook", lambda: self._running, seconds=120)
        self.run("tar", "-xzf", "-", "-C", SITE, stdin=wheelhouse())

    @property
    def _running(self) -> bool:
        found = self.cluster.get("v1", "Pod", "notebook-0", self.cluster.namespace)
        return bool((found.get("status") or {}).get("phase") == "Running")

    @staticmethod
    def _pod(account: str) -> dict[str, object]:
        mounts = [{"name": "home", "mountPath": HOME, "subPath": "users/ann"}, {"name": "site", "mountPath": SITE}]
        notebook = {
            "name": "notebook",
            "image": image("storage_initializer"),
            "command": ["sh", "-c", "sleep 3600 & wait"],
            "env": [{"name": key, "value": value} for key, value in ENVIRONMENT.items()],
            "volumeMounts": mounts,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "notebook-0"},
            "spec": {
                "serviceAccountName": account,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsUser": 2000, "fsGroup": 1000},
                "containers": [notebook],
                "volumes": [
                    {"name": "home", "persistentVolumeClaim": {"claimName": "workbench"}},
                    {"name": "site", "emptyDir": {}},
                ],
            },
        }

    def run(self, *argv: str, stdin: bytes = b"") -> Ran:
        done = self.cluster.run("notebook-0", self.cluster.namespace, "notebook", argv, stdin, timeout=180)
        return Ran(done.returncode or 0, done.out.decode(), done.err.decode())

    def pvserve(self, *args: str) -> Ran:
        """The command in the pod; no kubeconfig is there."""
        return self.run("python3", "-m", "pvserve.cli.main", *args, "-o", "json")


@pytest.fixture
def notebook(cluster: Cluster) -> Notebook:
    made = Notebook(cluster)
    version = made.run("python3", "-c", "import sys; print(list(sys.version_info[:2]))").out
    if json.loads(version) != list(sys.version_info[:2]):
        pytest.skip(f"the image's Python {version.strip()} cannot run this machine's packages")
    write = f"import os; os.makedirs('{MODEL}'); open('{MODEL}/model.data', 'wb').write(os.urandom(20 << 20))"
    assert made.run("python3", "-c", f"{write}; open('{MODEL}/config.json', 'w').write('{{}}')").code == 0
    return made


def channels(ran: Ran) -> set[str]:
    return {line["channel"] for line in ran.lines if line["type"] == "transfer" and line["channel"]}


def notes(ran: Ran) -> str:
    plan = next(line["plan"] for line in ran.lines if line["type"] in ("plan", "result") and "plan" in line)
    return "\n".join(plan["notes"])


def test_a_notebooks_own_directory_is_copied_from_claim_to_claim(notebook: Notebook, cluster: Cluster) -> None:
    copied = notebook.pvserve("load", MODEL, "pvc://vllm/granite", "--size", "1Gi", "-y")
    assert copied.code == 0, copied.explained()
    assert "pvc://workbench/users/ann/models/granite" in notes(copied)
    assert "--no-claim-copy" in notes(copied)
    assert channels(copied) == {"claim"}, copied.explained()
    proof = pvserve("verify", "pvc://vllm/granite", "-n", cluster.namespace)
    assert proof.code == 0, proof.explained()

    within = notebook.pvserve("load", MODEL, "pvc://workbench/served/granite", "-y")
    assert within.code == 0, within.explained()
    assert channels(within) == {"claim"}

    sent = notebook.pvserve("load", MODEL, "pvc://vllm/sent", "--no-claim-copy", "-y")
    assert sent.code == 0, sent.explained()
    assert "pvc://workbench" not in notes(sent)
    assert "claim" not in channels(sent)
    assert {ran.lines[-1]["manifest"] for ran in (copied, within, sent)} == {copied.lines[-1]["manifest"]}

    # Another user than the loader pod's, who keeps the directory for himself: the plan cannot know, the copy does.
    assert notebook.run("sh", "-c", f"cp -r {MODEL} {HOME}/private && chmod -R go= {HOME}/private").code == 0
    private = notebook.pvserve("load", f"{HOME}/private", "pvc://vllm/private", "-y")
    assert private.code == 0, private.explained()
    assert private.lines[-1]["manifest"] == copied.lines[-1]["manifest"]
    assert [line for line in private.lines if "is sent over the network" in line.get("text", "")], private.explained()
    assert channels(private) - {"claim"}

    elsewhere = notebook.pvserve("load", f"{SITE}/click", "pvc://vllm/click", "--image", "any:1", "--dry-run")
    assert elsewhere.code == 0, elsewhere.explained()
    assert "network" not in notes(elsewhere)  # an emptyDir is no claim: nothing to say
