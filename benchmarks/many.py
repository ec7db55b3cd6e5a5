"""Planning and rendering many model files in one run.

python benchmarks/many.py            200 model files against a stand-in API server; no cluster is needed
python benchmarks/many.py --cluster  against $KUBECONFIG, in a namespace of its own
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import io
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import yaml

from pvserve.cluster import Cluster

MODELS, GOAL = 200, 5.0
ROUNDS = 3
SERVING = "serving.kserve.io"
FAST = {
    "metadata": {
        "name": "fast",
        "uid": "fast",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "csi.example",
    "reclaimPolicy": "Delete",
}


def runtime() -> dict[str, Any]:
    """The runtime that the service of the dashboard uses."""
    container = {
        "name": "kserve-container",
        "image": "registry.example/vllm:1",
        "args": [f"--a{n}=b" for n in range(20)],
    }
    spec = {"supportedModelFormats": [{"name": "vLLM", "autoSelect": True}], "containers": [container]}
    return {
        "apiVersion": f"{SERVING}/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "vllm", "namespace": "llm"},
        "spec": spec,
    }


def service() -> dict[str, Any]:
    """The service of the dashboard that all models start from."""
    model = {"modelFormat": {"name": "vLLM"}, "runtime": "vllm", "storage": {"key": "s3", "path": "granite"}}
    return {
        "apiVersion": f"{SERVING}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "granite",
            "namespace": "llm",
            "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"},
        },
        "spec": {"predictor": {"minReplicas": 1, "maxReplicas": 1, "model": model}},
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """Knows one service, one runtime, one class; all else is absent. A dry run is answered by what was sent."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one segment: two would wait for the client's delayed acknowledgement
    live: ClassVar[dict[str, Any]] = {"granite": service(), "vllm": runtime()}

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        last = parts.path.rpartition("/")[2]
        if last == "version":
            return self._say({"gitVersion": "v1.34.4"})
        if parts.path.startswith("/apis/") and parts.path.count("/") == 3:
            return self._say({"kind": "APIResourceList", "resources": []})
        if last == "storageclasses":
            return self._say(_list("StorageClass", "storage.k8s.io/v1", [FAST]))
        if last in ("persistentvolumeclaims", "pods"):
            return self._say(_list(last, "v1", []))
        for kind, name in (("InferenceService", "granite"), ("ServingRuntime", "vllm")):
            if last == f"{kind.lower()}s":
                return self._say(_list(kind, self.live[name]["apiVersion"], [self._stored(name)]))
        if parts.path == "/api/v1/namespaces/llm":
            return self._say({"metadata": {"name": "llm", "uid": "llm"}})
        if last in self.live:
            return self._say(self._stored(last))
        details = {"name": last, "kind": parts.path.split("/")[-2]}
        return self._say({"kind": "Status", "reason": "NotFound", "code": 404, "details": details}, 404)

    def _stored(self, name: str) -> dict[str, Any]:
        return {**self.live[name], "metadata": {**self.live[name]["metadata"], "uid": name}}

    def do_POST(self) -> None:
        body = self._body()
        self._say({**body, "status": {"allowed": True}} if "review" in self.path else body, 201)

    def do_PATCH(self) -> None:
        assert "dryRun" in parse_qs(urlsplit(self.path).query), "the benchmark only plans"
        self._say(self._body())

    def _body(self) -> Any:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        return json.loads(text) if text.startswith(b"{") else yaml.safe_load(text)

    def _say(self, value: Any, code: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _list(kind: str, api: str, items: list[Any]) -> dict[str, Any]:
    return {"apiVersion": api, "kind": f"{kind}List", "metadata": {"resourceVersion": "1"}, "items": items}


def stand_in(port: Any) -> None:
    """The server, in a process of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


def model_files(directory: Path, namespace: str) -> Path:
    """MODELS files, each of a model directory and a claim of its own, all from the one service."""
    files = directory / "models"
    files.mkdir()
    for number in range(MODELS):
        source = directory / "data" / f"m{number}"
        source.mkdir(parents=True)
        (source / "config.json").write_text("{}")
        (source / "weights.bin").write_bytes(os.urandom(64))
        spec = {
            "model": str(source),
            "name": f"m{number}",
            "namespace": namespace,
            "from": "granite",
            "claim": f"c{number}",
        }
        (files / f"m{number:03}.yaml").write_text(yaml.safe_dump(spec))
    return files


@contextlib.contextmanager
def stand_in_cluster(directory: Path) -> Iterator[str]:
    """KUBECONFIG names the stand-in; yields the namespace."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=stand_in, args=(theirs,), daemon=True)
    server.start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "llm"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{ours.recv()}"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (directory / "kubeconfig").write_text(yaml.safe_dump(config))
    os.environ["KUBECONFIG"] = str(directory / "kubeconfig")
    yield "llm"
    server.terminate()


@contextlib.contextmanager
def real_cluster() -> Iterator[str]:
    """A namespace of its own on $KUBECONFIG, with the service and its runtime."""
    cluster = Cluster.connect()
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        for obj in (runtime(), service()):
            annotations = {**obj["metadata"].get("annotations", {}), "serving.kserve.io/stop": "true"}
            metadata = {**obj["metadata"], "namespace": namespace, "annotations": annotations}
            cluster.create({**obj, "metadata": metadata})
        yield namespace
    finally:
        cluster.delete("v1", "Namespace", namespace)


def render(files: Path, out: Path) -> float:
    """Seconds of `pvserve render`, in this process: what the interpreter costs is benchmarks/startup.py's."""
    from pvserve.cli.main import main as pvserve

    said, began = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(said):
        try:
            pvserve(["render", "-f", str(files), "--dir", str(out)])
        except SystemExit as left:
            if left.code:
                raise SystemExit(f"pvserve ended with {left.code}") from left
    took = time.perf_counter() - began
    if len(said.getvalue().splitlines()) < MODELS:
        raise SystemExit(f"not every model was rendered:\n{said.getvalue()}")
    return took


def main() -> int:
    """Prints every round; 1 where the median is over the goal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        directory = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(directory / "cache")
        where = real_cluster() if given.cluster else stand_in_cluster(directory)
        files = model_files(directory, stack.enter_context(where))
        if given.profile:
            import cProfile

            cProfile.runctx("render(files, directory / 'out')", globals(), locals(), sort="tottime")
            return 0
        rounds = [render(files, directory / f"out{number}") for number in range(ROUNDS)]
    took, spent = statistics.median(rounds), time.process_time() / ROUNDS
    shown = ", ".join(f"{seconds:.2f}" for seconds in rounds)
    load = os.getloadavg()[0]
    print(
        f"{MODELS} model files planned and rendered in {took:.2f} s ({shown}; goal: {GOAL:.0f} s; "
        f"{spent:.2f} CPU seconds each; load {load:.1f})"
    )
    return 0 if took <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
