"""Bytes onto a claim, against `kubectl cp` in the same rounds. One command per row of README.md:

python benchmarks/transfer.py pod | proxy | port-forward | exec | small | unchanged | resume | memory | claim | reflink

Needs root on the cluster's node (the bed), $KUBECONFIG, and kubectl. Everything it makes, it removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import interrupted
import tmpfs_volume as volumes
from processors import Watch
from rounds import line, machine, ratio, seconds, spread
from sources import model, parse

from pvserve.cluster import Cluster
from pvserve.model import DigestCache, listing
from pvserve.plan.loader import MOUNT, SOURCE
from pvserve.transfer import Loaded, Target, Via, copy, load
from pvserve.transfer.channels import exec_channel, streams_for
from pvserve.transfer.window import PART

MIB, GIB = 1 << 20, 1 << 30
LARGE = "4x512Mi+200x8Ki"
SMALL = "20000x4Ki"
CLAIM, SOURCE_CLAIM = "models", "workbench"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Bench:
    """What every row needs."""

    namespace: str
    directory: Path
    volumes: Path
    rounds: int
    kubectl: str
    bare: bool
    profile: bool

    def claim(self, cluster: Cluster, name: str, size: int) -> AbstractContextManager[str]:
        """A claim on the volumes of this run."""
        return volumes.claim(cluster, name, size, self.volumes, bare=self.bare)

    def loader(self, cluster: Cluster, claim: str, source_claim: str | None = None) -> AbstractContextManager[str]:
        """A loader pod on such a claim."""
        return volumes.loader(cluster, claim, source_claim, bare=self.bare)

    def heading(self, cluster: Cluster, files: str) -> int:
        """Print the machine; the bytes of `files`."""
        print(machine(cluster.version()))
        return sum(count * size for count, size in parse(files))


def room(files: str, copies: int = 1) -> int:
    """Bytes of a volume for so many copies of these files: whole blocks, xfs's log, the 6 % that a load wants free."""
    parts = parse(files)
    return copies * sum(count * (size + 8192) for count, size in parts) * 107 // 100 + 512 * MIB


def fresh() -> DigestCache:
    """A cache of digests that knows nothing."""
    return DigestCache(Path(tempfile.mkdtemp()) / "digests")


def bring(
    cluster: Cluster, pod: str, source: Path, via: Via, epoch: int = 1, cache: DigestCache | None = None
) -> Loaded:
    """Bytes only: the transfer itself, through a pod that runs already."""
    reach = cluster.reach(pod, cluster.namespace, volumes.CONTAINER)
    loaded = load(listing(source), reach, Target("model", CLAIM), via=via, epoch=epoch, cache=cache or fresh())
    if loaded.channel != via:
        raise RuntimeError(f"the channel was {loaded.channel}")
    return loaded


def command(bench: Bench, source: Path, cache: Path, *more: str) -> str:
    """`pvserve load` as a user runs it, loader pod included; what it prints."""
    run = [BIN / "pvserve", "load", source, f"pvc://{CLAIM}/model", "-n", bench.namespace, "-y", *more]
    environment = {**os.environ, "PVSERVE_CACHE_DIR": str(cache)}
    done = subprocess.run(run, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def kubectl_cp(bench: Bench, pod: str, source: Path) -> None:
    """The peer; whether it copied everything is asked afterwards."""
    target = f"{bench.namespace}/{pod}:{MOUNT}/kubectl"
    subprocess.run([bench.kubectl, "cp", source, target, "-c", volumes.CONTAINER], check=True, capture_output=True)


def check_kubectl(cluster: Cluster, pod: str, source: Path) -> None:
    """kubectl cp exits with 0 when its stream is cut; such a round must not count."""
    counted = volumes.shell(
        cluster, pod, f"find {MOUNT}/kubectl -type f | wc -l; du -sb --apparent-size {MOUNT}/kubectl"
    )
    files, size = counted.split()[:2]
    ours = subprocess.run(["du", "-sb", source], check=True, capture_output=True, text=True).stdout.split()[0]
    if int(files) != len(listing(source).entries) or abs(int(size) - int(ours)) > MIB:
        raise RuntimeError(f"kubectl cp left {files} files, {size} bytes")


@click.group()
@click.option("--namespace", default="pvserve-benchmark", show_default=True)
@click.option("--directory", type=Path, default=Path("/dev/shm"), show_default=True, help="For sources and volumes.")
@click.option("--volumes", "volumes_in", type=Path, default=None, help="For volumes, if elsewhere.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--kubectl", default=None, help="Default: in PATH, else the bed's own.")
@click.option("--bare", is_flag=True, help="Volumes are directories of a tmpfs, without xfs and a loop device.")
@click.option("--profile", is_flag=True, help="CPU seconds by part.")
@click.pass_context
def main(context: click.Context, volumes_in: Path | None, kubectl: str, **options: Any) -> None:
    """Measure one row."""
    cache = Path(os.environ.get("BED_CACHE", "/var/cache/pvserve-bed"))
    built = sorted(cache.glob("bin/kubernetes-*/kubectl"), key=lambda path: path.stat().st_mtime)
    found = kubectl or shutil.which("kubectl") or (str(built[-1]) if built else None)
    if found is None:
        raise click.UsageError("there is no kubectl: name one with --kubectl")
    context.obj = Bench(volumes=volumes_in or options["directory"], kubectl=found, **options)


def against_kubectl(bench: Bench, files: str, via: Via, goal: float | None, whole: float | None) -> None:
    """`via` against kubectl cp; with `whole`, the command with its loader pod too."""
    theirs, ours, commands = [], [], []
    with (
        volumes.namespace(bench.namespace) as cluster,
        model(bench.directory, files) as source,
        bench.claim(cluster, CLAIM, room(files)),
    ):
        size = bench.heading(cluster, files)
        for number in range(1, bench.rounds + 1):
            with bench.loader(cluster, CLAIM) as pod:
                with Watch(bench.profile, "kubectl cp", size):
                    theirs.append(seconds(lambda: kubectl_cp(bench, pod, source)))
                check_kubectl(cluster, pod, source)
                volumes.empty(cluster, pod)
                with Watch(bench.profile, f"pvserve, {via}", size):
                    ours.append(seconds(lambda: bring(cluster, pod, source, via)))
                volumes.empty(cluster, pod)
            print(f"round {number}: kubectl cp {theirs[-1]:.2f} s, pvserve by {via} {ours[-1]:.2f} s", flush=True)
            if whole is not None:
                with tempfile.TemporaryDirectory() as cache:
                    commands.append(seconds(lambda: command(bench, source, Path(cache), "--via", via)))
                with bench.loader(cluster, CLAIM) as pod:
                    volumes.empty(cluster, pod)
    print(line("kubectl cp", theirs, size))
    print(line(f"pvserve, {via}, bytes only", ours, size))
    print(ratio("  bytes only, times faster", theirs, ours, goal))
    if whole is not None:
        print(line("pvserve load, the whole command", commands, size))
        print(ratio("  whole command, times faster", theirs, commands, whole))


@main.command()
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def pod(bench: Bench, files: str) -> None:
    """To the loader pod's address: TLS, sha256 at both ends."""
    against_kubectl(bench, files, "pod", goal=4, whole=2.5)


@main.command()
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def proxy(bench: Bench, files: str) -> None:
    """Through the API server only, which dials the pod."""
    against_kubectl(bench, files, "proxy", goal=1.8, whole=None)


@main.command("port-forward")
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def port_forward(bench: Bench, files: str) -> None:
    """Through API server, kubelet and container runtime."""
    against_kubectl(bench, files, "port-forward", goal=1.8, whole=None)


@main.command("exec")
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def exec_(bench: Bench, files: str) -> None:
    """Through one exec stream, which the API server, the kubelet and containerd limit; no goal."""
    against_kubectl(bench, files, "exec", goal=None, whole=None)


@main.command()
@click.option("--files", default=SMALL, show_default=True)
@click.pass_obj
def small(bench: Bench, files: str) -> None:
    """Many small files."""
    against_kubectl(bench, files, "pod", goal=2, whole=None)


@main.command()
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def unchanged(bench: Bench, files: str) -> None:
    """The same `pvserve load` again, with nothing changed."""
    with (
        volumes.namespace(bench.namespace) as cluster,
        model(bench.directory, files) as source,
        bench.claim(cluster, CLAIM, room(files)),
        tempfile.TemporaryDirectory() as cache,
    ):
        bench.heading(cluster, files)
        command(bench, source, Path(cache))
        times = [seconds(lambda: command(bench, source, Path(cache))) for _ in range(bench.rounds)]
    reached = "reached" if max(times) <= 2 else "MISSED"
    print(f"{'pvserve load, nothing changed':<34} {spread(times)}   goal 2 s: {reached}")


@main.command()
@click.option("--files", default=LARGE, show_default=True)
@click.option("--via", default="pod", show_default=True)
@click.pass_obj
def resume(bench: Bench, files: str, via: Via) -> None:
    """Killed when half of the bytes have left, and run again: what leaves twice."""
    again = []
    with (
        volumes.namespace(bench.namespace) as cluster,
        model(bench.directory, files) as source,
        bench.claim(cluster, CLAIM, room(files)),
    ):
        size = bench.heading(cluster, files)
        for number in range(1, bench.rounds + 1):
            with bench.loader(cluster, CLAIM) as pod:
                left = interrupted.killed(cluster, pod, source, via, size // 2)
                loaded = bring(cluster, pod, source, via, epoch=2)
                again.append((left + loaded.sent_bytes - size) / MIB)
                print(f"round {number}: killed at {left / MIB:.0f} MiB, {again[-1]:.1f} MiB left again", flush=True)
                volumes.empty(cluster, pod)
    goal = PART // MIB * (1 if via == "exec" else streams_for(via))
    reached = "reached" if max(again) <= goal else "MISSED"
    print(f"{'sent again after the kill':<34} {spread(again, 'MiB')}   goal {goal} MiB: {reached}")


@main.command()
@click.option("--files", default="4x512Mi,4x2Gi", show_default=True, help="Models, by commas.")
@click.option("--via", default="pod", show_default=True)
@click.pass_obj
def memory(bench: Bench, files: str, via: Via) -> None:
    """The peak of resident memory on both sides, by model size."""
    with volumes.namespace(bench.namespace) as cluster:
        bench.heading(cluster, LARGE)
        for one in files.split(","):
            with (
                model(bench.directory, one) as source,
                bench.claim(cluster, CLAIM, room(one)),
                bench.loader(cluster, CLAIM) as pod,
            ):
                peaks: dict[str, int] = {}
                over = threading.Event()
                watch = threading.Thread(target=interrupted.agent_memory, args=(cluster, pod, peaks, over))
                watch.start()
                try:
                    client = interrupted.peak(cluster, pod, source, via)
                finally:
                    over.set()
                    watch.join()
            agent = max(peaks.values()) / MIB
            reached = "reached" if max(agent, client / MIB) <= 256 else "MISSED"
            print(
                f"{one:<34} client {client / MIB:.0f} MiB, agent {agent:.0f} MiB   goal 256 MiB: {reached}", flush=True
            )


def against_cp(bench: Bench, files: str, source_claim: str, goal: float) -> None:
    """A copy within the loader pod, against `cp -r` there; the latter also with the fsync that a copy needs.

    Ours with the source known by its stamps, and with --checksum, which reads it. What it costs to start a command in
    the pod (theirs: `true`, ours: the agent) is measured beside them and taken off for the last line.
    """
    theirs, synced, known, read, starts, agents = [], [], [], [], [], []
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(volumes.namespace(bench.namespace))
        for name in {source_claim, CLAIM}:
            copies = 2 if source_claim == CLAIM else 1  # of the source and of cp -r; ours shares its blocks
            stack.enter_context(bench.claim(cluster, name, room(files, copies)))
        size = bench.heading(cluster, files)
        with model(bench.directory, files) as source, bench.loader(cluster, source_claim) as pod:
            load(
                listing(source), cluster.reach(pod, cluster.namespace, volumes.CONTAINER), Target("from", source_claim)
            )
        pod = stack.enter_context(bench.loader(cluster, CLAIM, source_claim))
        for number in range(1, bench.rounds + 1):
            for times, after in ((theirs, "true"), (synced, f"sync -f {MOUNT}")):
                # --reflink=never: GNU cp 9 would share blocks by itself
                run = f"cp -r --reflink=never {SOURCE}/from {MOUNT}/cp && {after}"
                times.append(seconds(lambda run=run: volumes.shell(cluster, pod, run)))  # type: ignore[misc]
                volumes.shell(cluster, pod, f"rm -rf {MOUNT}/cp && sync -f {MOUNT}")
            for times, checksum in ((known, False), (read, True)):
                times.append(claim_copy(cluster, pod, source_claim, 2 * number + checksum, checksum))
                volumes.shell(cluster, pod, f"rm -rf {MOUNT}/model && sync -f {MOUNT}")
            starts.append(seconds(lambda: volumes.shell(cluster, pod, "true")))
            agents.append(seconds(lambda: agent_start(cluster, pod)))
            print(
                f"round {number}: cp -r {theirs[-1]:.2f} s, with sync {synced[-1]:.2f} s, pvserve {known[-1]:.2f} s, "
                f"--checksum {read[-1]:.2f} s; starts {starts[-1]:.2f} and {agents[-1]:.2f} s; "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    for what, times in (("cp -r", theirs), ("cp -r, then sync", synced), ("pvserve", known), ("--checksum", read)):
        print(line(what, times, size))
    print(ratio("  times faster than cp -r", theirs, known, goal))
    print(ratio("  ... than cp -r, then sync", synced, known, None))
    print(ratio("  --checksum, than cp -r", theirs, read, None))
    alone = [[time - start for time, start in zip(*pair, strict=True)] for pair in ((theirs, starts), (known, agents))]
    print(ratio("  without both starts", alone[0], alone[1], goal))


def claim_copy(cluster: Cluster, pod: str, source_claim: str, epoch: int, checksum: bool) -> float:
    """From claim to claim, with a client that knows no digest: seconds."""
    reach = cluster.reach(pod, cluster.namespace, volumes.CONTAINER)
    source, target = Target("from", source_claim, mount=SOURCE), Target("model", CLAIM)
    return seconds(lambda: copy(source, reach, target, epoch=epoch, cache=fresh(), checksum=checksum))


def agent_start(cluster: Cluster, pod: str) -> None:
    """What every copy begins with."""
    exec_channel(cluster.reach(pod, cluster.namespace, volumes.CONTAINER), "").close()


@main.command()
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def claim(bench: Bench, files: str) -> None:
    """From one claim to another in one pod: read, written, read back, digested at both ends."""
    against_cp(bench, files, SOURCE_CLAIM, goal=0.9)


@main.command()
@click.option("--files", default=LARGE, show_default=True)
@click.pass_obj
def reflink(bench: Bench, files: str) -> None:
    """Within one claim, whose file system shares blocks."""
    against_cp(bench, files, CLAIM, goal=20)


if __name__ == "__main__":
    main()
