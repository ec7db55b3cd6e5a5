"""Sources that the cluster reads itself, on a real cluster: a Job fetches, nothing goes through this machine.

Aspects: each source, with a private CA and secrets by reference · again · detached, looked at, cancelled, resumed · the
Job's pod deleted · the client killed · suspended · what is refused, with its cause.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pvserve.cluster import Cluster
from pvserve.facts import Unknown, annotations_of, name
from pvserve.model import Entry, Manifest, manifest_digest
from tests.unit.transfer.fetch.shop import KEY, SECRET

from . import registry
from .offers import image, make_namespace, told, until
from .shop import PORT, TOKEN, contents, host_of, open_shop, secret, trust
from .ui_service import leaving_nothing, make, own_pods, pvserve

pytestmark = pytest.mark.cluster
JOB = ("batch/v1", "Job")
S3 = ("s3://bucket/granite", "--connection", "models-s3")
SLOW = ("s3://bucket/slow", "--connection", "models-s3")
# The command, killed between two requests.
KILLED = """
import os, signal
from pvserve.apply import fetching
from pvserve.cli.main import main
fetching._give_program = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
main()
"""
SLOWER = ("s3://bucket/slower", "--connection", "models-s3")


@pytest.fixture(scope="module")
def shop(any_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A namespace under Pod Security `restricted` with the shop, its CA trusted, and connections to it."""
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    with make_namespace(any_cluster, restricted) as namespace:
        cluster = Cluster.connect(namespace=namespace)
        trust(cluster, open_shop(cluster, tmp_path_factory.mktemp("authority")), *registry.cas())
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        endpoint = f"https://{host_of(cluster)}:{PORT}/s3"
        secret(cluster, "models-s3", **keys, AWS_S3_ENDPOINT=endpoint, AWS_S3_BUCKET="bucket")
        entry = {"type": "s3", "access_key_id": KEY, "secret_access_key": SECRET, "endpoint_url": endpoint}
        secret(cluster, "storage-config", granite=json.dumps(entry))
        secret(cluster, "hub", HF_TOKEN=TOKEN)
        with leaving_nothing(cluster):
            yield cluster


def digest_of(files: dict[str, bytes]) -> str:
    entries = [Entry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in sorted(files.items())]
    return manifest_digest(Manifest(tuple(entries)))


def jobs(cluster: Cluster) -> list[str]:
    return [name(job) for job in cluster.list(*JOB, cluster.namespace)]


def noted(cluster: Cluster, job: str) -> dict[str, Any]:
    """What the command that follows a Job notes on it."""
    found = cluster.find(*JOB, job, cluster.namespace)
    if found is None or isinstance(found, Unknown):
        return {}
    told: dict[str, Any] = json.loads(annotations_of(found).get("pvserve.io/progress", "{}"))
    return told


def where(cluster: Cluster) -> tuple[str, ...]:
    return ("-n", cluster.namespace, "-y", "--retain", "no")


@pytest.mark.parametrize(
    "kind",
    [
        *("s3", "s3-storage-config", "hf", "https", "https-archive", "oci-image", "oci-artifact"),
        *("initializer", "initializer-hf"),
    ],
)
def test_a_source_is_fetched_proven_and_not_fetched_again(shop: Cluster, kind: str) -> None:
    host, one = f"https://{host_of(shop)}", "model-00001.safetensors"
    pushed: tuple[str, ...] = ()
    if kind == "oci-image":
        registry.pull_secret(shop, "pull")
        pushed = (registry.push_image(f"{shop.namespace}/granite", contents()), "--connection", "pull")
    if kind == "oci-artifact":
        pushed = (registry.push_artifact(f"open/{shop.namespace}", contents()),)
    by_initializer = ("--storage-initializer", "--size", "200Mi")
    by_entry = ("--connection", "storage-config", "--connection-key", "granite")
    hub = ("--connection", "hub", "--endpoint", f"{host}:{PORT + 1}/hub")
    source, wanted = {
        "s3": (("s3:///granite", "--connection", "models-s3"), contents()),
        "s3-storage-config": (("s3://bucket/granite", *by_entry), contents()),
        "hf": (("hf://org/model", *hub), contents()),
        "https-archive": ((f"{host}:{PORT}/archive/granite.tar.gz",), contents()),
        "initializer": ((f"{host}:{PORT}/granite/{one}", *by_initializer), {one: contents()[one]}),
        # By huggingface_hub's own client, which KServe's storage initializer uses.
        "initializer-hf": (("hf://org/model@main", *by_initializer, *hub), contents()),
        "oci-image": (pushed, contents()),
        "oci-artifact": (pushed, contents()),
        "https": ((f"{host}:{PORT}/granite/{one}",), {one: contents()[one]}),
    }[kind]  # fmt: skip
    target = f"pvc://{kind}/granite"
    ran = pvserve("load", source[0], target, *source[1:], *where(shop))
    assert ran.code == 0, ran.explained()
    assert ran.lines[-1]["manifest"] == digest_of(wanted)
    for word in (SECRET, TOKEN, *([told("REGISTRY_LOGIN").partition(":")[2]] if pushed else ())):
        assert word not in ran.out + ran.err
    proof = pvserve("verify", target, "-n", shop.namespace)
    assert proof.code == 0, proof.explained()
    again = pvserve("load", source[0], target, *source[1:], *where(shop))
    assert again.code == 0, again.explained()
    assert again.lines[-1]["done"] == []
    assert jobs(shop) == []
    until("no pod of ours is left", lambda: not own_pods(shop))


def test_a_load_left_alone_is_looked_at_cancelled_and_resumed(shop: Cluster, tmp_path: Path) -> None:
    target = "pvc://detached/granite"
    left = pvserve("load", SLOWER[0], target, *SLOWER[1:], "--detach", *where(shop))
    assert left.code == 0, left.explained()
    assert left.lines[-1]["job"] in jobs(shop)
    state = pvserve("status", target, "-n", shop.namespace)
    assert (state.code, state.lines[-1]["job"]) == (1, left.lines[-1]["job"]), state.explained()
    said = pvserve("logs", target, "-n", shop.namespace)
    assert said.code == 0, said.explained()
    other = pvserve("load", S3[0], target, *S3[1:], *where(shop))
    assert (other.code, other.error["reason"]) == (3, "WriterActive"), other.explained()
    (tmp_path / "config.json").write_text("{}")
    local = pvserve("load", tmp_path, target, *where(shop))  # the Lease says that a Job writes there
    assert (local.code, local.error["reason"]) == (3, "WriterActive"), local.explained()
    assert left.lines[-1]["job"] in local.error["message"]
    ended = pvserve("cancel", target, "-n", shop.namespace, "-y")
    assert ended.code == 0, ended.explained()
    nobody = pvserve("cancel", target, "-n", shop.namespace, "-y")
    assert (nobody.code, nobody.error["reason"]) == (3, "NoJob"), nobody.explained()
    left = pvserve("load", SLOW[0], target, *SLOW[1:], "--detach", *where(shop))
    assert left.code == 0, left.explained()
    followed = pvserve("status", target, "--follow", "-n", shop.namespace)
    assert followed.code == 0, followed.explained()
    assert followed.lines[-1]["manifest"] == digest_of(contents())
    assert pvserve("status", target, "-n", shop.namespace).code == 0
    assert jobs(shop) == []


def test_clean_records_what_a_job_left_alone_has_fetched_and_removes_it(shop: Cluster) -> None:
    target = "pvc://cleaned/slow"
    left = pvserve("load", SLOW[0], target, *SLOW[1:], "--detach", *where(shop))
    assert left.code == 0, left.explained()
    job = left.lines[-1]["job"]

    def cleaned() -> str:
        ran = pvserve("clean", "-n", shop.namespace, "-y")
        assert ran.code == 0, ran.explained()
        return next(str(found["manifest"]) for found in ran.lines[-1]["jobs"] if found["job"] == job)

    assert until("that it has ended", cleaned, seconds=180, every=1) == digest_of(contents())
    assert job not in jobs(shop)
    assert pvserve("status", target, "-n", shop.namespace).code == 0


def test_the_jobs_pod_is_deleted_and_another_goes_on(shop: Cluster) -> None:
    target = "pvc://deleted/slow"
    left = pvserve("load", SLOW[0], target, *SLOW[1:], "--detach", *where(shop))
    assert left.code == 0, left.explained()
    selector = f"job-name={left.lines[-1]['job']}"
    (pod,) = [name(pod) for pod in shop.list("v1", "Pod", shop.namespace, label_selector=selector)]
    shop.delete("v1", "Pod", pod, shop.namespace, grace_seconds=1)
    followed = pvserve("status", target, "--follow", "-n", shop.namespace)
    assert followed.code == 0, followed.explained()
    assert followed.lines[-1]["manifest"] == digest_of(contents())
    proof = pvserve("verify", target, "-n", shop.namespace)
    assert proof.code == 0, proof.explained()


def test_a_client_that_is_killed_leaves_the_job_and_the_same_command_follows_it(shop: Cluster) -> None:
    argv = ["load", SLOW[0], "pvc://killed/slow", *SLOW[1:], *where(shop)]
    client = subprocess.Popen(
        [sys.executable, "-m", "pvserve.cli.main", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    (job,) = until("the Job", lambda: jobs(shop), seconds=120)
    told = until("how far it is, on the Job", lambda: noted(shop, job), seconds=120)
    assert {"bytes", "bytesTotal", "rate", "at"} <= told.keys()
    client.send_signal(signal.SIGKILL)
    client.wait()
    ran = pvserve(*argv)
    assert ran.code == 0, ran.explained()
    assert ran.lines[-1]["manifest"] == digest_of(contents())
    assert job not in jobs(shop)


def test_a_client_that_is_killed_before_the_job_has_its_program_leaves_nothing_behind(
    shop: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Job is there, and its pod waits: the same command gives it what it waits for; all goes with the Job."""
    argv = ["load", S3[0], "pvc://unprogrammed/granite", *S3[1:], *where(shop)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *argv], capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (job,) = jobs(shop)
    assert shop.find("v1", "ConfigMap", job, shop.namespace) is None
    ran = pvserve(*argv)
    assert ran.code == 0, ran.explained()
    assert job not in jobs(shop)
    until("its program is gone with it", lambda: shop.find("v1", "ConfigMap", job, shop.namespace) is None)


def test_a_suspended_job_is_shown_as_waiting_for_its_queue(shop: Cluster) -> None:
    target = "pvc://queued/slow"
    left = pvserve("load", SLOW[0], target, *SLOW[1:], "--detach", "--queue", "models", *where(shop))
    assert left.code == 0, left.explained()
    job = left.lines[-1]["job"]
    shop.patch(*JOB, job, shop.namespace, {"spec": {"suspend": True}})

    def waiting() -> str:
        return str(pvserve("status", target, "-n", shop.namespace).lines[-1].get("waiting") or "")

    until("that it waits", lambda: "queue models" in waiting(), seconds=60, every=1)
    message = (
        "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 2 more needed"
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    workload = {"kind": "Workload", "apiVersion": "kueue.x-k8s.io/v1beta1", "name": f"job-{job}-1a2b3"}
    event = {"reason": "Pending", "message": message, "type": "Warning", "firstTimestamp": now, "lastTimestamp": now}
    workload |= {"namespace": shop.namespace}
    make(shop, {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "w"}, "involvedObject": workload, **event})
    until("why it waits", lambda: "insufficient unused quota for cpu" in waiting(), seconds=60, every=1)
    told = pvserve("doctor", "-n", shop.namespace)
    (queued,) = [item for item in told.lines[-1]["loads"] if job in item["title"]]
    assert (told.code, queued["code"]) == (1, "LoadQueued"), told.explained()
    assert any(message in seen["observed"] for seen in queued["evidence"])
    shop.patch(*JOB, job, shop.namespace, {"spec": {"suspend": False}})
    followed = pvserve("status", target, "--follow", "-n", shop.namespace)
    assert followed.code == 0, followed.explained()


def test_what_cannot_be_read_is_refused_with_its_cause_before_a_claim_is_made(shop: Cluster) -> None:
    secret(
        shop,
        "wrong",
        AWS_ACCESS_KEY_ID=KEY,
        AWS_SECRET_ACCESS_KEY="no",
        AWS_S3_ENDPOINT=f"https://{host_of(shop)}:{PORT}/s3",
    )
    secret(shop, "lacking", AWS_ACCESS_KEY_ID=KEY, SOMETHING="else")
    hub = ("--endpoint", f"https://{host_of(shop)}:{PORT + 1}/hub")
    for source, code, reason in (
        ((S3[0], "--connection", "wrong"), 4, "SourceForbidden"),
        ((S3[0], "--connection", "lacking"), 2, "ConnectionInvalid"),
        (("s3://bucket/gone", *S3[1:]), 3, "NoSuchSource"),
        ((*S3, "--image", image("busybox")), 3, "FetchNeedsPython"),
        ((S3[0], "--connection", "nobody"), 3, "MountNeedsObject"),
        (("hf://org/model", *hub), 3, "NoSuchSource"),
        (("gs://bucket/granite",), 3, "SizeUnknown"),
        (("hf://org/model@v9", *hub, "--connection", "hub"), 3, "NoSuchSource"),
    ):
        ran = pvserve("load", source[0], "pvc://refused/x", *source[1:], *where(shop))
        assert (ran.code, ran.error["reason"]) == (code, reason), ran.explained()
    assert shop.find("v1", "PersistentVolumeClaim", "refused", shop.namespace) is None
    until("no pod of ours is left", lambda: not own_pods(shop))


def test_a_certificate_of_a_ca_that_nobody_trusts_is_refused(shop: Cluster, tmp_path: Path) -> None:
    from tests.unit.cluster.authority import Authority

    trust(shop, Authority(tmp_path).file, name="others")
    ran = pvserve("load", S3[0], "pvc://refused/x", *S3[1:], "--ca", "others", *where(shop))
    assert (ran.code, ran.error["reason"]) == (3, "SourceCertificate"), ran.explained()


def test_models_of_one_file_are_listed_side_by_side(shop: Cluster, tmp_path: Path) -> None:
    keys = f"namespace: {shop.namespace}\nruntime: none\nformat: gguf\nfetch: {{connection: models-s3}}\n"
    models = [f"model: s3://bucket/granite\nname: m{number}\nclaim: many{number}\n{keys}" for number in (1, 2)]
    (tmp_path / "models.yaml").write_text("---\n".join(models))
    ran = pvserve("plan", "-f", tmp_path / "models.yaml", seconds=120)
    plans = [line["plan"] for line in ran.lines if "plan" in line]
    made = [step for plan in plans for step in plan["steps"] if step["step"] == "LoadJob"]
    assert len(made) == 2, ran.explained()
    assert {step["bytes"] for step in made} == {sum(map(len, contents().values()))}
    until("no pod of ours is left", lambda: not own_pods(shop))
