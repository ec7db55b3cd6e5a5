"""The main job, seen on the bed: `python -m bed.demo`.

A model is made and uploaded to S3, served from there as a user of the dashboard does it, and converted by the real
`pvserve deploy`; then both services are compared. Owns the order; knows of pvserve only its command.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bed import control_plane, demo_figures, demo_scaling, models, readiness, services
from bed import demo_objects as made
from bed.build import installed
from bed.demo_figures import Figures
from bed.demo_scaling import REPLICAS, Scaling
from bed.errors import BedError
from bed.images import ImageError, reference
from bed.s3 import Bucket
from bed.settings import ADDRESS, S3_PORT, Settings, settings

Object = dict[str, Any]


def say(text: str) -> None:
    """One line of the story, between what the commands print themselves."""
    print(f"\n== {text}", flush=True)


@dataclass(frozen=True)
class Project:
    """A namespace on the bed, and kubectl in it."""

    bed: Settings
    name: str

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """Runs kubectl in the namespace. Raises BedError."""
        return control_plane.kubectl(self.bed, installed(self.bed), "-n", self.name, *args, stdin=stdin)

    def get(self, *args: str) -> Object:
        """One object, or a list of them."""
        found: Object = json.loads(self.kubectl("get", *args, "-o", "json"))
        return found

    def apply(self, *objects: Object) -> None:
        """Applies objects as kubectl does by default."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        print(self.kubectl("apply", "-f", "-", stdin=json.dumps(items)), end="", flush=True)


def demo(bed: Settings, server: made.Server, *, keep: bool) -> None:
    """Runs it all. Raises BedError when anything is not as it should be."""
    _check_bed(bed, server)
    project = Project(bed, f"demo-{uuid.uuid4().hex[:6]}")
    with _directory(keep) as directory, _bucket(bed, project.name, keep) as (bucket, keys), _cleaned(project, keep):
        say(f"a model of {server.model_format} files, made on the spot")
        model = models.make(server.model, directory / made.MODEL)
        for path in sorted(model.iterdir()):
            print(f"{path.stat().st_size:>13,} bytes  {path.name}")
        keys += bucket.upload(model, made.PREFIX)
        print(f"uploaded to s3://{bucket.name}/{made.PREFIX}")
        before = _serve_from_s3(project, server, bucket)
        after = _convert(project, server, model)
        say("before and after")
        print(demo_figures.table(before, after))
        _ask(project)
        _check(before, after)
        say(f"both services from 1 to {REPLICAS} replicas")
        emptied, claimed = (_scale(project, name, server.seconds) for name in (made.SERVICE, made.COPY))
        print(demo_scaling.table(emptied, claimed))
        _check_scaling(emptied, claimed, sum(path.stat().st_size for path in model.iterdir()))


def _check_bed(bed: Settings, server: made.Server) -> None:
    if not readiness.status(bed)["ready"]:
        raise BedError("the bed is not up", "bed up")
    mark = bed.home / "images" / reference(server.image).replace("/", "_").replace(":", "_")
    if not mark.exists():
        raise BedError(f"the bed has no image {reference(server.image)}", "bed up --with vllm")


@contextlib.contextmanager
def _directory(keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="pvserve-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="pvserve-demo-") as directory:
        yield Path(directory)


@contextlib.contextmanager
def _bucket(bed: Settings, name: str, keep: bool) -> Iterator[tuple[Bucket, list[str]]]:
    """A bucket, and the list of what is in it."""
    bucket = Bucket(f"{ADDRESS}:{S3_PORT}", *services.s3_keys(bed), name)
    keys: list[str] = []
    bucket.make()
    try:
        yield bucket, keys
    finally:
        if not keep:
            bucket.remove(keys)


@contextlib.contextmanager
def _cleaned(project: Project, keep: bool) -> Iterator[None]:
    """Removes the namespace afterwards, with the data that `pvserve deploy` was careful to keep."""
    classes = _names(project.get("storageclasses"))
    try:
        yield
    finally:
        if keep:
            say(
                f"kept: namespace {project.name}; the claim's volume outlives it, that is what pvserve is careful about"
            )
        else:
            say("cleaning up")
            _clean(project, classes)


def _clean(project: Project, classes: set[str]) -> None:
    volumes = project.get("persistentvolumes")["items"]
    for volume in volumes:
        if (volume["spec"].get("claimRef") or {}).get("namespace") == project.name:
            patch = '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}'
            project.kubectl("patch", "persistentvolume", volume["metadata"]["name"], "-p", patch)
    project.kubectl("delete", "namespace", project.name, "--ignore-not-found")
    used = {volume["spec"].get("storageClassName") for volume in project.get("persistentvolumes")["items"]}
    for name in _names(project.get("storageclasses", "-l", "app.kubernetes.io/managed-by=pvserve")) - classes - used:
        project.kubectl("delete", "storageclass", name)


def _names(listed: Object) -> set[str]:
    return {item["metadata"]["name"] for item in listed["items"]}


def _serve_from_s3(project: Project, server: made.Server, bucket: Bucket) -> Figures:
    say("served from S3, the way the dashboard does it")
    start = _log_size(project.bed)
    project.apply(made.namespace(project.name), made.connection(project.name, bucket))
    project.apply(made.runtime(project.name, server), made.service(project.name, server))
    pod = _ready_pod(project, made.SERVICE, server.seconds)
    return _figures(project, pod, start)


def _convert(project: Project, server: made.Server, model: Path) -> Figures:
    start = _log_size(project.bed)
    words = ["deploy", str(model), "--from", made.SERVICE, "--name", made.COPY, "--claim", made.CLAIM]
    words += ["-n", project.name, "-y"]
    say(f"$ pvserve {shlex.join(words)}")
    program = Path(sys.executable).with_name("pvserve")
    done = subprocess.run(
        [str(program), *words], check=False, env={**os.environ, "KUBECONFIG": str(project.bed.kubeconfig)}
    )
    if done.returncode != 0:
        raise BedError(f"pvserve ended with exit code {done.returncode}", "python -m bed.demo --keep, then look")
    pod = _ready_pod(project, made.COPY, server.seconds)
    return _figures(project, pod, start)


def _scale(project: Project, service: str, seconds: float) -> Scaling:
    """Two more replicas, and what they cost."""
    deployment, selector = f"{service}-predictor", f"serving.kserve.io/inferenceservice={service}"
    first = _names(project.get("pods", "-l", selector))
    wanted = {"spec": {"predictor": {"minReplicas": REPLICAS, "maxReplicas": REPLICAS}}}
    project.kubectl("patch", "inferenceservice", service, "--type=merge", "-p", json.dumps(wanted))
    deadline = time.monotonic() + seconds
    scaler = ("horizontalpodautoscaler", deployment)  # which would take an earlier change of the Deployment back
    while project.get(*scaler)["spec"].get("minReplicas") != REPLICAS and time.monotonic() < deadline:
        time.sleep(0.2)
    project.kubectl("scale", "deployment", deployment, f"--replicas={REPLICAS}")
    while True:
        pods = [pod for pod in project.get("pods", "-l", selector)["items"] if _is_ready(pod)]
        new = [pod for pod in pods if pod["metadata"]["name"] not in first]
        if len(new) == REPLICAS - 1:
            return demo_scaling.scaling(new, project.bed.home / "kubelet")
        if time.monotonic() > deadline:
            raise BedError(f"{service} has {len(pods)} Ready pods after {seconds:.0f} s, and not {REPLICAS}")
        time.sleep(0.5)


def _check_scaling(before: Scaling, after: Scaling, size: int) -> None:
    """The second table's claims: each new pod of the one copied the model, those of the other nothing of it."""
    copies = REPLICAS - 1
    if not (before.received > copies * size and before.on_node >= copies * size):
        raise BedError(f"not so: {copies} new replicas copied {size} bytes each, when {before} is what was seen")
    if not (after.received < size / 10 and after.on_node < size / 10):
        raise BedError(f"not so: new replicas on a claim copy nothing, when {after} is what was seen")


def _figures(project: Project, pod: Object, start: int) -> Figures:
    reads = demo_figures.s3_reads(services.s3_access_log(project.bed), start, project.name)
    return demo_figures.figures(pod, project.bed.home / "kubelet", reads)


def _log_size(bed: Settings) -> int:
    log = services.s3_access_log(bed)
    return log.stat().st_size if log.exists() else 0


def _ready_pod(project: Project, service: str, seconds: float) -> Object:
    """Waits for the service to be Ready and returns its pod. Raises BedError with what the service says."""
    deadline = time.monotonic() + seconds
    while not _is_ready(found := project.get("inferenceservice", service)):
        if time.monotonic() > deadline:
            conditions = (found.get("status") or {}).get("conditions")
            raise BedError(f"{service} is not Ready after {seconds:.0f} s: {conditions}", "bed.demo --keep, then look")
        time.sleep(0.5)
    print(f"InferenceService {service} is Ready")
    pods = project.get("pods", "-l", f"serving.kserve.io/inferenceservice={service}")["items"]
    (pod,) = [pod for pod in pods if _is_ready(pod)]
    return dict(pod)


def _is_ready(item: Object) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _ask(project: Project) -> None:
    say(f"an answer from {made.COPY}, read from the claim")
    path = f"/api/v1/namespaces/{project.name}/services/{made.COPY}-predictor:80/proxy/v1/completions"
    question = {"model": made.COPY, "prompt": "Hello world", "max_tokens": 8, "temperature": 0}
    answer = json.loads(project.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(question)))
    text, tokens = answer["choices"][0]["text"], answer["usage"]["completion_tokens"]
    print(f"{question['prompt']!r} -> {text!r} ({tokens} tokens; the weights are random)")
    if not tokens:
        raise BedError(f"{made.COPY} answered nothing: {answer}")


def _check(before: Figures, after: Figures) -> None:
    """The table's claims, so that a demo that shows something else does not end well."""
    claims: list[tuple[str, Callable[[], bool]]] = [
        ("before, the model was copied from S3", lambda: before.s3_reads > 0 and before.on_node > 0),
        ("after, there is no init container", lambda: not after.init_containers),
        ("after, no S3 read", lambda: after.s3_reads == 0),
        ("after, the model is on the claim", lambda: after.volume == f"claim {made.CLAIM}"),
        ("after, no model bytes on the node", lambda: after.on_node < before.on_node / 10),
    ]
    failed = [what for what, holds in claims if not holds()]
    if failed:
        raise BedError(f"not so: {'; '.join(failed)}")


def main() -> None:
    """The command line; exit code 1 and one sentence if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m bed.demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runtime", choices=sorted(made.SERVERS), default="llama", help="vllm: needs bed up --with vllm"
    )
    parser.add_argument("--keep", action="store_true", help="leave namespace, model directory and bucket")
    given = parser.parse_args()
    try:
        demo(settings(), made.SERVERS[given.runtime], keep=given.keep)
    except KeyboardInterrupt:
        sys.exit(130)
    except (BedError, ImageError) as error:
        remedy = getattr(error, "remedy", "")
        sys.exit(f"error: {error}" + (f"\n  -> {remedy}" if remedy else ""))


if __name__ == "__main__":
    main()
