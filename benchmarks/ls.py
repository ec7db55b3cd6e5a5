"""`ls -A` with many claims and services, against the bare list calls of the same pages.

python benchmarks/ls.py     1 000 claims with models and 5 000 services of a stand-in API server; no cluster is needed
"""

from __future__ import annotations

import http.server
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from pvserve.api import volumes
from pvserve.cluster import Cluster

CLAIMS, SERVICES, GOAL = 1000, 5000, 2.0
ROUNDS = 5
KINDS = (
    ("v1", "PersistentVolumeClaim"),
    ("v1", "PersistentVolume"),
    ("v1", "Pod"),
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha1", "LLMInferenceService"),
)
PAD = {f"example.com/note-{number}": "x" * 60 for number in range(8)}  # annotations and managed fields of real objects


def claim(number: int) -> dict[str, Any]:
    """A claim that holds two models."""
    record = {"manifest": "sha256:" + "0" * 64, "bytes": 1 << 30, "files": 9, "source": "m", "loaded": "2026-01-01"}
    notes = {"pvserve.io/models": json.dumps({f"m{model}": record for model in range(2)}), **PAD}
    return {
        "metadata": {"name": f"c{number}", "namespace": "n", "uid": f"c{number}", "annotations": notes},
        "spec": {"volumeName": f"pv{number}", "storageClassName": "fast", "accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
    }


def volume(number: int) -> dict[str, Any]:
    """The volume of that claim."""
    spec = {"persistentVolumeReclaimPolicy": "Retain", "claimRef": {"namespace": "n", "name": f"c{number}"}}
    return {"metadata": {"name": f"pv{number}", "annotations": PAD}, "spec": spec, "status": {"phase": "Bound"}}


def service(number: int) -> dict[str, Any]:
    """A service of one of the models."""
    model = {"modelFormat": {"name": "vLLM"}, "storageUri": f"pvc://c{number % CLAIMS}/m{number % 2}", "runtime": "r"}
    conditions = [{"type": f"C{at}", "status": "True", "reason": "R", "message": "m" * 40} for at in range(6)]
    return {
        "metadata": {"name": f"s{number}", "namespace": "n", "uid": f"s{number}", "annotations": PAD},
        "spec": {"predictor": {"minReplicas": 1, "model": model}},
        "status": {"conditions": conditions},
    }


def serve(port: Any) -> None:
    """The stand-in: pages of lists, by `limit` and `continue`, made beforehand."""
    objects = {
        "persistentvolumeclaims": [claim(number) for number in range(CLAIMS)],
        "persistentvolumes": [volume(number) for number in range(CLAIMS)],
        "inferenceservices": [service(number) for number in range(SERVICES)],
    }
    pages: dict[tuple[str, int, int], bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            asked, what = parse_qs(address.query), address.path.rpartition("/")[2]
            start, limit = int(asked.get("continue", ["0"])[0]), int(asked.get("limit", ["100000"])[0])
            if (what, start, limit) not in pages:
                every = objects.get(what, [])
                left = str(start + limit) if start + limit < len(every) else ""
                page = {"apiVersion": "v1", "kind": "List", "metadata": {"continue": left, "resourceVersion": "1"}}
                pages[what, start, limit] = json.dumps({**page, "items": every[start : start + limit]}).encode()
            body = pages[what, start, limit]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def best(of: Callable[[], object]) -> float:
    """Seconds of the fastest round: what is left is the work itself."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        of()
        took.append(time.perf_counter() - began)
    return min(took)


def main() -> int:
    """Prints both and their ratio; 1 where it is over the goal."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{ours.recv()}"
    with tempfile.TemporaryDirectory() as directory:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
            "clusters": [{"name": "c", "cluster": {"server": address}}],
            "users": [{"name": "u", "user": {}}],
        }
        file = Path(directory, "kubeconfig")
        file.write_text(yaml.safe_dump(config))
        cluster = Cluster.connect(kubeconfig=os.fspath(file))
        rows = volumes.ls(cluster, all_namespaces=True)
        if len(rows) != CLAIMS or sum(len(row.services) for row in rows) != SERVICES:
            raise SystemExit(f"{len(rows)} claims listed, not {CLAIMS}")
        bare = best(lambda: [cluster.find_all(*kind) for kind in KINDS])
        listing = best(lambda: volumes.ls(cluster, all_namespaces=True))
    server.terminate()
    print(f"bare list calls {bare:.2f} s, ls -A {listing:.2f} s: {listing / bare:.2f} times (goal: {GOAL})")
    return 0 if listing <= GOAL * bare else 1


if __name__ == "__main__":
    sys.exit(main())
