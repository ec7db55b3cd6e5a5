"""Where the scenes play: namespaces with every broken service at once, so that their waiting times run side by side."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from pvserve.cluster import Cluster
from pvserve.cluster.evidence import read_evidence
from pvserve.diagnose import Finding, Verdict, findings, judge
from pvserve.errors import PvserveError
from pvserve.facts import Object, name
from tests.cluster.offers import until

SECONDS = 150.0  # the slowest takes 70 s on an idle machine


@dataclass(frozen=True)
class Seen:
    """What diagnose said of a service at the moment that was waited for."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """The most causal finding."""
        return self.findings[0]

    @property
    def text(self) -> str:
        """All observations of the first finding."""
        return "\n".join(f"{item.object}: {item.observed}" for item in self.first.evidence)

    @property
    def remedy(self) -> str:
        """What the first finding says to do."""
        return "\n".join(self.first.remedy)


class Stage:
    """One namespace with services that do not work."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = cluster.namespace

    def create(self, *objects: Object) -> None:
        """Creates them, some at a time."""
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(self.cluster.create, objects))

    def hold(self, pod: Object) -> None:
        """Creates a pod that has its claim before anybody else wants it."""
        self.cluster.create(pod)

        def placed() -> bool:
            return bool(self.cluster.get("v1", "Pod", name(pod), self.namespace)["spec"].get("nodeName"))

        until(f"pod {name(pod)} has a node", placed)

    def until_refused(self, pod: Object) -> None:
        """Waits until the API server refuses such a pod: admission learns of a new rule a moment after it was made."""

        def refused() -> bool:
            try:
                self.cluster.create(pod, dry_run=True)
            except PvserveError:
                return True
            return False

        until(f"a pod like {name(pod)} is refused", refused)

    def now(self, service: str) -> Seen:
        """What diagnose says of a service at this moment."""
        evidence = read_evidence(self.cluster, self.namespace, service)
        return Seen(judge(evidence), findings(evidence))

    def wait(self, service: str, code: str, *, hopeless: bool = True, seconds: float = SECONDS) -> Seen:
        """Asks until `code` is the first finding, and is what makes the service hopeless where that is expected."""
        end = time.monotonic() + seconds
        while True:
            seen = self.now(service)
            ends = seen.verdict.hopeless.code if seen.verdict.hopeless else None
            if seen.findings and seen.first.code == code and ends == (code if hopeless else None):
                return seen
            if time.monotonic() > end:
                codes = [item.code for item in seen.findings]
                pytest.fail(f"{service}: {code} not seen in {seconds:.0f} s; findings {codes}, hopeless {ends}\n{seen}")
            time.sleep(0.5)

    def ready(self, service: str) -> None:
        """Asks until the service is Ready."""
        until(f"{service} is Ready", lambda: self.now(service).verdict.ready, seconds=SECONDS)

    def write(self, pod: Object, files: Mapping[str, bytes], after: str = "true") -> None:
        """Runs `pod`, which mounts a claim at /claim, until it has written `files` there; then it goes."""
        container = pod["spec"]["containers"][0]
        lines = [
            f"mkdir -p $(dirname /claim/{path}) && echo {base64.b64encode(data).decode()} | base64 -d > /claim/{path}"
            for path, data in files.items()
        ]
        container["command"] = ["/bin/sh", "-ec", "\n".join([*lines, after, "sync"])]
        pod["spec"]["restartPolicy"] = "Never"
        self.cluster.create(pod)

        def done() -> bool:
            phase = self.cluster.get("v1", "Pod", name(pod), self.namespace)["status"].get("phase")
            assert phase != "Failed", self.cluster.logs(name(pod), self.namespace, container["name"])
            return phase == "Succeeded"

        until(f"pod {name(pod)} has written", done)


@contextlib.contextmanager
def created(cluster: Cluster, *objects: Object) -> Iterator[None]:
    """Cluster-wide objects, deleted afterwards."""
    try:
        for item in objects:
            cluster.create(item)
        yield
    finally:
        for item in objects:
            cluster.delete(item["apiVersion"], item["kind"], name(item))
