"""S3 to a claim: pvserve's fetching program against KServe's own storage initializer, in one pod, from one gateway.

    $ eval "$(.venv/bin/bed env)"; .venv/bin/python benchmarks/fetching.py

Owns that comparison. Needs $PVSERVE_TEST_S3_* and what `tmpfs_volume` needs; the bed has both.
"""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from time import perf_counter

import click
import rounds
import sources
import tmpfs_volume as volumes
from processors import Watch

from pvserve.cluster import Cluster
from pvserve.mount import mounted
from pvserve.plan.loader import MOUNT
from pvserve.transfer.bundle import piped_command, piped_input
from pvserve.transfer.program import fetch_source

GOAL = 1.5
BUCKET, PREFIX = "pvserve-benchmark", "model"
# Uploaded in parts, as boto3 and the aws command do with all that is larger than 8 MiB.
UPLOAD = """\
import boto3, os, sys
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
bucket, prefix = sys.argv[1:3]
if not any(found["Name"] == bucket for found in s3.list_buckets()["Buckets"]):
    s3.create_bucket(Bucket=bucket)
for number, (count, size) in enumerate(eval(sys.argv[3])):
    for index in range(count):
        key = f"{prefix}/part{number}/{index:04}.bin"
        if size <= 8 << 20:
            s3.put_object(Bucket=bucket, Key=key, Body=os.urandom(size))
            continue
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        parts = []
        for start in range(0, size, 16 << 20):
            body = os.urandom(min(16 << 20, size - start))
            made = s3.upload_part(Bucket=bucket, Key=key, PartNumber=len(parts) + 1, UploadId=upload, Body=body)
            parts.append({"PartNumber": len(parts) + 1, "ETag": made["ETag"]})
        s3.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
"""
REMOVE = """\
import boto3, os, sys
bucket = boto3.resource("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).Bucket(sys.argv[1])
bucket.objects.all().delete()
bucket.delete()
"""


def run(cluster: Cluster, pod: str, argv: list[str], stdin: bytes = b"", timeout: float = 900) -> bytes:
    """A command in the pod. Raises RuntimeError when it fails."""
    done = cluster.run(pod, cluster.namespace, volumes.CONTAINER, argv, stdin, timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[:3]}: {(done.out + done.err)[-2000:].decode('utf-8', 'replace')}")
    return done.out


def with_keys(*argv: str) -> list[str]:
    """The command with the gateway's address and keys, as KServe gives them to its initializer."""
    said = {
        "AWS_ACCESS_KEY_ID": os.environ["PVSERVE_TEST_S3_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": os.environ["PVSERVE_TEST_S3_SECRET_KEY"],
        "AWS_ENDPOINT_URL": os.environ["PVSERVE_TEST_S3_ENDPOINT"],
        "AWS_DEFAULT_REGION": os.environ.get("PVSERVE_TEST_S3_REGION", "us-east-1"),
        "S3_USE_HTTPS": "0",
    }
    return ["env", *(f"{key}={value}" for key, value in said.items()), *argv]


def order() -> str:
    """What our program is asked; the keys are mounted."""
    source = {"scheme": "s3", "uri": f"s3://{BUCKET}/{PREFIX}", "bucket": BUCKET, "prefix": PREFIX, "secret": "s3"}
    value = {
        "version": 1, "source": source, "include": [], "exclude": [], "allowPickle": False, "claim": "target",
        "place": {"mount": MOUNT, "path": "pvserve", "key": "pvserve"}, "epoch": 0, "replace": False,
        "fingerprint": "", "ca": [], "proxy": "", "noProxy": "",
    }  # fmt: skip
    return json.dumps(value)


def one_round(cluster: Cluster, pod: str, size: int, profile: bool) -> tuple[float, float, float, int]:
    """Seconds of theirs, of theirs with a sync, of ours; bytes of memory that ours took."""
    entry = "/storage-initializer/scripts/initializer-entrypoint"
    with Watch(profile, "storage initializer", size):
        began = perf_counter()
        run(cluster, pod, with_keys(entry, f"s3://{BUCKET}/{PREFIX}", f"{MOUNT}/kserve"))
        theirs = perf_counter() - began
        run(cluster, pod, ["sync", "-f", MOUNT])
        synced = perf_counter() - began
    volumes.empty(cluster, pod)
    with Watch(profile, "pvserve", size):
        began = perf_counter()
        out = run(cluster, pod, piped_command("load"), piped_input(fetch_source(), order()))
        ours = perf_counter() - began
    result = json.loads(out.splitlines()[-1])
    volumes.empty(cluster, pod)
    return theirs, synced, ours, int(result["peakMemory"])


def connect(cluster: Cluster) -> None:
    """Makes Secret s3 with the gateway's keys."""
    metadata = {"name": "s3", "namespace": cluster.namespace}
    keys = {
        "AWS_ACCESS_KEY_ID": os.environ["PVSERVE_TEST_S3_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": os.environ["PVSERVE_TEST_S3_SECRET_KEY"],
        "AWS_S3_ENDPOINT": os.environ["PVSERVE_TEST_S3_ENDPOINT"],
    }
    cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys})


def pod_of(cluster: Cluster, claim: str) -> dict[str, object]:
    """The loader pod with the gateway's keys mounted."""
    pod = volumes.loader_of(cluster, claim)
    pod["spec"]["volumes"].append({"name": "s3", "secret": {"secretName": "s3"}})
    container = pod["spec"]["containers"][0]
    container["volumeMounts"].append({"name": "s3", "mountPath": "/pvserve-secret", "readOnly": True})
    return pod


@click.command()
@click.option("--rounds", "count", default=3, show_default=True)
@click.option("--files", default="4x512Mi+200x8Ki", show_default=True)
@click.option("--volumes", "directory", default="/dev/shm", show_default=True, type=Path)
@click.option("--profile", is_flag=True, help="CPU seconds per GB by process.")
def main(count: int, files: str, directory: Path, profile: bool) -> None:
    """Each round loads with both, one after the other, in the same pod."""
    sizes = sources.parse(files)
    size = sum(number * each for number, each in sizes)
    with volumes.namespace("pvserve-benchmark") as cluster:
        print(rounds.machine(cluster.version()), flush=True)
        connect(cluster)
        with (
            volumes.claim(cluster, "target", int(size * 1.2) + (1 << 29), directory) as claim,
            mounted(cluster, pod_of(cluster, claim), lambda _: None) as live,
        ):
            pod = live["metadata"]["name"]
            run(cluster, pod, with_keys("python3", "-c", UPLOAD, BUCKET, PREFIX, repr(sizes)))
            try:
                taken = [one_round(cluster, pod, size, profile) for _ in range(count)]
            finally:
                run(cluster, pod, with_keys("python3", "-c", REMOVE, BUCKET))
    theirs, synced, ours, memory = (list(column) for column in zip(*taken, strict=True))
    print(rounds.line("KServe's storage initializer", theirs, size))
    print(rounds.line("the same and sync", synced, size))
    print(rounds.line("pvserve: fsynced, digested, published", ours, size))
    print(rounds.ratio("times faster", theirs, ours, GOAL))
    print(rounds.ratio("times faster than with sync", synced, ours, None))
    print(f"{'memory of ours, peak':<34} {statistics.median(memory) / (1 << 20):.0f} MiB   goal 256 MiB")


if __name__ == "__main__":
    main()
