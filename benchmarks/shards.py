"""One model fetched from S3 to a shared claim by one pod, and by two pods on two nodes.

    $ bed up --nodes 2; eval "$(.venv/bin/bed env)"; .venv/bin/python benchmarks/shards.py

Owns that comparison: the whole command, `load s3://… --shards N`. Needs $PVSERVE_TEST_S3_*, and two nodes.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import click
import fetching
import rounds
import sources
import tmpfs_volume as volumes
from processors import Watch

from pvserve.cluster import Cluster
from pvserve.mount import mounted

CLAIM, PREFIX = "target", "model"
LOOK_SECONDS = 0.5
PVSERVE = Path(sys.executable).with_name("pvserve")


def pvserve(cluster: Cluster, *words: str) -> None:
    """The command. Raises RuntimeError when it fails."""
    done = subprocess.run([PVSERVE, *words, "-n", cluster.namespace, "-y"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def one_load(cluster: Cluster, shards: int, size: int, profile: bool) -> float:
    """Seconds; the model is removed afterwards. Raises RuntimeError where the pods were on another number of nodes."""
    place, nodes, over = f"pvc://{CLAIM}/{PREFIX}{shards}", set[str](), threading.Event()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            found = cluster.list("v1", "Pod", cluster.namespace, label_selector="job-name")
            nodes.update(str(pod["spec"]["nodeName"]) for pod in found if pod["spec"].get("nodeName"))

    looking = threading.Thread(target=look)
    looking.start()
    what = ("load", f"s3://{fetching.BUCKET}/{PREFIX}", place, "--connection", "s3", "--retain", "no")
    try:
        with Watch(profile, f"--shards {shards}", size):
            taken = rounds.seconds(lambda: pvserve(cluster, *what, "--shards", str(shards)))
    finally:
        over.set()
        looking.join()
    pvserve(cluster, "rm", place)
    if len(nodes) != shards:
        raise RuntimeError(f"{shards} pods were on nodes {', '.join(sorted(nodes))}")
    return taken


@click.command()
@click.option("--rounds", "count", default=3, show_default=True)
@click.option("--files", default="8x512Mi", show_default=True)
@click.option("--volumes", "directory", default="/dev/shm", show_default=True, type=Path)
@click.option("--profile", is_flag=True, help="CPU seconds per GB by process.")
def main(count: int, files: str, directory: Path, profile: bool) -> None:
    """Each round loads with one pod, then with two."""
    sizes = sources.parse(files)
    size = sum(number * each for number, each in sizes)
    with volumes.namespace("pvserve-benchmark") as cluster:
        print(rounds.machine(cluster.version()), flush=True)
        fetching.connect(cluster)
        with volumes.claim(cluster, CLAIM, int(size * 1.2) + (1 << 29), directory, shared=True) as claim:
            filled(cluster, claim, sizes)
            try:
                taken = [[one_load(cluster, shards, size, profile) for shards in (1, 2)] for _ in range(count)]
            finally:
                with mounted(cluster, volumes.loader_of(cluster, claim), lambda _: None) as live:
                    emptying = fetching.with_keys("python3", "-c", fetching.REMOVE, fetching.BUCKET)
                    fetching.run(cluster, live["metadata"]["name"], emptying)
    one, two = (list(column) for column in zip(*taken, strict=True))
    print(rounds.line("one pod", one, size))
    print(rounds.line("--shards 2 on two nodes", two, size))
    print(rounds.ratio("times faster", one, two, None))


def filled(cluster: Cluster, claim: str, sizes: list[tuple[int, int]]) -> None:
    """Upload the model; a loader pod has the library for it."""
    with mounted(cluster, volumes.loader_of(cluster, claim), lambda _: None) as live:
        upload = ("python3", "-c", fetching.UPLOAD, fetching.BUCKET, PREFIX, repr(sizes))
        fetching.run(cluster, live["metadata"]["name"], fetching.with_keys(*upload))


if __name__ == "__main__":
    main()
